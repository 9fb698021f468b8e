//go:build mutation

package sim

import (
	"testing"

	"github.com/quorate/quorate/pkg/membership"
)

// TestMutation switches off one rule at a time and asks the storms to find what it prevents: a simulation that cannot find a
// known fault shows nothing by finding none. Run it with -tags mutation.
func TestMutation(t *testing.T) {
	lost := DefaultWeights
	lost.LoseDisk = 12
	for rule, tc := range map[membership.Rule]struct {
		weights Weights
		seeds   uint64
	}{
		membership.R1:  {DefaultWeights, 50},
		membership.R2:  {DefaultWeights, 2000},
		membership.R3:  {DefaultWeights, 2000},
		membership.R4:  {DefaultWeights, 2000},
		membership.R5:  {DefaultWeights, 4000},
		membership.R6:  {DefaultWeights, 200},
		membership.R7:  {DefaultWeights, 2000},
		membership.R11: {lost, 4000},
	} {
		t.Run(string(rule), func(t *testing.T) {
			membership.Disabled = rule
			defer func() { membership.Disabled = "" }()
			for seed := uint64(1); seed <= tc.seeds; seed++ {
				if err := storm(seed, tc.weights, false, nil); err != nil {
					t.Logf("found with seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d storms without rule %s, and no violation found", tc.seeds, rule)
		})
	}
}
