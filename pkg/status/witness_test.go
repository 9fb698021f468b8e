package status

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// TestWitnessStatus: who holds the witness, whether it votes, and which node cannot use it and why.
func TestWitnessStatus(t *testing.T) {
	trouble := func(o *snapshot.Objects, nodes ...int) {
		for _, n := range nodes {
			o.Nodes[n].Status.Agent.Problems = []v1alpha1.AgentProblem{
				{Reason: v1alpha1.ProblemWrongKey, Message: "unrelated"},
				{Reason: v1alpha1.ProblemWitness, Object: "disk /dev/w", Message: "connect the disk"},
			}
		}
	}
	cases := map[string]struct {
		change func(*snapshot.Objects)
		want   string // state, holder, votes, message
	}{
		"not configured": {func(o *snapshot.Objects) { o.Quorum.Spec.Witness = nil }, `None "" false `},
		"held, votes":    {func(*snapshot.Objects) {}, `Held "b" true `},
		"held, odd number of voters": {func(o *snapshot.Objects) { o.Nodes[0].Status.Agent.Voters = []int32{1, 2, 3} },
			`Held "b" false `},
		"held, one node does not reach it": {func(o *snapshot.Objects) { trouble(o, 2) }, `Held "b" true Node c cannot use it: connect the disk`},
		"two nodes do not reach it":        {func(o *snapshot.Objects) { trouble(o, 1, 2) }, `Held "b" true 2 Nodes cannot use it; Node b: connect the disk`},
		"free":                             {func(o *snapshot.Objects) { o.Nodes[0].Status.Agent.View.WitnessHeld = false }, `Free "" true `},
		"nobody can use it": {func(o *snapshot.Objects) {
			o.Nodes[0].Status.Agent.View.WitnessHeld = false
			trouble(o, 0)
		}, `Failed "" true Node a cannot use it: connect the disk`},
		"nobody reports": {func(o *snapshot.Objects) { o.Fresh = false }, `Unknown "" true `},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := objects(true, []int32{1, 2}, 1, 2)
			o.Quorum.Spec.Witness = &v1alpha1.Witness{Disk: &v1alpha1.DiskWitness{Device: "/dev/w"}}
			o.Nodes[0].Status.Agent.WitnessVotes = true
			o.Nodes[0].Status.Agent.View.WitnessHeld, o.Nodes[0].Status.Agent.View.WitnessHolder = true, 2
			tc.change(o)
			w := Quorum(o, now).Witness
			if got := fmt.Sprintf("%s %q %v %s", w.State, w.Holder, w.Votes, w.Message); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
