package membership

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// WitnessConfig names the witness that the cluster's QuorumConfig asks for; the zero value is none.
type WitnessConfig struct {
	// ID tells what is configured, 0 for none: two configurations that name different devices, directories or Leases differ in it.
	ID uint32
	// Only gives the vote to the witness alone (mode DiskOnly).
	Only bool
	// Earlier are witnesses that were configured before. While a vote record names one of them, it is that one that is held, so that a
	// change of the witness makes no gap.
	Earlier []uint32
}

// fullWitness is how a vote record names a witness: by what is configured, and by the identity that is written on it. Two hosts whose
// devices of the same name are different disks read different identities, and never count both.
func fullWitness(id, identity uint32) uint64 {
	if id == 0 || identity == 0 {
		return 0
	}
	return uint64(id)<<32 | uint64(identity)
}

// ConfiguredWitness is the configured ID within the name of a witness in a vote record; 0 for none.
func ConfiguredWitness(full uint64) uint32 { return uint32(full >> 32) }

// WitnessKey is under what a node's incarnation stands or holds at a witness; the zero key is nobody's.
type WitnessKey struct {
	Node        model.NodeID `json:"node"`
	Incarnation uint32       `json:"incarnation"`
}

// witnessIncarnation is how many bits of the incarnation fit a reservation key.
const witnessIncarnation = 1<<28 - 1

func (k WitnessKey) String() string {
	if k == (WitnessKey{}) {
		return "nobody"
	}
	return fmt.Sprintf("%d.%d", k.Node, k.Incarnation)
}

// WitnessAct is one operation on a witness.
type WitnessAct string

// Acts on a witness (R8). All but Look, Register and Load are the holder's, or make the holder.
const (
	// WitnessLook reads who holds the witness and who is registered.
	WitnessLook WitnessAct = "Look"
	// WitnessRegister stands as a challenger.
	WitnessRegister WitnessAct = "Register"
	// WitnessRemove takes the registrations of Victims away.
	WitnessRemove WitnessAct = "Remove"
	// WitnessTake preempts Victim, or reserves a free witness when Victim is nobody.
	WitnessTake WitnessAct = "Take"
	// WitnessRelease gives the witness up.
	WitnessRelease WitnessAct = "Release"
	// WitnessLoad reads what is written on it.
	WitnessLoad WitnessAct = "Load"
	// WitnessSave writes Content on it.
	WitnessSave WitnessAct = "Save"
)

// WitnessOp is what the caller does next with a witness. One is out at a time; WitnessDone answers it, however late.
type WitnessOp struct {
	Serial uint64
	// Witness is the configured ID of the witness that it is for.
	Witness uint32
	Act     WitnessAct
	Me      WitnessKey
	// Victim is whom Take preempts, Victims whom Remove removes.
	Victim  WitnessKey
	Victims []WitnessKey
	Content WitnessContent
}

// WitnessContent is what the protocol keeps on a witness: the vote records, and the view that the witness's vote was last counted in.
type WitnessContent struct {
	View                 model.ViewID
	Committed, Tentative *quorum.Record
	// State is the version of the copy of the cluster's state that goes with it (SetState); 0 for none.
	State uint64
}

// equal compares what Save would write.
func (c WitnessContent) equal(o WitnessContent) bool {
	return c.View == o.View && c.Committed.Equal(o.Committed) && c.Tentative.Equal(o.Tentative) && c.State == o.State
}

// newest is the highest record in it.
func (c WitnessContent) newest() *quorum.Record {
	if quorum.Compare(c.Tentative, c.Committed) > 0 {
		return c.Tentative
	}
	return c.Committed
}

// WitnessResult answers a WitnessOp.
type WitnessResult struct {
	Serial uint64
	// Err says why it failed; empty when it did not. A failed operation may have taken effect, or may still do.
	Err string
	// Conflict says that the witness refused it: it is not as the operation assumed.
	Conflict bool
	// Identity, Holder and Registered answer Look. Identity is what is written on the witness, 0 before anybody has held it;
	// Registered may name the holder too.
	Identity   uint32
	Holder     WitnessKey
	Registered []WitnessKey
	// Content answers Load.
	Content WitnessContent
}

// Claim is what the holder of a witness tells its view (R8d).
type Claim struct {
	Witness uint64 `json:"witness"`
	// Remaining is how long the holder's vote still counts. Others count less of it (R4).
	Remaining time.Duration `json:"remaining"`
	// View is the view that is written on the witness: the vote allows to act in no other.
	View model.ViewID `json:"view"`
	// Record and Coordinator name the highest vote record that is written on it (R8g).
	Record      uint64       `json:"record"`
	Coordinator model.NodeID `json:"coordinator"`
}

// holds reports whether the claim says that this record is on the witness.
func (c Claim) holds(r *quorum.Record) bool {
	return quorum.Compare(&quorum.Record{Number: c.Record, Coordinator: c.Coordinator}, r) >= 0
}

// news reports whether a later claim says more than that time has passed.
func (c Claim) news(o Claim) bool {
	return c.Witness != o.Witness || c.View != o.View || c.Record != o.Record || c.Coordinator != o.Coordinator
}

// WitnessStatus is how this node stands at the witness, for Status.
type WitnessStatus struct {
	// ID of the witness that is in use; 0 for none.
	ID uint32
	// Holding says that this node holds it, Until how long its vote counts; 0 when it does not.
	Holding bool
	Until   time.Duration
	// Reached says that the last operation did not fail; Trouble says why it did.
	Reached bool
	Trouble string
	// FailingSince is since when every operation has failed; 0 when the last one has not.
	FailingSince time.Duration
	// State is the version of the copy of the cluster's state that this node has read from it or saved on it.
	State uint64
	// Stranger is the member that holds a witness which is configured by the same name and has another identity; 0 for none.
	Stranger model.NodeID
	// Holder is the node that is known to hold it, here or by a member's word; 0 when nobody is.
	Holder model.NodeID
	// Counts says that the view counts the vote of the witness now.
	Counts bool
	// Needed says that the nodes of the view alone are no majority under some record that binds it: it is quorate only by the witness's
	// vote, if at all.
	Needed bool
}
