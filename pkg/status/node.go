package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quarantine"
	"github.com/quorate/quorate/pkg/snapshot"
)

// maxExits is how many ungraceful exits are kept.
const maxExits = 16

// NodeFacts are all that a node's status is computed from.
type NodeFacts struct {
	Node *v1alpha1.Node
	// Cluster is nil when the object is gone.
	Cluster *v1alpha1.Cluster
	// View is the view that decisions are made in; nil when there is none.
	View *model.View
	// Nodes are all nodes of the cluster, with what their agents say.
	Nodes []*v1alpha1.Node
	// Owns is how many groups are assigned to the node.
	Owns int
	// Members is how many groups of mode LoadBalanced have the node as a member. Every node may, so they make none Active.
	Members int
	Now     time.Time
}

// Node computes the status of a node that is alone in its cluster; see Nodes.
func Node(f *NodeFacts) *v1alpha1.NodeStatus { return Nodes([]*NodeFacts{f})[0] }

// Nodes computes the status of all nodes of a cluster, which bear on each other: only so many may be in quarantine at once. What the
// agents write is left as it is.
func Nodes(facts []*NodeFacts) []*v1alpha1.NodeStatus {
	statuses := make([]*v1alpha1.NodeStatus, len(facts))
	for i, f := range facts {
		statuses[i] = standing(f)
	}
	verdicts := judgeExits(facts, statuses)
	for i, f := range facts {
		setQuarantine(statuses[i], verdicts[i])
		statuses[i].Fencing = nodeFencing(statuses[i].Fencing, statuses[i].ID, f.Nodes)
		nodeConditions(statuses[i], f, verdicts[i])
	}
	return statuses
}

// standing is what the view says of the node: its state, and how often it has come and gone.
func standing(f *NodeFacts) *v1alpha1.NodeStatus {
	st := f.Node.Status.DeepCopy()
	before := st.State
	st.ObservedGeneration = f.Node.Generation
	st.State = v1alpha1.NodeState(snapshot.NodeState(f.Node, f.View))
	st.Role = v1alpha1.NodeStandby
	if f.Owns > 0 {
		st.Role = v1alpha1.NodeActive
	}
	if exited(f) {
		st.UngracefulExits = append(st.UngracefulExits, *second(f.Now))
		st.UngracefulExits = st.UngracefulExits[max(0, len(st.UngracefulExits)-maxExits):]
	}
	generation, member := f.View.Generation(model.NodeID(st.ID))
	if !member || st.ID == 0 {
		return st
	}
	if joined := inView(before) || before == v1alpha1.NodeUnknown; !joined || st.Generation != int64(generation) {
		st.Joins++
		st.JoinedAt = second(f.Now)
		st.Generation = int64(generation)
		// The count is what tells a joining node from one that has gone down.
		probe := *f.Node
		probe.Status = *st
		st.State = v1alpha1.NodeState(snapshot.NodeState(&probe, f.View))
	}
	return st
}

func inView(state v1alpha1.NodeState) bool {
	return state == v1alpha1.NodeUp || state == v1alpha1.NodePaused
}

func nodeConditions(st *v1alpha1.NodeStatus, f *NodeFacts, v quarantine.Verdict) {
	set := conditionSet{list: &st.Conditions, generation: f.Node.Generation, now: f.Now}
	ready, reason, message := nodeReadiness(st, f)
	set.set(v1alpha1.ConditionReady, ready, reason, message)
	if !inView(st.State) {
		set.set(v1alpha1.NodeConditionAgentDisconnected, metav1.ConditionUnknown, reason, "the node is in no quorate view")
	} else if connected(f.View, st.ID) {
		set.set(v1alpha1.NodeConditionAgentDisconnected, metav1.ConditionFalse, v1alpha1.NodeReasonReachesAPI, "the agent reaches the API server")
	} else {
		set.set(v1alpha1.NodeConditionAgentDisconnected, metav1.ConditionTrue, v1alpha1.NodeReasonNoAPI,
			"the agent does not reach the API server: the node keeps its groups and takes no more")
	}
	if stuck := stuckProblems(st); len(stuck) > 0 {
		set.set(v1alpha1.NodeConditionStuck, metav1.ConditionTrue, v1alpha1.ProblemCannotBeStopped, strings.Join(stuck, "; "))
	} else {
		meta.RemoveStatusCondition(&st.Conditions, v1alpha1.NodeConditionStuck)
	}
	switch {
	case f.Node.Spec.Availability != v1alpha1.AvailabilityDrained && f.Node.DeletionTimestamp == nil:
		set.set(v1alpha1.NodeConditionDrained, metav1.ConditionFalse, v1alpha1.NodeReasonNotDrained, "draining is not asked for")
	case f.Owns+f.Members > 0:
		set.set(v1alpha1.NodeConditionDrained, metav1.ConditionFalse, v1alpha1.NodeReasonDraining,
			fmt.Sprintf("%d groups are still to leave", f.Owns+f.Members))
	default:
		set.set(v1alpha1.NodeConditionDrained, metav1.ConditionTrue, v1alpha1.NodeReasonDrained, "no group is left")
	}
	quarantineCondition(&set, f, v)
}

func connected(view *model.View, id int32) bool {
	for _, m := range view.Members {
		if m.ID == model.NodeID(id) {
			return m.ReachesAPI
		}
	}
	return false
}

func nodeReadiness(st *v1alpha1.NodeStatus, f *NodeFacts) (metav1.ConditionStatus, string, string) {
	switch {
	case f.Cluster == nil:
		return metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound, fmt.Sprintf("spec.clusterName: there is no Cluster %q", f.Node.Spec.ClusterName)
	case st.ID == 0 && f.Cluster.Status.LastNodeID >= int32(model.MaxNodeID):
		return metav1.ConditionFalse, v1alpha1.NodeReasonIDsExhausted, "the cluster has given out all node ids"
	case st.State == v1alpha1.NodeJoining:
		return metav1.ConditionFalse, v1alpha1.NodeReasonJoining, joining(st)
	case st.State == v1alpha1.NodeUnknown:
		return metav1.ConditionUnknown, v1alpha1.NodeReasonNoQuorateView, "no quorate view of the cluster is reported"
	case st.State == v1alpha1.NodeDown:
		return metav1.ConditionFalse, v1alpha1.NodeReasonDown, withProblem("the node is not in the quorate view", st)
	case st.Agent != nil && len(st.Agent.Problems) > 0:
		return metav1.ConditionFalse, v1alpha1.NodeReasonAgentProblem, problemText(st.Agent.Problems[0])
	case quarantined(st):
		return metav1.ConditionFalse, v1alpha1.NodeReasonQuarantined, "the node is in the quorate view, and in quarantine: it takes no groups"
	case st.State == v1alpha1.NodePaused:
		return metav1.ConditionTrue, v1alpha1.NodeReasonPaused, "the node is in the quorate view and takes no groups"
	}
	return metav1.ConditionTrue, v1alpha1.NodeReasonUp, "the node is in the quorate view"
}

func joining(st *v1alpha1.NodeStatus) string {
	if st.Agent == nil {
		return "the node's agent has not reported yet"
	}
	return withProblem("the node was not yet in a quorate view", st)
}

func withProblem(message string, st *v1alpha1.NodeStatus) string {
	if st.Agent == nil || len(st.Agent.Problems) == 0 {
		return message
	}
	return message + "; its agent said: " + problemText(st.Agent.Problems[0])
}

func problemText(p v1alpha1.AgentProblem) string {
	text := p.Reason
	if p.Object != "" {
		text += " " + p.Object
	}
	if p.Message != "" {
		text += ": " + p.Message
	}
	return text
}

// NodeEvents tells what a change of a node's status is worth.
func NodeEvents(before, after *v1alpha1.NodeStatus) []Event {
	return slices.Concat(fencingEvents(before, after), stuckEvents(before, after), stateChange(before, after), quarantineEvents(before, after))
}

// stuckEvents tell of what an agent cannot stop, and when its host is reset for it (O10, O17): after the reset it could not tell.
func stuckEvents(before, after *v1alpha1.NodeStatus) []Event {
	stuck := meta.FindStatusCondition(after.Conditions, v1alpha1.NodeConditionStuck)
	if stuck == nil || meta.FindStatusCondition(before.Conditions, v1alpha1.NodeConditionStuck) != nil {
		return nil
	}
	return []Event{warning(v1alpha1.ProblemCannotBeStopped, "Stop", stuck.Message)}
}

// stuckProblems are what a node in the view cannot stop.
func stuckProblems(st *v1alpha1.NodeStatus) []string {
	var list []string
	if st.Agent == nil || !inView(st.State) {
		return nil
	}
	for _, p := range st.Agent.Problems {
		if p.Reason == v1alpha1.ProblemCannotBeStopped {
			list = append(list, strings.TrimSpace(p.Object+": "+p.Message))
		}
	}
	return list
}

func stateChange(before, after *v1alpha1.NodeStatus) []Event {
	if before.State == after.State {
		return nil
	}
	switch after.State {
	case v1alpha1.NodeUp:
		if before.State == v1alpha1.NodePaused {
			return []Event{normal("NodeResumed", "Resume", "the node takes groups again")}
		}
		return []Event{normal("NodeUp", "Join", fmt.Sprintf("the node is in the quorate view (generation %d)", after.Generation))}
	case v1alpha1.NodePaused:
		return []Event{normal("NodePaused", "Pause", "the node takes no groups")}
	case v1alpha1.NodeDown:
		return []Event{warning("NodeDown", "Leave", "the node is not in the quorate view any more")}
	case v1alpha1.NodeUnknown:
		return []Event{warning("NodeUnknown", "Observe", "no quorate view of the cluster is reported")}
	case v1alpha1.NodeJoining:
	}
	return nil
}
