package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// View is an agreed membership with the generation in which each node is a member. Members are sorted by id. ID.Record is not
// part of the protocol and stays 0 here.
type View struct {
	ID      model.ViewID   `json:"id"`
	Members []model.Member `json:"members"`
}

// Equal reports whether both are the same view: number, coordinator and members with their generations.
func (v *View) Equal(o *View) bool {
	if v == nil || o == nil || v == o {
		return v == o
	}
	return v.ID.Number == o.ID.Number && v.ID.Coordinator == o.ID.Coordinator && slices.Equal(v.Members, o.Members)
}

// Has reports whether the node is a member, in any generation.
func (v *View) Has(id model.NodeID) bool {
	_, found := v.member(id)
	return found
}

// HasMember reports whether the node is a member in exactly this generation.
func (v *View) HasMember(m model.Member) bool {
	o, found := v.member(m.ID)
	return found && o == m
}

func (v *View) member(id model.NodeID) (model.Member, bool) {
	if v == nil {
		return model.Member{}, false
	}
	return memberIn(v.Members, id)
}

// memberIn finds a node in a list that is sorted by id.
func memberIn(members []model.Member, id model.NodeID) (model.Member, bool) {
	i, found := slices.BinarySearchFunc(members, id, func(o model.Member, id model.NodeID) int { return int(o.ID) - int(id) })
	if !found {
		return model.Member{}, false
	}
	return members[i], true
}

// Clone returns a copy that shares nothing; nil for nil.
func (v *View) Clone() *View {
	if v == nil {
		return nil
	}
	return &View{ID: v.ID, Members: slices.Clone(v.Members)}
}

// Message is what one datagram carries; the same message goes to every peer on every internal network. The codec and the
// cluster's id are pkg/heartbeat's. Nobody changes what it points to, and a receiver keeps nothing of it after Receive: it copies.
type Message struct {
	From model.NodeID
	// Incarnation counts the starts of the sender that did not resume; sequences begin again at 1 with each.
	Incarnation uint64
	// Generation is the sender's life (O3); what it says of itself holds for this one.
	Generation model.Generation
	// Sequence grows by one with each message of an incarnation.
	Sequence uint64
	// Hold is the sender's T: it keeps each grant of this message for 1.03 of it, and nobody counts more (R1, R4).
	Hold time.Duration

	// NotReady keeps the sender out of proposals: it has just started (R2) or has something of a burnt generation left (O3).
	NotReady bool
	// Leaving asks for a record without the sender.
	Leaving bool
	// Released says that the sender has left: it holds no grant of anyone and runs nothing (R1).
	Released bool
	// ReachesAPI says that the sender reaches the API server.
	ReachesAPI bool
	// Pending says that the sender goes by its journal and not by the API server (package autonomy).
	Pending bool
	// ReachesWitness says that the sender's last operation on the witness did not fail; CannotServe that no client network of it
	// works (R8i); Acting that it acts in View.
	ReachesWitness, CannotServe, Acting bool
	// Suspended names the view from which the sender is suspended; zero when it is not. It is then NotReady for everybody else.
	Suspended model.ViewID
	// Claim is the vote of the witness, from its holder (R8d); nil from everybody else.
	Claim *Claim

	// Heard has an entry for each peer that the sender has ever heard in this incarnation, sorted by id.
	Heard []Heard
	// View is the sender's installed view, nil if none.
	View *View
	// Proposal is the set that the sender wants as a view, sorted by id; empty if none.
	Proposal []model.Member
	// HighestView is the highest view number that the sender has persisted (R3).
	HighestView uint64
	// Committed and Tentative are the sender's vote records (R5); nil if none.
	Committed, Tentative *quorum.Record
}

// Heard tells a peer what its datagrams did.
type Heard struct {
	ID model.NodeID `json:"id"`
	// Incarnation, Generation and Sequence are those of the last datagram heard of that peer.
	Incarnation uint64           `json:"incarnation"`
	Generation  model.Generation `json:"generation"`
	Sequence    uint64           `json:"sequence"`
	// Alive says that the peer is not silent.
	Alive bool `json:"alive"`
	// Grant promises to install no view without that peer until 1.03 x Hold after that datagram was received (R1).
	Grant bool `json:"grant"`
}

// heard returns the entry for a node.
func (m *Message) heard(id model.NodeID) (Heard, bool) {
	i, ok := slices.BinarySearchFunc(m.Heard, id, func(h Heard, id model.NodeID) int { return int(h.ID) - int(id) })
	if !ok {
		return Heard{}, false
	}
	return m.Heard[i], true
}
