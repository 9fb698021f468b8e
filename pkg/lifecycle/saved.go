package lifecycle

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Phase is what of a resource may be on the host, and what is being done about it. It is written to the run state before the act,
// so that it is the intent of rule O8.
type Phase string

// Phases.
const (
	PhaseIdle        Phase = "" // nothing of it is here, but perhaps a reservation
	PhaseReserving   Phase = "Reserving"
	PhaseOnlining    Phase = "Onlining"
	PhaseOnline      Phase = "Online"
	PhaseOfflining   Phase = "Offlining"
	PhaseTerminating Phase = "Terminating"
	PhaseDirty       Phase = "Dirty"    // terminated without success; something may be left
	PhaseAdopting    Phase = "Adopting" // found in the run state; being looked at (never saved)
)

// SavedResource is what a machine must know of a resource after a restart of the agent.
type SavedResource struct {
	Phase Phase `json:"phase"`
	// Stopping says that an Offline had begun: the resource is taken down before it is started again.
	Stopping bool `json:"stopping,omitempty"`
	// Reserved is the epoch for which the disk is reserved, 0 when it is not; How says how.
	Reserved    model.Epoch `json:"reserved,omitempty"`
	Reservation Reservation `json:"reservation"`
	Proof       ProofType   `json:"proof,omitempty"`
	ProofEpoch  model.Epoch `json:"proofEpoch,omitempty"`
	// Fingerprint with which it was started.
	Fingerprint string          `json:"fingerprint,omitempty"`
	Restarts    []time.Duration `json:"restarts,omitempty"`
	LastStart   time.Duration   `json:"lastStart,omitempty"`
	// Failed says that it was given up at the time FailedAt.
	Failed      bool                `json:"failed,omitempty"`
	FailedAt    time.Duration       `json:"failedAt,omitempty"`
	RestartAt   time.Duration       `json:"restartAt,omitempty"`
	FailReason  Reason              `json:"failReason,omitempty"`
	FailMessage string              `json:"failMessage,omitempty"`
	State       model.ResourceState `json:"state,omitempty"`
	Since       time.Duration       `json:"since,omitempty"`
	OnlineSince time.Duration       `json:"onlineSince,omitempty"`
	// LostSince is when the disk's reservation was found to be lost while it was in use, StuckSince when the first attempt to take the
	// resource away by force failed; 0 when neither is so. They outlive the agent, so that its restarts put no deadline off.
	LostSince  time.Duration `json:"lostSince,omitempty"`
	StuckSince time.Duration `json:"stuckSince,omitempty"`
}

// Empty reports whether there is nothing worth a record.
func (s SavedResource) Empty() bool {
	return s.Phase == PhaseIdle && s.Reserved == 0 && len(s.Restarts) == 0 && !s.Failed && s.RestartAt == 0
}

// SavedGroup is what a machine must know of its group after a restart of the agent.
type SavedGroup struct {
	Desired Desired `json:"desired"`
	// Removed are resources that have left the spec and are not yet gone.
	Removed     []Resource      `json:"removed,omitempty"`
	RunEpoch    model.Epoch     `json:"runEpoch"`
	Released    model.Epoch     `json:"released,omitempty"`
	ReleasedHow ReleasedHow     `json:"releasedHow,omitempty"`
	Floor       model.Epoch     `json:"floor,omitempty"`
	Forced      bool            `json:"forced,omitempty"`
	Stale       bool            `json:"stale,omitempty"`
	Failover    *FailoverWanted `json:"failover,omitempty"`
	AppliedAt   time.Duration   `json:"appliedAt,omitempty"`
	FencedAt    time.Duration   `json:"fencedAt,omitempty"`
	OnlineAt    time.Duration   `json:"onlineAt,omitempty"`
}
