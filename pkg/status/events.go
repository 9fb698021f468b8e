package status

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/policy"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GroupEvents tells what a change of a group's status is worth, the decision behind it first.
func GroupEvents(before, after *v1alpha1.ResourceGroupStatus, d *policy.Decision) []Event {
	var events []Event
	if d != nil {
		events = append(events, decisionEvents(after, d)...)
	}
	if before.State != after.State || before.Owner != after.Owner {
		events = append(events, stateEvents(after)...)
	}
	if finished(after.LastFailover) && !finished(before.LastFailover) ||
		finished(after.LastFailover) && before.LastFailover.Epoch != after.LastFailover.Epoch {
		events = append(events, normal("FailoverCompleted", "Failover", failoverSentence(after.LastFailover)))
	}
	events = append(events, conditionEvents(before.Conditions, after.Conditions)...)
	return events
}

func finished(r *v1alpha1.FailoverRecord) bool { return r != nil && r.Phases.Online != nil }

func decisionEvents(after *v1alpha1.ResourceGroupStatus, d *policy.Decision) []Event {
	note := d.Note
	if note == "" {
		note = fmt.Sprintf("%s: %s", d.Kind, d.Reason)
	}
	switch d.Kind {
	case policy.Balance:
		return balanceEvents(d, note)
	case policy.Assign:
		note = fmt.Sprintf("%s (epoch %d, view %d)", note, d.Assignment.Epoch, d.Assignment.View.Number)
		if d.Unplanned {
			return []Event{warning(string(d.Reason), "Failover", note)}
		}
		return []Event{normal(string(d.Reason), "Assign", note)}
	case policy.Withdraw:
		note = fmt.Sprintf("%s (epoch %d, view %d)", note, d.Assignment.Epoch, d.Assignment.View.Number)
		if d.Unplanned {
			return []Event{warning(string(d.Reason), "Withdraw", note)}
		}
		return []Event{normal(string(d.Reason), "Withdraw", note)}
	case policy.GiveUp:
		return []Event{warning(string(d.Reason), "GiveUp", note)}
	case policy.Recover:
		return []Event{normal(string(d.Reason), "Recover", note)}
	case policy.FinishMove:
		if after.LastMove != nil && after.LastMove.Outcome == v1alpha1.MoveRefused {
			return []Event{warning(string(d.Reason), "Move", note)}
		}
		return []Event{normal(string(d.Reason), "Move", note)}
	case policy.Settle:
		return []Event{normal(string(d.Reason), "Settle", note)}
	}
	return nil
}

func stateEvents(after *v1alpha1.ResourceGroupStatus) []Event {
	if len(after.Members) > 0 {
		return memberEvents(after)
	}
	switch after.State {
	case v1alpha1.GroupOnline:
		return []Event{normal("Online", "Observe", "all resources are online on "+after.Owner)}
	case v1alpha1.GroupFailed:
		return []Event{warning("Failed", "Observe", "the group has failed"+onOwner(after))}
	case v1alpha1.GroupPartialOnline:
		return []Event{warning("PartialOnline", "Observe", "some resources are online"+onOwner(after))}
	case v1alpha1.GroupOffline:
		return []Event{normal("Offline", "Observe", "the group is offline")}
	case v1alpha1.GroupPending:
	}
	return nil
}

func onOwner(after *v1alpha1.ResourceGroupStatus) string {
	if after.Owner == "" {
		return ""
	}
	return " on " + after.Owner
}

// failoverSentence tells a finished failover with its evidence.
func failoverSentence(r *v1alpha1.FailoverRecord) string {
	var proofs []string
	for _, p := range r.Proofs {
		name := p.Resource
		if name == "" {
			name = "group"
		}
		proofs = append(proofs, name+" "+string(p.Type))
	}
	if len(proofs) == 0 {
		proofs = []string{"none needed"}
	}
	return fmt.Sprintf("from %s to %s in %s (detect %s, decide %s, fence %s, online %s); proofs: %s",
		noteOr(r.From, "nowhere"), r.To, length(r.Phases.Total), length(r.Phases.Detect), length(r.Phases.Decide), length(r.Phases.Fence),
		length(r.Phases.Online), strings.Join(proofs, ", "))
}

// conditionEvents tells of a spec that is not usable, and of a group that nothing can fence.
func conditionEvents(before, after []metav1.Condition) []Event {
	var events []Event
	if c := turned(before, after, v1alpha1.ConditionAccepted, metav1.ConditionFalse); c != nil {
		events = append(events, warning("NotAccepted", "Validate", c.Message))
	}
	if c := turned(before, after, v1alpha1.ConditionUnsafeFencing, metav1.ConditionTrue); c != nil {
		events = append(events, warning("UnsafeFencing", "Validate", c.Message))
	}
	return events
}

// turned returns the condition if it has only now got the status.
func turned(before, after []metav1.Condition, kind string, status metav1.ConditionStatus) *metav1.Condition {
	c := meta.FindStatusCondition(after, kind)
	if c == nil || c.Status != status || meta.IsStatusConditionPresentAndEqual(before, kind, status) {
		return nil
	}
	return c
}
