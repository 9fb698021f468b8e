package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Cluster computes a cluster's status, but for clusterID, formation and lastNodeID: those are acts, not observations.
func Cluster(o *snapshot.Objects, now time.Time) *v1alpha1.ClusterStatus {
	st := o.Cluster.Status.DeepCopy()
	st.ObservedGeneration = o.Cluster.Generation
	view := o.View()
	st.Quorate = view != nil
	if view != nil {
		st.Membership = membership(o, view)
	}
	st.FailuresLeft = failuresLeft(o, view)
	st.LossEndsQuorum = lossEndsQuorum(o, view, CountVotes(o))
	st.Networks = networks(o, view)
	st.NodesUp, st.NodesTotal, st.GroupsOnline, st.GroupsTotal = 0, int32(len(o.Nodes)), 0, int32(len(o.Groups))
	for _, n := range o.Nodes {
		if n.Status.ID != 0 && view.Has(model.NodeID(n.Status.ID)) {
			st.NodesUp++
		}
	}
	for _, g := range o.Groups {
		if g.Status.State == v1alpha1.GroupOnline {
			st.GroupsOnline++
		}
	}
	st.Access = access(o)
	clusterConditions(st, o, now)
	return st
}

func membership(o *snapshot.Objects, view *model.View) *v1alpha1.Membership {
	published, reporter := o.Published()
	m := &v1alpha1.Membership{
		ViewID: published.ID, WitnessHeld: published.WitnessHeld, Since: published.InstalledAt, Reporter: reporter.Name,
	}
	for _, member := range view.Members {
		if n := o.NodeByID(int32(member.ID)); n != nil {
			m.Members = append(m.Members, n.Name)
		}
	}
	slices.Sort(m.Members)
	if n := o.NodeByID(published.ID.Coordinator); n != nil {
		m.Coordinator = n.Name
	}
	return m
}

func clusterConditions(st *v1alpha1.ClusterStatus, o *snapshot.Objects, now time.Time) {
	set := conditionSet{list: &st.Conditions, generation: o.Cluster.Generation, now: now}
	formed, reason, message := formed(st, o)
	set.set(v1alpha1.ClusterConditionFormed, truth(formed), reason, message)
	quorate := metav1.ConditionTrue
	quorateReason, quorateMessage := v1alpha1.ClusterReasonQuorate, "a view with quorum reports"
	switch {
	case st.Quorate:
	case o.LastView() != nil:
		quorate, quorateReason = metav1.ConditionUnknown, v1alpha1.ClusterReasonReporterSilent
		quorateMessage = "the reporter of the last quorate view gives no sign of life: either quorum is lost or no member reaches the API server"
	default:
		quorate, quorateReason, quorateMessage = metav1.ConditionFalse, v1alpha1.ClusterReasonNoQuorum, "no view with quorum was reported yet"
	}
	set.set(v1alpha1.ClusterConditionQuorate, quorate, quorateReason, quorateMessage)
	bad := troubled(st.Networks)
	if len(bad) == 0 {
		set.set(v1alpha1.ClusterConditionNetworksUp, metav1.ConditionTrue, v1alpha1.ClusterReasonNetworksUp, "every network connects all nodes of the view")
	} else {
		set.set(v1alpha1.ClusterConditionNetworksUp, metav1.ConditionFalse, v1alpha1.ClusterReasonNetworkDegraded, strings.Join(bad, ", "))
	}
	switch {
	case !formed:
		set.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	case !st.Quorate:
		set.set(v1alpha1.ConditionReady, quorateToReady(quorate), quorateReason, quorateMessage)
	case st.NodesUp < st.NodesTotal:
		set.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ClusterReasonNodesMissing,
			fmt.Sprintf("%d of %d nodes are in the quorate view", st.NodesUp, st.NodesTotal))
	default:
		set.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "all nodes are in the quorate view")
	}
}

func quorateToReady(quorate metav1.ConditionStatus) metav1.ConditionStatus {
	if quorate == metav1.ConditionUnknown {
		return metav1.ConditionUnknown
	}
	return metav1.ConditionFalse
}

func formed(st *v1alpha1.ClusterStatus, o *snapshot.Objects) (bool, string, string) {
	switch {
	case st.ClusterID != "" && (st.Formation == nil || st.Formation.Completed):
		return true, v1alpha1.ClusterReasonFormed, "the cluster was formed with id " + st.ClusterID
	case st.ClusterID != "":
		return false, v1alpha1.ClusterReasonForming, fmt.Sprintf("nodes with ids %v form the cluster", st.Formation.Members)
	case o.Quorum == nil:
		return false, v1alpha1.ClusterReasonNoQuorumConfig, fmt.Sprintf("there is no QuorumConfig %q: make it, or the cluster does not form", o.Cluster.Name)
	}
	ready, needed := FormationVoters(o)
	return false, v1alpha1.ClusterReasonWaitingForNodes, fmt.Sprintf("%d voting nodes have reported, %d are needed", len(ready), needed)
}

// FormationVoters are the ids of the voting nodes whose agents have reported without a vote record, and how many of them are needed
// for the first formation: a majority of the configured voting nodes (R11).
func FormationVoters(o *snapshot.Objects) (ready []int32, needed int) {
	voting := 0
	for _, n := range o.Nodes {
		if n.DeletionTimestamp != nil || n.Spec.Votes != nil && *n.Spec.Votes == 0 {
			continue
		}
		voting++
		if n.Status.ID != 0 && n.Status.Agent != nil && n.Status.Agent.ClusterID == "" && n.Status.Agent.RecordNumber == 0 && n.Status.Agent.BootID != "" {
			ready = append(ready, n.Status.ID)
		}
	}
	slices.Sort(ready)
	return ready, voting/2 + 1
}

func troubled(list []v1alpha1.ClusterNetworkStatus) []string {
	var bad []string
	for _, n := range list {
		if n.State == v1alpha1.NetworkPartitioned || n.State == v1alpha1.NetworkDown {
			bad = append(bad, strings.TrimSuffix("network "+n.Name+" is "+string(n.State)+": "+n.Message, ": "))
		}
	}
	return bad
}

// ClusterEvents tells what a change of a cluster's status is worth.
func ClusterEvents(before, after *v1alpha1.ClusterStatus) []Event {
	var events []Event
	if before.ClusterID == "" && after.ClusterID != "" {
		events = append(events, normal("Forming", "Form", "the cluster forms with id "+after.ClusterID))
	}
	switch {
	case !before.Quorate && after.Quorate:
		events = append(events, normal("Quorate", "Observe", "the cluster has quorum: "+viewSentence(after.Membership)))
	case before.Quorate && !after.Quorate:
		events = append(events, warning("NoQuorum", "Observe", "no quorate view reports any more"))
	case after.Quorate && before.Membership != nil && !slices.Equal(before.Membership.Members, after.Membership.Members):
		events = append(events, normal("MembershipChanged", "Observe", viewSentence(after.Membership)))
	}
	return events
}

func viewSentence(m *v1alpha1.Membership) string {
	return fmt.Sprintf("view %d has %s", m.ViewID.Number, strings.Join(m.Members, ", "))
}
