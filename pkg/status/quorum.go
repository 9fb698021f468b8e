package status

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// Votes are how the votes of a cluster stand.
type Votes struct {
	// Voters are the ids that count under the present vote record, in order.
	Voters []int32
	// Required and Present are votes.
	Required, Present int32
}

// CountVotes reads the vote record that the reporter of the highest view has persisted. Of an even number of voters without a
// witness, the highest id does not count (R5).
func CountVotes(o *snapshot.Objects) Votes {
	published, reporter := o.Published()
	if published == nil {
		return Votes{}
	}
	voters := slices.Sorted(slices.Values(reporter.Status.Agent.Voters))
	if len(voters) > 1 && len(voters)%2 == 0 {
		voters = voters[:len(voters)-1]
	}
	votes := Votes{Voters: voters}
	if len(voters) > 0 {
		votes.Required = int32(len(voters)/2 + 1)
	}
	view := o.View()
	for _, id := range voters {
		if view.Has(model.NodeID(id)) {
			votes.Present++
		}
	}
	return votes
}

// Quorum computes a QuorumConfig's status.
func Quorum(o *snapshot.Objects, now time.Time) *v1alpha1.QuorumConfigStatus {
	st := o.Quorum.Status.DeepCopy()
	st.ObservedGeneration = o.Quorum.Generation
	votes := CountVotes(o)
	st.VotesRequired, st.VotesPresent = votes.Required, votes.Present
	st.Votes = nil
	for _, n := range o.Nodes {
		vote := v1alpha1.NodeVote{Node: n.Name, Configured: 1}
		if n.Spec.Votes != nil {
			vote.Configured = *n.Spec.Votes
		}
		if n.Status.ID != 0 && slices.Contains(votes.Voters, n.Status.ID) {
			vote.Current = 1
		}
		st.Votes = append(st.Votes, vote)
	}
	st.Witness = &v1alpha1.WitnessStatus{State: v1alpha1.WitnessNone}
	set := conditionSet{list: &st.Conditions, generation: o.Quorum.Generation, now: now}
	supported := o.Quorum.Spec.Mode == "" || o.Quorum.Spec.Mode == v1alpha1.QuorumNodeMajority
	found, refused := validation.FirstError(validation.CheckQuorum(o))
	switch {
	case o.Cluster == nil:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
			fmt.Sprintf("spec.clusterName: there is no Cluster %q", o.Quorum.Spec.ClusterName))
	case !supported:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.QuorumReasonModeNotSupported,
			fmt.Sprintf("spec.mode: this version does not support %s; use NodeMajority", o.Quorum.Spec.Mode))
	case refused:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, found.Reason, found.Field+": "+found.Message)
	default:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is usable")
	}
	tally := fmt.Sprintf("%d of %d votes, %d are required", votes.Present, len(votes.Voters), votes.Required)
	switch {
	case o.Cluster == nil || o.Cluster.Status.ClusterID == "" || votes.Required == 0:
		set.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.QuorumReasonNotFormed, "the cluster was not formed yet")
	case o.View() == nil:
		set.set(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.QuorumReasonNoQuorum, "no quorate view of the cluster is reported")
	default:
		set.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.QuorumReasonQuorate, tally)
	}
	return st
}
