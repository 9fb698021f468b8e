package sim

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag = flag.Uint64("sim.seeds", 1000, "number of seeds")
	traceFlag = flag.Bool("sim.trace", false, "print all that happens")
)

// storm is one whole run: faults, then calm, then one acting view of all.
func storm(seed uint64, weights Weights, live bool, trace io.Writer) error {
	w := NewWorld(Options{
		Seed: seed, Nodes: 2 + int(seed%6), Networks: 1 + int(seed/6%2), StaticVotes: seed%5 == 0, Drift: true, Trace: trace,
		Witness: seed%2 == 0, WitnessOnly: seed%14 == 0,
	})
	w.Storm(15*time.Second, w.between(100*time.Millisecond, 2500*time.Millisecond), weights)
	if err := w.Run(16 * time.Second); err != nil {
		return err
	}
	w.Calm()
	took, ok := w.RunUntil(12*time.Second, func() bool { return w.Settled(w.All()...) })
	if w.Err() != nil {
		return w.Err()
	}
	if live && !ok {
		return fmt.Errorf("L1: no acting view of all hosts %v after the faults ended\n%s", took, w.Describe())
	}
	return w.Run(w.Now() + time.Second)
}

func TestStorm(t *testing.T) {
	runSeeds(t, DefaultWeights, true, *seedsFlag)
}

// TestStormLostDisks loses disks too. The price of R11: the records of a majority may be gone, so only safety is asked for.
func TestStormLostDisks(t *testing.T) {
	weights := DefaultWeights
	weights.LoseDisk = 12
	runSeeds(t, weights, false, *seedsFlag/5)
}

// runSeeds runs seeds 1 to n, on two goroutines, each world in one.
func runSeeds(t *testing.T, weights Weights, live bool, n uint64) {
	if *seedFlag != 0 {
		var trace io.Writer
		if *traceFlag {
			trace = os.Stdout
		}
		if err := storm(*seedFlag, weights, live, trace); err != nil {
			t.Fatalf("seed %d: %v", *seedFlag, err)
		}
		return
	}
	const lanes = 4
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprint("lane", lane), func(t *testing.T) {
			t.Parallel()
			for seed := lane + 1; seed <= n; seed += lanes {
				if err := storm(seed, weights, live, nil); err != nil {
					t.Fatalf("seed %d: %v\nrun again: go test ./test/sim -run '%s' -sim.seed=%d -sim.trace", seed, err, t.Name(), seed)
				}
			}
		})
	}
}
