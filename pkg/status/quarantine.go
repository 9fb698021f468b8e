package status

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quarantine"
)

// exited says that the node has left the quorate view without notice since its status was last written: the view lacks it, or has it in
// a newer life, and somebody was there all the while who went on without it. When the whole cluster has lost quorum, or power, nobody
// was, and no node is to blame. A node that was drained, or is in maintenance or being deleted, leaves because an operator wants it to.
func exited(f *NodeFacts) bool {
	st := &f.Node.Status
	generation, member := f.View.Generation(model.NodeID(st.ID))
	if !inView(st.State) || f.View == nil || member && int64(generation) == st.Generation {
		return false
	}
	return !onPurpose(f) && slices.ContainsFunc(f.Nodes, func(n *v1alpha1.Node) bool { return n.Name != f.Node.Name && survived(n, f.View) })
}

func onPurpose(f *NodeFacts) bool {
	return f.Node.DeletionTimestamp != nil || f.Node.Spec.Maintenance || f.Cluster != nil && f.Cluster.Spec.Maintenance ||
		meta.IsStatusConditionTrue(f.Node.Status.Conditions, v1alpha1.NodeConditionDrained)
}

// survived says that the node is in the view in the life in which it was in the one before. One whose life began with this very view is
// not such a node, even if its status was written first.
func survived(n *v1alpha1.Node, view *model.View) bool {
	generation, member := view.Generation(model.NodeID(n.Status.ID))
	if !member || !inView(n.Status.State) || n.Status.Generation != int64(generation) {
		return false
	}
	return n.Status.JoinedAt == nil || view.Installed.IsZero() || n.Status.JoinedAt.Time.Before(view.Installed)
}

// judgeExits decides over all nodes together, since only so many may be in quarantine at once.
func judgeExits(facts []*NodeFacts, statuses []*v1alpha1.NodeStatus) []quarantine.Verdict {
	out := make([]quarantine.Verdict, len(facts))
	if len(facts) == 0 {
		return out
	}
	nodes := make([]quarantine.Node, 0, len(facts))
	for _, st := range statuses {
		if st.ID == 0 {
			continue // it was never in a view
		}
		n := quarantine.Node{ID: model.NodeID(st.ID)}
		for _, t := range st.UngracefulExits {
			n.Exits = append(n.Exits, t.Time)
		}
		if q := st.Quarantine; q != nil {
			n.ClearedAt, n.Until = timeOrZero(q.ClearedAt), timeOrZero(q.Until)
		}
		nodes = append(nodes, n)
	}
	verdicts := quarantine.Decide(nodes, quarantineSettings(facts[0].Cluster), facts[0].Now)
	for i, st := range statuses {
		if st.ID != 0 {
			out[i] = verdicts[model.NodeID(st.ID)]
		}
	}
	return out
}

func timeOrZero(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func quarantineSettings(c *v1alpha1.Cluster) quarantine.Settings {
	s := quarantine.Default()
	if c == nil {
		return s
	}
	q := c.Spec.Quarantine
	if q.Threshold != nil {
		s.Threshold = int(*q.Threshold)
	}
	if q.Period != nil {
		s.Period = q.Period.Duration
	}
	if q.Duration != nil {
		s.Duration = q.Duration.Duration
	}
	return s
}

func setQuarantine(st *v1alpha1.NodeStatus, v quarantine.Verdict) {
	if st.Quarantine == nil && v.Until.IsZero() {
		return
	}
	if st.Quarantine == nil {
		st.Quarantine = &v1alpha1.NodeQuarantine{}
	}
	st.Quarantine.Until = second(v.Until)
	if *st.Quarantine == (v1alpha1.NodeQuarantine{}) {
		st.Quarantine = nil
	}
}

func quarantined(st *v1alpha1.NodeStatus) bool {
	return st.Quarantine != nil && st.Quarantine.Until != nil
}

// quarantineCondition says whether the node takes groups as far as its exits are concerned, and until when it does not. A node that was
// never in a view has no such condition.
func quarantineCondition(set *conditionSet, f *NodeFacts, v quarantine.Verdict) {
	s := quarantineSettings(f.Cluster)
	switch {
	case !v.Until.IsZero():
		set.set(v1alpha1.NodeConditionQuarantined, metav1.ConditionTrue, v1alpha1.NodeReasonUngracefulExits, fmt.Sprintf(
			"the node left the view without notice %d times within %s: it keeps its groups and takes no more until %s, or until annotation %s=yes",
			s.Threshold, s.Period, v.Until.UTC().Format(time.RFC3339), v1alpha1.ClearQuarantineAnnotation))
	case v.Spared:
		set.set(v1alpha1.NodeConditionQuarantined, metav1.ConditionFalse, v1alpha1.NodeReasonSpared, fmt.Sprintf(
			"the node left the view without notice %d times within %s; as many nodes as may be are in quarantine already, so it is not", s.Threshold, s.Period))
	default:
		set.set(v1alpha1.NodeConditionQuarantined, metav1.ConditionFalse, v1alpha1.NodeReasonWellBehaved, "the node has not left the view too often")
	}
}

func quarantineEvents(before, after *v1alpha1.NodeStatus) []Event {
	switch {
	case !quarantined(before) && quarantined(after):
		return []Event{warning("NodeQuarantined", "Quarantine", "the node left the view without notice too often: it takes no groups until "+
			after.Quarantine.Until.UTC().Format(time.RFC3339))}
	case quarantined(before) && !quarantined(after):
		return []Event{normal("QuarantineEnded", "Quarantine", "the node takes groups again")}
	}
	return nil
}

// ClearRefused is the Event that says why an annotation has cleared nothing.
func ClearRefused(why string) Event { return warning("ClearQuarantineRefused", "Quarantine", why) }

// Cleared is the node's status after an operator has forgiven what it did, under the token of the annotation; nil when the token has
// acted before.
func Cleared(st *v1alpha1.NodeStatus, token string, now time.Time) *v1alpha1.NodeStatus {
	if token != "" && st.Quarantine != nil && st.Quarantine.Token == token {
		return nil
	}
	out := st.DeepCopy()
	out.Quarantine = &v1alpha1.NodeQuarantine{ClearedAt: second(now), Token: token}
	meta.SetStatusCondition(&out.Conditions, metav1.Condition{
		Type: v1alpha1.NodeConditionQuarantined, Status: metav1.ConditionFalse, Reason: v1alpha1.NodeReasonWellBehaved,
		Message: "an operator has cleared the quarantine", ObservedGeneration: out.ObservedGeneration,
		LastTransitionTime: metav1.Time{Time: now.Truncate(time.Second)},
	})
	return out
}
