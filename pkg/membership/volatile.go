package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Volatile is all that a machine knows beside its Persistent: promises, grants, sequence numbers, the view. Saved before each
// message goes out, it lets an agent that was killed go on within the same boot as if nothing had happened (R2). It is plain
// data for an encoder; callers do not look inside.
type Volatile struct {
	Incarnation uint64           `json:"incarnation"`
	Generation  model.Generation `json:"generation"`
	Sequence    uint64           `json:"sequence"`
	// Sent are the sending times of the last messages: a grant counts from there (R1).
	Sent []SentAt `json:"sent,omitempty"`
	// QuietUntil ends the wait of a start (R2).
	QuietUntil time.Duration `json:"quietUntil"`
	NextBeat   time.Duration `json:"nextBeat"`

	Clean      bool `json:"clean"`
	Leaving    bool `json:"leaving,omitempty"`
	Left       bool `json:"left,omitempty"`
	ReachesAPI bool `json:"reachesAPI,omitempty"`
	Pending    bool `json:"pending,omitempty"`

	View      *View         `json:"view,omitempty"`
	ViewSince time.Duration `json:"viewSince,omitempty"`
	// Acted says that this view or an earlier one of this generation was acted in, so keeping counts (R7).
	Acted bool `json:"acted,omitempty"`
	// ActedInView says that QuorumGained was told for the present view.
	ActedInView bool           `json:"actedInView,omitempty"`
	Proposal    []model.Member `json:"proposal,omitempty"`
	Peers       []Peer         `json:"peers,omitempty"`

	// Said is what peers say, each thing once: all members of a view of 64 carry the same 64 members.
	Said *said `json:"said,omitempty"`

	// Suspended is the view from which this node is suspended, Dropped that view with its members, SuspendedUntil when the stop begins;
	// zero when it is not.
	Dropped        *View         `json:"dropped,omitempty"`
	Suspended      model.ViewID  `json:"suspended,omitzero"`
	SuspendedUntil time.Duration `json:"suspendedUntil,omitempty"`
	// KeptUntil is the last end of keeping that was known.
	KeptUntil time.Duration `json:"keptUntil,omitempty"`
}

// SentAt is the local time at which a sequence number was used.
type SentAt struct {
	Sequence uint64        `json:"sequence"`
	At       time.Duration `json:"at"`
}

// Peer is what the machine remembers of another node; see Volatile.
type Peer struct {
	ID          model.NodeID     `json:"id"`
	Incarnation uint64           `json:"incarnation,omitempty"`
	Generation  model.Generation `json:"generation,omitempty"`
	Sequence    uint64           `json:"sequence,omitempty"`
	LastHeard   time.Duration    `json:"lastHeard,omitempty"`
	// Silent is set by Tick only, and cleared by hearing the peer. A peer that was never heard is silent.
	Silent bool `json:"silent"`

	// GrantUntil is until when its grant counts: T from our sending of the datagram that it granted.
	GrantUntil time.Duration `json:"grantUntil,omitempty"`
	// PromisedUntil is until when we may install no view without it.
	PromisedUntil time.Duration `json:"promisedUntil,omitempty"`
	// Outside is set while the peer is not in our proposal, OutsideSince is since when (R9a).
	Outside      bool          `json:"outside,omitempty"`
	OutsideSince time.Duration `json:"outsideSince,omitempty"`

	// The rest is from its last message.
	NotReady   bool `json:"notReady,omitempty"`
	Leaving    bool `json:"leaving,omitempty"`
	Released   bool `json:"released,omitempty"`
	ReachesAPI bool `json:"reachesAPI,omitempty"`
	Pending    bool `json:"pending,omitempty"`
	// ReachesWitness, CannotServe, Acting, Suspended and Claim are from the message; WitnessUntil is until when the claim counts here.
	ReachesWitness bool           `json:"reachesWitness,omitempty"`
	CannotServe    bool           `json:"cannotServe,omitempty"`
	Acting         bool           `json:"acting,omitempty"`
	Suspended      model.ViewID   `json:"suspended,omitzero"`
	Claim          Claim          `json:"claim,omitzero"`
	WitnessUntil   time.Duration  `json:"witnessUntil,omitempty"`
	Hears          idSet          `json:"hears,omitempty"`
	View           *View          `json:"-"`
	Proposal       []model.Member `json:"-"`
	HighestView    uint64         `json:"highestView,omitempty"`
	Committed      *quorum.Record `json:"-"`
	Tentative      *quorum.Record `json:"-"`

	// Places are those of View, Proposal, Committed and Tentative in Volatile.Said, from 1; 0 for none.
	Places [4]int `json:"said,omitzero"`
}

// said has each thing once that peers say.
type said struct {
	Views     []*View          `json:"views,omitempty"`
	Proposals [][]model.Member `json:"proposals,omitempty"`
	Records   []*quorum.Record `json:"records,omitempty"`
}

// pack makes Said and the Places of the peers in it, for the encoder.
func (v *Volatile) pack() {
	v.Said = &said{}
	for i := range v.Peers {
		p := &v.Peers[i]
		p.Places = [4]int{
			place(&v.Said.Views, p.View, p.View == nil, p.View.Equal),
			place(&v.Said.Proposals, p.Proposal, len(p.Proposal) == 0, func(o []model.Member) bool { return slices.Equal(o, p.Proposal) }),
			place(&v.Said.Records, p.Committed, p.Committed == nil, p.Committed.Equal),
			place(&v.Said.Records, p.Tentative, p.Tentative == nil, p.Tentative.Equal),
		}
	}
}

// place is where a thing is in a list, which it is added to if need be; 0 for nothing.
func place[T any](list *[]T, thing T, nothing bool, equal func(T) bool) int {
	if nothing {
		return 0
	}
	i := slices.IndexFunc(*list, equal)
	if i < 0 {
		i = len(*list)
		*list = append(*list, thing)
	}
	return i + 1
}

// unpack gives the peers what they say. A place that is none says nothing: what a garbled file leaves out is told by the next datagram.
func (v *Volatile) unpack() {
	if v.Said == nil {
		return
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		p.View, p.Proposal = placed(v.Said.Views, p.Places[0]), placed(v.Said.Proposals, p.Places[1])
		p.Committed, p.Tentative = placed(v.Said.Records, p.Places[2]), placed(v.Said.Records, p.Places[3])
	}
	v.Said = nil
}

func placed[T any](list []T, place int) (none T) {
	if place < 1 || place > len(list) {
		return none
	}
	return list[place-1]
}

// clone copies what later steps change in place. Views, proposals and records are replaced, never changed, so they are shared.
func (v *Volatile) clone() *Volatile {
	c := *v
	c.Sent = slices.Clone(v.Sent)
	c.Peers = slices.Clone(v.Peers)
	return &c
}

// member returns the peer in the life in which it was last heard.
func (p *Peer) member() model.Member { return model.Member{ID: p.ID, Generation: p.Generation} }

// hears reports whether the peer says that it hears that node.
func (p *Peer) hears(id model.NodeID) bool { return p.Hears.has(int(id)) }
