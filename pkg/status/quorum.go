package status

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

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
	st.Witness = witnessStatus(o, votes)
	st.Forced = votes.Forced
	set := conditionSet{list: &st.Conditions, generation: o.Quorum.Generation, now: now}
	found, refused := validation.FirstError(validation.CheckQuorum(o))
	switch {
	case o.Cluster == nil:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonClusterNotFound,
			fmt.Sprintf("spec.clusterName: there is no Cluster %q", o.Quorum.Spec.ClusterName))
	case refused:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, found.Reason, found.Field+": "+found.Message)
	default:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is usable")
	}
	quorumReady(set, o, votes)
	return st
}

// quorumReady says whether there is quorum, and whether the witness does its part.
func quorumReady(set conditionSet, o *snapshot.Objects, votes Votes) {
	tally := fmt.Sprintf("%d of %d votes, %d are required", votes.Present, votes.Total, votes.Required)
	if votes.Forced {
		tally += "; quorum was forced, until a majority of the configured votes is back"
	}
	switch {
	case o.Cluster == nil || o.Cluster.Status.ClusterID == "" || votes.Required == 0:
		set.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.QuorumReasonNotFormed, "the cluster was not formed yet")
	case o.View() == nil:
		set.set(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.QuorumReasonNoQuorum, "no quorate view of the cluster is reported")
	case o.Quorum.Spec.Witness != nil && !votes.WitnessHeld:
		set.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.QuorumReasonWitnessFailed,
			tally+"; no node holds the witness: status.agent.problems of the Nodes say why")
	default:
		set.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.QuorumReasonQuorate, tally)
	}
}

// witnessStatus is how the witness does, by the word of the present view and the problems of the nodes. One that is held may still be
// out of some node's reach, which the message says.
func witnessStatus(o *snapshot.Objects, votes Votes) *v1alpha1.WitnessStatus {
	if o.Quorum.Spec.Witness == nil {
		return &v1alpha1.WitnessStatus{State: v1alpha1.WitnessNone}
	}
	st := &v1alpha1.WitnessStatus{State: v1alpha1.WitnessUnknown, Votes: votes.WitnessCounts, Message: witnessTrouble(o)}
	switch published, _ := o.Published(); {
	case published == nil || o.View() == nil:
	case published.WitnessHeld:
		st.State = v1alpha1.WitnessHeld
		if n := o.NodeByID(published.WitnessHolder); n != nil {
			st.Holder = n.Name
		}
	case st.Message != "":
		st.State = v1alpha1.WitnessFailed
	default:
		st.State = v1alpha1.WitnessFree
	}
	return st
}

// witnessTrouble says what the first node that cannot use the witness says about it, and how many there are.
func witnessTrouble(o *snapshot.Objects) string {
	var first, message string
	count := 0
	for _, n := range o.Nodes {
		if n.Status.Agent == nil {
			continue
		}
		for _, p := range n.Status.Agent.Problems {
			if p.Reason != v1alpha1.ProblemWitness {
				continue
			}
			if count++; count == 1 {
				first, message = n.Name, p.Message
			}
		}
	}
	switch count {
	case 0:
		return ""
	case 1:
		return bounded(fmt.Sprintf("Node %s cannot use it: %s", first, message))
	}
	return bounded(fmt.Sprintf("%d Nodes cannot use it; Node %s: %s", count, first, message))
}
