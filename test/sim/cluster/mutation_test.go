//go:build mutation

package cluster

import (
	"flag"
	"maps"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/reservation"
)

var mutantSeeds = flag.Uint64("sim.mutant-seeds", 1000, "how many seeds may be needed to find a mutant")

// elusive adds the rules that storms have not been seen to miss: other layers make up for each of them in what is simulated.
var elusive = flag.Bool("sim.elusive", false, "also take away rules that other layers make up for")

var mutants = map[string]func(on bool){
	"O1 GracefulStop inferred from resource states": func(on bool) { policy.Disabled = one(on, policy.RuleSaid) },
	"O3 a burnt life goes on":                       func(on bool) { disabled = one(on, ruleBurn) },
	"O4 no wait for processes":                      func(on bool) { lifecycle.Disabled = one(on, lifecycle.RuleWait) },
	"O5 assignments without compare-and-swap":       func(on bool) { disabled = one(on, ruleSwap) },
	"O6 managers forget what agents reported":       func(on bool) { disabled = one(on, ruleRecall) },
	"O11 no guardian":                               func(on bool) { disabled = one(on, ruleGuardian) },
	"O12 disks are not all reserved first":          func(on bool) { lifecycle.Disabled = one(on, lifecycle.RuleAllDisks) },
	"O13 no preempt":                                func(on bool) { reservation.Disabled = one(on, reservation.RulePreempt) },
	"O16 preempt without abort":                     func(on bool) { disabled = one(on, ruleAbort) },
	"J2 the API server is obeyed beside a journal":  func(on bool) { autonomy.Disabled = one(on, autonomy.RuleTold) },
	"J3 decided before all members have joined":     func(on bool) { autonomy.Disabled = one(on, autonomy.RuleJoined) },
	"J4 epochs follow one another without a jump":   func(on bool) { autonomy.Disabled = one(on, autonomy.RuleJump) },
	"J8 the journal is not written":                 func(on bool) { disabled = one(on, ruleShown) },
	"J9 what the witness keeps is not read":         func(on bool) { autonomy.Disabled = one(on, autonomy.RuleRead) },
	"J9 obeyed before the witness has it":           func(on bool) { autonomy.Disabled = one(on, autonomy.RuleKept) },
	"R7 acting counts any grant":                    func(on bool) { membership.Disabled = one(on, membership.R7) },
}

var elusiveMutants = map[string]func(on bool){
	"O2 only the last owner is remembered":           func(on bool) { policy.Disabled = one(on, policy.RuleListed) },
	"O8 nothing asks for the lease":                  func(on bool) { disabled = one(on, ruleLate) },
	"O15 unreserved at the stop":                     func(on bool) { disabled = one(on, ruleParked) },
	"O17 registered while in use":                    func(on bool) { disabled = one(on, ruleIdle) },
	"O20 the epoch on the disk is ignored":           func(on bool) { reservation.Disabled = one(on, reservation.RuleStale) },
	"J1 a session without waiting":                   func(on bool) { autonomy.Disabled = one(on, autonomy.RuleWait) },
	"J5 a journal in nobody's hands is forgotten":    func(on bool) { autonomy.Disabled = one(on, autonomy.RuleLost) },
	"J6 nodes outside the view count as harmless":    func(on bool) { autonomy.Disabled = one(on, autonomy.RuleUnreported) },
	"J7 joined without telling what was obeyed":      func(on bool) { disabled = one(on, ruleFeed) },
	"S4 no address lease in the kernel":              func(on bool) { disabled = one(on, ruleAddresses) },
	"R10 assignments from before a life first acted": func(on bool) { lifecycle.Disabled = one(on, lifecycle.RuleViewFirst) },
}

// TestMutants takes one rule away at a time, in the code itself or in the shells that the simulation stands for, and asks the storms to
// find what it prevents: a simulation that cannot find a known fault shows nothing by finding none.
func TestMutants(t *testing.T) {
	all := maps.Clone(mutants)
	if *elusive {
		maps.Copy(all, elusiveMutants)
	}
	for name, set := range all {
		run := SeedRun
		if strings.HasPrefix(name, "J9") {
			run = HalvesRun // other clusters seldom need their witness for long
		}
		t.Run(name, func(t *testing.T) {
			set(true)
			defer set(false)
			for seed := uint64(1); seed <= *mutantSeeds; seed++ {
				if err := run(seed).Do().Err; err != nil {
					t.Logf("found with seed %d: %.150v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds without this rule, and no violation found", *mutantSeeds)
		})
	}
}

func one[R ~string](on bool, rule R) R {
	if on {
		return rule
	}
	return ""
}
