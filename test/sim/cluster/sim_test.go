package cluster

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag  = flag.Uint64("sim.seeds", 200, "number of seeds")
	firstFlag  = flag.Uint64("sim.first", 1, "the first seed")
	traceFlag  = flag.Bool("sim.trace", false, "print all that happens")
	shrinkFlag = flag.Int("sim.shrink", 300, "how many runs to spend on making a failing seed small")
	halvesFlag = flag.Bool("sim.halves", false, "only clusters of which a half and the witness are quorate")
	keepFlag   = flag.Bool("sim.keep-going", false, "go on after a failing seed")
)

// TestCluster runs whole clusters through storms of faults.
func TestCluster(t *testing.T) {
	if *seedFlag != 0 {
		r := seedRun(*seedFlag)
		if *traceFlag {
			r.Trace = os.Stdout
		}
		if out := r.Do(); out.Err != nil {
			t.Fatalf("seed %d: %v", *seedFlag, out.Err)
		}
		return
	}
	var total report
	const lanes = 4
	t.Run("lanes", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for seed := *firstFlag + lane; seed < *firstFlag+*seedsFlag; seed += lanes {
					out := seedRun(seed).Do()
					total.add(&out)
					if out.Err == nil {
						continue
					}
					t.Errorf("seed %d: %v\n%s", seed, out.Err, explain(seed))
					if !*keepFlag {
						return
					}
				}
			})
		}
	})
	t.Log(total.String())
}

// explain says how to see a failing seed again, and what little of it is needed.
func explain(seed uint64) string {
	text := fmt.Sprintf("see it again: go test ./test/sim/cluster -run TestCluster -sim.seed=%d -sim.halves=%t -sim.trace\n", seed, *halvesFlag)
	if *shrinkFlag <= 0 {
		return text
	}
	small, err := Shrink(seedRun(seed), *shrinkFlag)
	return text + fmt.Sprintf("with %d faults, as a file for testdata/scenarios:\n%s", len(small.Faults), small.Scenario(err))
}

func seedRun(seed uint64) Run {
	if *halvesFlag {
		return HalvesRun(seed)
	}
	return SeedRun(seed)
}

// TestHalvesDecide wants that a half which is quorate by the witness's vote alone decides without the API server, in both sizes of
// clusters, and that what it decides is on the witness.
func TestHalvesDecide(t *testing.T) {
	decided, sizes := 0, map[time.Duration]bool{}
	for seed := uint64(1); seed <= 60 && (decided < 12 || !sizes[2] || !sizes[4]); seed++ { // the first 18 are enough, mostly
		out := HalvesRun(seed).Do()
		if out.Err != nil {
			t.Fatalf("seed %d: %v", seed, out.Err)
		}
		decided += out.Counts["bywitness"]
		if out.Counts["bywitness"] > 0 && out.Counts["kept"] > 0 {
			sizes[out.NodeTime/out.Time] = true
		}
	}
	if decided < 12 || !sizes[2] || !sizes[4] {
		t.Errorf("%d assignments were made by the vote of the witness, in clusters of %v", decided, sizes)
	}
}

// TestDeterministic runs a seed twice and compares everything that happens.
func TestDeterministic(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		var traces [2]recorder
		for i := range traces {
			r := SeedRun(seed)
			r.Trace = &traces[i]
			r.Do()
		}
		if traces[0].text != traces[1].text {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

type recorder struct{ text string }

func (r *recorder) Write(p []byte) (int, error) {
	r.text += string(p)
	return len(p), nil
}

var _ io.Writer = (*recorder)(nil)
