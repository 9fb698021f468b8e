package model

import (
	"slices"
	"time"
)

// GroupMember is a group of mode LoadBalanced on one node. Each member is an ownership of its own: it has an epoch and is withdrawn
// like a group's assignment, and the epochs of all members come out of one count, so that none is ever used twice in a group (S5).
// That several nodes have the group at once is the mode's purpose, so S1 says nothing of it and no member needs a proof that another
// node is harmless: only an earlier life of its own node could be in its way, and a newer life proves that one over (O3).
type GroupMember struct {
	Node       string
	ID         NodeID
	Generation Generation
	Epoch      Epoch
	View       ViewID
	Reason     Reason
	Time       time.Time
	// Withdrawn says that the node is to take the group offline (O1). The entry goes when the node has said that it did, when a newer
	// life of it is in the view, or when it was lost for longer than it may go on.
	Withdrawn bool
	// State is the aggregate of the resources as the node reports them for the epoch.
	State GroupState
}

// Assignment is what the member asks of its node, in the form of a group's assignment.
func (m *GroupMember) Assignment() Assignment {
	a := Assignment{Epoch: m.Epoch, View: m.View, Reason: m.Reason, Time: m.Time}
	if m.Withdrawn {
		a.Unproven = []Owner{m.owner(m.Epoch - 1)}
		return a
	}
	a.Node, a.ID, a.Generation = m.Node, m.ID, m.Generation
	return a
}

// AssignmentFor is what the group's status asks of one node: its assignment, or that node's member. The zero value asks nothing.
func (g *Group) AssignmentFor(node string) Assignment {
	if g.Mode != ModeLoadBalanced {
		return g.Assignment
	}
	for i := range g.Members {
		if g.Members[i].Node == node {
			return g.Members[i].Assignment()
		}
	}
	return Assignment{}
}

// Owner is the member's node in the life in which it has the group.
func (m *GroupMember) Owner() Owner { return m.owner(m.Epoch) }

func (m *GroupMember) owner(e Epoch) Owner {
	return Owner{Node: m.Node, ID: m.ID, Generation: m.Generation, Epoch: e}
}

// AggregateMembers is the state of a group of mode LoadBalanced. Clients are served as long as one member is online, so, other than
// among the resources of one node, one that has failed does not make the group Failed: Online when every member that is to have it is
// Online, PartialOnline when only some are; with none online Failed wins over Pending, Pending over the rest. Members on their way
// out count only when no other is left.
func AggregateMembers(members []GroupMember) GroupState {
	count := map[GroupState]int{}
	all := 0
	for i := range members {
		if !members[i].Withdrawn {
			count[members[i].State]++
			all++
		}
	}
	switch {
	case all == 0 && slices.ContainsFunc(members, func(m GroupMember) bool { return m.State == GroupPending }):
		return GroupPending
	case all == 0:
		return GroupOffline
	case count[GroupOnline] == all:
		return GroupOnline
	case count[GroupOnline] > 0 || count[GroupPartialOnline] > 0:
		return GroupPartialOnline
	case count[GroupFailed] > 0:
		return GroupFailed
	case count[GroupPending] > 0:
		return GroupPending
	}
	return GroupOffline
}
