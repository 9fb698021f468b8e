package policy

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// Candidate is a node seen as a place for a group.
type Candidate struct {
	Node string
	ID   model.NodeID
	// Eligible says that the node may take the group.
	Eligible bool
	// Rank is 1 for the best of the eligible nodes; 0 for the others.
	Rank int
	// Reasons say why it may not.
	Reasons []model.Reason
	// Message is a sentence with the reasons' details. Explain says of an eligible node by which rule the first one comes before it.
	Message string
}

// Candidates are what one search found out about all nodes. A full placement has one for every group, each over all nodes, and few of
// them are ever read: so they are kept in short, and told when they are asked for.
type Candidates struct {
	// nodes are the plan's, in order of their ids.
	nodes []nodeID
	// eligible are the places in nodes of those that may take the group, best first.
	eligible []uint16
	others   []Candidate
}

type nodeID struct {
	name string
	id   model.NodeID
}

// CandidatesOf keeps a list that is there already.
func CandidatesOf(list []Candidate) Candidates { return Candidates{others: list} }

// None says that no node was looked for.
func (c Candidates) None() bool { return len(c.eligible)+len(c.others) == 0 }

// All are all nodes, best first, those that may not take the group last, by id; nil when no node was looked for.
func (c Candidates) All() []Candidate {
	if c.None() {
		return nil
	}
	list := make([]Candidate, 0, len(c.eligible)+len(c.others))
	for i, at := range c.eligible {
		list = append(list, Candidate{Node: c.nodes[at].name, ID: c.nodes[at].id, Eligible: true, Rank: i + 1})
	}
	return append(list, c.others...)
}

// Equal says that both tell the same.
func (c Candidates) Equal(other Candidates) bool {
	return slices.EqualFunc(c.All(), other.All(), func(a, b Candidate) bool {
		return a.Node == b.Node && a.ID == b.ID && a.Eligible == b.Eligible && a.Rank == b.Rank && a.Message == b.Message && slices.Equal(a.Reasons, b.Reasons)
	})
}
