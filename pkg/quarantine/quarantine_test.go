package quarantine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

var midnight = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func at(minutes ...int) []time.Time {
	var out []time.Time
	for _, m := range minutes {
		out = append(out, midnight.Add(time.Duration(m)*time.Minute))
	}
	return out
}

func TestMost(t *testing.T) {
	for nodes, want := range map[int]int{0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 7: 1, 8: 2, 11: 2, 12: 3, 64: 16} {
		if got := Most(nodes); got != want {
			t.Errorf("of %d nodes %d may be in quarantine, want %d", nodes, got, want)
		}
	}
}

// TestUntil is A43 for one node of four: until which minute it is in quarantine, -1 for not at all.
func TestUntil(t *testing.T) {
	for name, tc := range map[string]struct {
		settings     Settings
		exits        []time.Time
		cleared, now int
		want         int
	}{
		"two":                         {Default(), at(1, 2), 0, 3, -1},
		"three":                       {Default(), at(1, 2, 3), 0, 3, 123},
		"in any order":                {Default(), at(3, 1, 2), 0, 3, 123},
		"the last minute of it":       {Default(), at(1, 2, 3), 0, 122, 123},
		"its end":                     {Default(), at(1, 2, 3), 0, 123, -1},
		"an hour apart, exactly":      {Default(), at(1, 2, 61), 0, 62, -1},
		"just under an hour":          {Default(), at(1, 2, 60), 0, 62, 180},
		"the last is alone":           {Default(), at(1, 2, 3, 90), 0, 91, 123},
		"cleared":                     {Default(), at(1, 2, 3), 3, 4, -1},
		"cleared before the last":     {Default(), at(1, 2, 3), 2, 4, -1},
		"three after it was cleared":  {Default(), at(1, 2, 3, 4, 5, 6), 3, 7, 126},
		"one is enough":               {Settings{1, time.Hour, time.Minute}, at(5), 0, 5, 6},
		"never":                       {Settings{0, time.Hour, time.Hour}, at(1, 2, 3, 4), 0, 5, -1},
		"no settings, nobody":         {Settings{}, at(1, 2, 3, 4), 0, 5, -1},
		"longer ago than it can last": {Default(), at(1, 2, 3), 0, 1000, -1},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := []Node{{ID: 1, Exits: tc.exits, ClearedAt: at(tc.cleared)[0]}, {ID: 2}, {ID: 3}, {ID: 4}}
			want := time.Time{}
			if tc.want >= 0 {
				want = at(tc.want)[0]
			}
			if got := Decide(nodes, tc.settings, at(tc.now)[0])[1]; !got.Until.Equal(want) || got.Spared {
				t.Errorf("%+v, want until %s", got, want)
			}
		})
	}
}

// TestRandom: whatever happened, no more than may be are in quarantine; who is in it stays in it while time passes, to its end; the
// order of the nodes does not matter; and nobody is judged who did nothing.
func TestRandom(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 0))
		nodes := make([]Node, 1+rng.IntN(12))
		for i := range nodes {
			nodes[i].ID = model.NodeID(i + 1)
			for range rng.IntN(6) {
				nodes[i].Exits = append(nodes[i].Exits, at(rng.IntN(180))[0])
			}
		}
		for minute := 180; minute < 400; minute += 7 {
			now := at(minute)[0]
			before := fmt.Sprint(nodes)
			verdicts := Decide(nodes, Default(), now)
			if fmt.Sprint(nodes) != before {
				t.Fatal("it changes its input")
			}
			rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			if diff := cmp.Diff(verdicts, Decide(nodes, Default(), now)); diff != "" {
				t.Fatalf("seed %d: the order of the nodes matters:\n%s", seed, diff)
			}
			inside := 0
			for i := range nodes {
				n := &nodes[i]
				v := verdicts[n.ID]
				if n.Until.After(now) && !v.Until.Equal(n.Until) {
					t.Fatalf("seed %d: node %d in quarantine until %s is now %+v", seed, n.ID, n.Until, v)
				}
				if len(n.Exits) < 3 && v != (Verdict{Recent: v.Recent}) {
					t.Fatalf("seed %d: node %d has left %d times: %+v", seed, n.ID, len(n.Exits), v)
				}
				if n.Until = v.Until; !v.Until.IsZero() {
					inside++
				}
			}
			if inside > Most(len(nodes)) {
				t.Fatalf("seed %d: %d of %d nodes are in quarantine", seed, inside, len(nodes))
			}
		}
	}
}
