package status

import (
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/snapshot"
)

// witnessName stands for the witness among the names of nodes.
const witnessName = "witness"

// Votes are how the votes of a cluster stand.
type Votes struct {
	// Voters are the ids that count under the present vote record, in order.
	Voters []int32
	// Total is the number of votes that count, the witness's included; Required and Present are votes too.
	Total, Required, Present int32
	// WitnessCounts says that the witness has one of them, WitnessHeld that the view holds it.
	WitnessCounts, WitnessHeld bool
	// Forced says that the record is an operator's.
	Forced bool

	record *quorum.Record
}

// CountVotes reads the vote record that the reporter of the highest view has persisted (R5).
func CountVotes(o *snapshot.Objects) Votes {
	published, reporter := o.Published()
	if published == nil {
		return Votes{}
	}
	agent := reporter.Status.Agent
	r := recordOf(agent)
	votes := Votes{
		Total: int32(r.Total()), WitnessCounts: r.WitnessCounts(), WitnessHeld: published.WitnessHeld, Forced: agent.Forced, record: r,
	}
	for _, id := range r.Counting() {
		votes.Voters = append(votes.Voters, int32(id))
	}
	if votes.Total == 0 {
		return votes
	}
	votes.Required = int32(r.Required())
	if view := o.View(); view != nil {
		votes.Present = int32(r.Votes(view.Has, votes.WitnessHeld))
	}
	return votes
}

func recordOf(agent *v1alpha1.AgentStatus) *quorum.Record {
	voters := make([]model.NodeID, 0, len(agent.Voters))
	for _, id := range agent.Voters {
		voters = append(voters, model.NodeID(id))
	}
	r := quorum.NewRecord(uint64(agent.RecordNumber), 0, voters)
	if agent.WitnessVotes {
		r.Witness = 1 // which one does not matter for counting
	}
	r.WitnessOnly, r.Forced = agent.WitnessOnly, agent.Forced
	return r
}

// lossEndsQuorum names each node of the view, and the witness, whose loss alone would end quorum now.
func lossEndsQuorum(o *snapshot.Objects, view *model.View, votes Votes) []string {
	if view == nil || votes.record == nil {
		return nil
	}
	var names []string
	for _, member := range view.Members {
		has := func(id model.NodeID) bool { return id != member.ID && view.Has(id) }
		if node := o.NodeByID(int32(member.ID)); node != nil && !votes.record.Quorate(has, votes.WitnessHeld) {
			names = append(names, node.Name)
		}
	}
	slices.Sort(names)
	if votes.WitnessHeld && !votes.record.Quorate(view.Has, false) {
		names = append(names, witnessName)
	}
	return names
}

// failuresLeft is how many nodes may still fail one after the other, whichever they are. With dynamic votes the record follows: beside
// a witness down to the last node standing, without one down to two voters, of which the higher does not count. With static votes a
// majority has to stay.
func failuresLeft(o *snapshot.Objects, view *model.View) int32 {
	votes := CountVotes(o)
	switch {
	case view == nil || votes.record == nil:
		return 0
	case votes.record.WitnessOnly:
		return max(0, int32(len(view.Members))-1)
	case o.Quorum == nil || o.Quorum.Spec.DynamicVotes == nil || *o.Quorum.Spec.DynamicVotes:
		last := int32(2)
		if votes.WitnessHeld {
			last = 1
		}
		return max(0, int32(len(view.Members))-last)
	}
	return max(0, votes.Present-votes.Required)
}
