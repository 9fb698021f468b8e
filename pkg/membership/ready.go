package membership

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Persistent must be on disk, with fsync, before any message that was handed out with it is sent. It is written as one: the
// pair (Committed, Tentative) is atomic (R5).
type Persistent struct {
	Incarnation uint64           `json:"incarnation"`
	Generation  model.Generation `json:"generation"`
	// HighestView is the highest view number made or adopted (R3).
	HighestView uint64 `json:"highestView"`
	// LongestHold is the longest T under which this node may have promised something: what a start waits out (R2).
	LongestHold time.Duration  `json:"longestHold"`
	Committed   *quorum.Record `json:"committed,omitempty"`
	Tentative   *quorum.Record `json:"tentative,omitempty"`
	// Prevent keeps the node from forming a quorum until it has joined one (A41).
	Prevent bool `json:"prevent,omitempty"`
}

// LostDiskMargin is what a host without state adds to the incarnation, generation and view number that the API server remembers
// of it, since what was reported may be older than what was lost; to the view number, that of the highest view that any node has
// reported, since another that lost its disk may have moved all of them up by as much. It gives New a Persistent of these three and
// nothing else, and reports the new incarnation and generation before it calls SetReady(true); its vote stays lost until R11 gives it
// back.
const LostDiskMargin = 64

func (p Persistent) clone() Persistent {
	p.Committed, p.Tentative = p.Committed.Clone(), p.Tentative.Clone()
	return p
}

// Ready is what the caller must do after a step, in the order of the fields (see the package comment).
type Ready struct {
	// Persist is nil when nothing changed.
	Persist *Persistent
	// Volatile is nil when there is nothing to send; what was received since and not answered may be lost, as a datagram may.
	Volatile *Volatile
	// Messages go to every peer on every internal network.
	Messages []Message
	Events   []Event
	// Witness is an operation to begin on the witness, nil for none. It may take as long as it takes: WitnessDone answers it.
	Witness *WitnessOp
}

// Event is something that happened in a step: ViewInstalled, QuorumGained, Suspended, QuorumLost, RecordCommitted or Left.
type Event interface{ event() }

// ViewInstalled tells that this node carries a new view. It is not quorate by that: wait for QuorumGained or Status.Acting.
type ViewInstalled struct {
	View     View
	Previous *View
	// Lost are the members of Previous that are not in View in the same generation.
	Lost []LostMember
	// Joined are the members of View that were not in Previous in the same generation.
	Joined []model.Member
	At     time.Duration
}

// LostMember is a member that a view has lost.
type LostMember struct {
	model.Member
	// Silent is how long nothing had been heard of it at the installation: the detection time.
	Silent time.Duration
}

// QuorumGained tells that the node has become acting in this view (R7).
type QuorumGained struct {
	View View
	At   time.Duration
}

// QuorumLost tells that keeping has ended, or was given up by leaving: the generation Burnt is over and all that ran in it must
// be gone before SetReady(true) (R6, O3). The machine is already not ready.
type QuorumLost struct {
	// View is the view that was dropped.
	View *View
	// Burnt is the generation that ended, Generation the new one.
	Burnt, Generation model.Generation
	At                time.Duration
}

// RecordCommitted tells of a new committed vote record (R5).
type RecordCommitted struct {
	Record quorum.Record
	At     time.Duration
}

// Left tells that a graceful leave is complete: others go on without this node. Send the messages, then stop.
type Left struct{ At time.Duration }

func (ViewInstalled) event()   {}
func (QuorumGained) event()    {}
func (QuorumLost) event()      {}
func (RecordCommitted) event() {}
func (Left) event()            {}

// Status is a picture of the machine at one moment. What it points to is never changed, by nobody.
type Status struct {
	Self        model.Member
	Incarnation uint64
	// Ready says that this node may be in a view: the start's wait is over and the caller said so.
	Ready bool
	// Leaving and Left tell of a graceful leave.
	Leaving, Left bool
	ReachesAPI    bool
	// Pending says that this node goes by its journal (SetPending).
	Pending bool
	// View is nil when none is installed.
	View *View
	// ViewSince is when it was installed.
	ViewSince time.Duration
	Proposal  []model.Member
	// HighestView is the highest view number known to be persisted here.
	HighestView uint64
	// Acting (R7) lasts until ActingUntil at most without another datagram; both are zero when not acting.
	Acting      bool
	ActingUntil time.Duration
	// Keeping (R7) lasts until KeepingUntil at most; never more than T from now.
	Keeping      bool
	KeepingUntil time.Duration
	// Suspended says that keeping has ended and the stop begins at StopAt, unless a challenge for the witness is won before (R8).
	Suspended bool
	StopAt    time.Duration
	// Prevented says that this node forms no quorum, and waits for others that act (A41).
	Prevented bool
	Witness   WitnessStatus
	// Committed and Tentative are this node's vote records.
	Committed, Tentative *quorum.Record
	// Reporter is the lowest id in the acting view that reaches the API server; 0 when not acting or none does.
	Reporter model.NodeID
	Peers    []PeerStatus
	// NextDeadline is when Tick should be called next.
	NextDeadline time.Duration
}

// PeerStatus is what this node knows of another.
type PeerStatus struct {
	ID          model.NodeID
	Incarnation uint64
	Generation  model.Generation
	// Heard says that it was ever heard; LastHeard is when, by this node's clock.
	Heard     bool
	LastHeard time.Duration
	// Silent says that nothing was heard for T on any network.
	Silent bool
	// Ready, Leaving, Left, ReachesAPI and Pending are its own words.
	Ready, Leaving, Left, ReachesAPI, Pending bool
	// ReachesWitness and CannotServe are its words too, for the witness (R8).
	ReachesWitness, CannotServe bool
	// HearsUs says that it does not find this node silent.
	HearsUs bool
	// View is the view that it carries.
	View *View
	// GrantUntil is until when its grant counts here; 0 when there is none.
	GrantUntil time.Duration
	// PromisedUntil is until when this node has promised to install no view without it; 0 when it has not.
	PromisedUntil time.Duration
	// HasRecord says that it has a vote record; without one it has no vote (R11).
	HasRecord bool
}
