package policy_test

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/polictest"
)

// worlds is how many random histories a run of the tests tries; -policy.worlds=20000 makes a soak of it.
var worlds = flag.Int("policy.worlds", 80, "random clusters to try, and a twentieth of the random snapshots")

// TestRandomWorlds lets random things happen to random clusters. After each of them the plan keeps its invariants, plans and agents
// reach a fixed point (nothing flaps), and no group runs twice; when all troubles end, every wanted group that any node may take is
// online (L1).
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(*worlds) {
		if !randomWorld(t, seed) {
			return
		}
	}
}

func randomWorld(t *testing.T, seed uint64) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	env := polictest.NewEnv()
	var script []string
	do := func(line string) bool {
		script = append(script, line)
		_, err := env.Do(line)
		var wrong []string
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		wrong = append(wrong, polictest.Check(env.World.Snapshot(), env.World.Now)...)
		wrong = append(wrong, env.World.Check()...)
		if len(wrong) > 0 {
			t.Errorf("seed %d:\n%s\n\n%s", seed, strings.Join(wrong, "\n"), strings.Join(script, "\n"))
		}
		return len(wrong) == 0
	}
	for _, line := range polictest.RandomCluster(rng) {
		if !do(line) {
			return false
		}
	}
	for range 25 {
		next := []string{polictest.RandomEvent(env.World, rng), []string{"run", "run", "apply", "act"}[rng.IntN(4)]}
		for _, line := range next {
			if !do(line) {
				return false
			}
		}
	}
	env.World.Calm()
	script = append(script, "# calm")
	if !do("run") {
		return false
	}
	notes := policy.Plan(env.World.Snapshot(), env.World.Now).Groups
	idle := env.World.Idle(func(k model.GroupKey) model.Reason { return notes[k].Reason })
	if len(idle) > 0 {
		t.Errorf("seed %d: L1:\n%s\n\n%s", seed, strings.Join(idle, "\n"), strings.Join(script, "\n"))
	}
	return len(idle) == 0
}

// FuzzPlan plans over snapshots that contradict themselves: it must neither panic nor break an invariant.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, uint64(0))
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		s, now := polictest.RandomSnapshot(rand.New(rand.NewPCG(a, b)))
		if wrong := polictest.Check(s, now); len(wrong) > 0 {
			t.Fatalf("snapshot (%d, %d):\n%s", a, b, strings.Join(wrong, "\n"))
		}
	})
}

// TestRandomSnapshots runs the body of FuzzPlan over a fixed range, so that every `go test` does.
func TestRandomSnapshots(t *testing.T) {
	for seed := range uint64(20 * *worlds) {
		s, now := polictest.RandomSnapshot(rand.New(rand.NewPCG(seed, 1)))
		if wrong := polictest.Check(s, now); len(wrong) > 0 {
			t.Fatalf("snapshot (%d, 1):\n%s", seed, strings.Join(wrong, "\n"))
		}
	}
}
