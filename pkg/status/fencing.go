package status

import (
	"fmt"

	"github.com/quorate/quorate/api/v1alpha1"
)

// nodeFencing is the latest proof that the node's host is off: what the status has already, or what an agent says of a later life.
// Once written it stays, whatever becomes of the agent that said it.
func nodeFencing(before *v1alpha1.NodeFencing, id int32, nodes []*v1alpha1.Node) *v1alpha1.NodeFencing {
	latest := before
	take := func(f *v1alpha1.NodeFencing) {
		if latest == nil || f.Generation > latest.Generation {
			latest = f
		}
	}
	for _, n := range nodes {
		if n.Status.Agent == nil || id == 0 {
			continue
		}
		for i := range n.Status.Agent.Fencings {
			r := &n.Status.Agent.Fencings[i]
			if r.NodeID == id && r.State == v1alpha1.FencingFenced {
				take(&v1alpha1.NodeFencing{
					Generation: r.Generation, Proof: v1alpha1.ProofPowerFenced, By: n.Name, Level: r.Level, Driver: r.Driver, Reason: r.Message, Time: r.Time,
				})
			}
		}
		for i := range n.Status.Agent.Confirmations {
			c := &n.Status.Agent.Confirmations[i]
			if c.NodeID == id {
				take(&v1alpha1.NodeFencing{
					Generation: c.Generation, Proof: v1alpha1.ProofManualConfirmation, By: c.By, Reason: c.Reason, Time: c.Time,
				})
			}
		}
	}
	return latest
}

// fencingEvents tells of a new proof.
func fencingEvents(before, after *v1alpha1.NodeStatus) []Event {
	f := after.Fencing
	if f == nil || before.Fencing != nil && before.Fencing.Generation == f.Generation {
		return nil
	}
	if f.Proof == v1alpha1.ProofManualConfirmation {
		return []Event{warning("ConfirmedOff", "Confirm",
			fmt.Sprintf("%s has confirmed that generation %d is off: %s", f.By, f.Generation, f.Reason))}
	}
	return []Event{warning("PowerFenced", "Fence",
		fmt.Sprintf("%s has cut the power (level %d, %s) of generation %d: %s", f.By, f.Level, f.Driver, f.Generation, f.Reason))}
}

// ConfirmRefused tells why an operator's confirmation proves nothing.
func ConfirmRefused(why string) Event { return warning("ConfirmOffRefused", "Confirm", why) }
