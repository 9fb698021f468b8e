package status

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
)

// ClearingDone is how the clearing of a disk's foreign reservation stands: what the status has, or what an agent says of it. An act that
// was asked for on a host is recorded too, with the next number. The same pointer as before means that there is nothing new.
func ClearingDone(before *v1alpha1.ForeignClearing, r *v1alpha1.Resource, nodes []*v1alpha1.Node) *v1alpha1.ForeignClearing {
	latest := before
	for _, n := range nodes {
		if n.Status.Agent == nil {
			continue
		}
		for i := range n.Status.Agent.Clearings {
			c := &n.Status.Agent.Clearings[i]
			if c.UID != string(r.UID) || c.Time == nil {
				continue
			}
			latest = clearingWith(latest, c, n.Name)
		}
	}
	return latest
}

// clearingWith is what an agent's word makes of an act: the end of one that it was asked for, or a new one of its host's operator.
func clearingWith(latest *v1alpha1.ForeignClearing, c *v1alpha1.AgentClearing, node string) *v1alpha1.ForeignClearing {
	requested := latest != nil && latest.State == v1alpha1.ClearingRequested
	switch {
	case c.Number != 0 && requested && latest.Number == c.Number && latest.Node == node:
		done := latest.DeepCopy()
		done.State, done.Message, done.Time = c.State, c.Message, c.Time
		return done
	case c.Number == 0 && len(c.Keys) > 0 && !requested && (latest == nil || latest.Time.Time.Before(c.Time.Time)):
		done := &v1alpha1.ForeignClearing{Number: 1, Keys: c.Keys, Node: node, By: c.By, Reason: c.Reason, State: c.State, Message: c.Message, Time: c.Time}
		if latest != nil {
			done.Number = latest.Number + 1
		}
		return done
	}
	return latest
}

// ClearingEvents tells of an act and of its end.
func ClearingEvents(before, after *v1alpha1.ForeignClearing) []Event {
	if after == nil || before != nil && before.Number == after.Number && before.State == after.State {
		return nil
	}
	what := fmt.Sprintf("%s (asked for by %s: %s)", strings.Join(after.Keys, ", "), after.By, after.Reason)
	switch after.State {
	case v1alpha1.ClearingCleared:
		return []Event{warning("ForeignReservationCleared", "ClearForeign", fmt.Sprintf("%s: %s; keys named: %s", after.Node, after.Message, what))}
	case v1alpha1.ClearingFailed:
		return []Event{warning("ForeignReservationNotCleared", "ClearForeign", fmt.Sprintf("%s: %s; keys named: %s", after.Node, after.Message, what))}
	case v1alpha1.ClearingRequested:
	}
	return []Event{warning("ForeignReservationClearing", "ClearForeign", fmt.Sprintf("%s is to remove the keys %s", after.Node, what))}
}

// ClearingRefused tells why an operator's act is not carried out.
func ClearingRefused(why string) Event { return warning("ClearForeignRefused", "ClearForeign", why) }
