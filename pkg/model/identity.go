package model

import (
	"fmt"
	"time"
)

// NodeID numbers a node within its cluster: 1 to MaxNodeID, never reused. It has 12 bits in a reservation key.
type NodeID uint16

// MaxNodeID is the largest node id that a reservation key can carry (12 bits).
const MaxNodeID NodeID = 1<<12 - 1

// Generation counts the lives of a node: it grows at boot and whenever the node has lost quorum (rule O3). All that ran in an
// older generation is burnt, and a newer generation seen in a view proves that the older one has stopped.
type Generation uint64

// Epoch counts the ownerships of a group. It only grows. It has 28 bits in a reservation key (rule O7).
type Epoch uint32

// MaxEpoch is the largest epoch; past it an assignment is refused with EpochExhausted, it never wraps.
const MaxEpoch Epoch = 1<<28 - 1

// Member is a node in one of its lives.
type Member struct {
	ID         NodeID     `json:"id"`
	Generation Generation `json:"generation"`
}

func (m Member) String() string { return fmt.Sprintf("%d.%d", m.ID, m.Generation) }

// ViewID names an installed membership: (number, coordinator) is unique (rule R3); views are ordered by Number.
// Record is the number of the vote record that was committed when the view was reported, for display only.
type ViewID struct {
	Number      uint64 `json:"number"`
	Coordinator NodeID `json:"coordinator"`
	Record      uint64 `json:"record,omitempty"`
}

func (v ViewID) String() string { return fmt.Sprintf("%d/%d", v.Number, v.Coordinator) }

// IsZero reports whether no view is named.
func (v ViewID) IsZero() bool { return v.Number == 0 }

// View is a membership that agents have agreed on, as its reporter publishes it.
type View struct {
	ID      ViewID
	Members []ViewMember
	// Quorate is true when the reporter was acting (rule R7) in this view.
	Quorate bool
	// Reporter is the node that published it.
	Reporter NodeID
	// Installed is the reporter's wall clock at installation; for display and phase times only.
	Installed time.Time
	// Detect is how long the last lost member had been silent when this view was installed.
	Detect time.Duration
}

// ViewMember is a member of a view with what the coordinator's side knows of it.
type ViewMember struct {
	Member
	// ReachesAPI says that the member's agent reaches the API server.
	ReachesAPI bool
}

// Has reports whether the node is a member.
func (v *View) Has(id NodeID) bool {
	_, ok := v.Generation(id)
	return ok
}

// Generation returns the life in which the node is a member.
func (v *View) Generation(id NodeID) (Generation, bool) {
	if v == nil {
		return 0, false
	}
	for _, m := range v.Members {
		if m.ID == id {
			return m.Member.Generation, true
		}
	}
	return 0, false
}
