package cluster

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag  = flag.Uint64("sim.seeds", 200, "number of seeds")
	firstFlag  = flag.Uint64("sim.first", 1, "the first seed")
	traceFlag  = flag.Bool("sim.trace", false, "print all that happens")
	shrinkFlag = flag.Int("sim.shrink", 300, "how many runs to spend on making a failing seed small")
	keepFlag   = flag.Bool("sim.keep-going", false, "go on after a failing seed")
)

// TestCluster runs whole clusters through storms of faults.
func TestCluster(t *testing.T) {
	if *seedFlag != 0 {
		r := SeedRun(*seedFlag)
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
					out := SeedRun(seed).Do()
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
	text := fmt.Sprintf("see it again: go test ./test/sim/cluster -run TestCluster -sim.seed=%d -sim.trace\n", seed)
	if *shrinkFlag <= 0 {
		return text
	}
	small, err := Shrink(SeedRun(seed), *shrinkFlag)
	return text + fmt.Sprintf("with %d faults, as a file for testdata/scenarios:\n%s", len(small.Faults), small.Scenario(err))
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
