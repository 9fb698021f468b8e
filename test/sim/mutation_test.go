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
	// More of what forgets promises finds in seconds what ordinary storms find in minutes.
	forgetful := DefaultWeights
	forgetful.CrashLost, forgetful.Reboot, forgetful.Isolate, forgetful.Split = 40, 0, 20, 20
	contested := DefaultWeights
	contested.Witness, contested.Split, contested.Isolate, contested.Reboot = 20, 20, 20, 10
	storms := func(weights Weights) func(uint64) error {
		return func(seed uint64) error { return storm(seed, weights, false, nil) }
	}
	for rule, tc := range map[membership.Rule]struct {
		run   func(seed uint64) error
		seeds uint64
	}{
		membership.R1:  {storms(DefaultWeights), 50},
		membership.R2:  {storms(forgetful), 4000},
		membership.R3:  {storms(DefaultWeights), 2000},
		membership.R4:  {storms(DefaultWeights), 2000},
		membership.R5:  {halfCommitted, 20},
		membership.R6:  {storms(DefaultWeights), 200},
		membership.R7:  {storms(DefaultWeights), 2000},
		membership.R8a: {storms(contested), 4000},
		membership.R8b: {storms(contested), 4000},
		membership.R8g: {storms(contested), 4000},
		membership.R11: {storms(lost), 4000},
	} {
		t.Run(string(rule), func(t *testing.T) {
			membership.Disabled = rule
			defer func() { membership.Disabled = "" }()
			for seed := uint64(1); seed <= tc.seeds; seed++ {
				if err := tc.run(seed); err != nil {
					t.Logf("found with seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d runs without rule %s, and no violation found", tc.seeds, rule)
		})
	}
}
