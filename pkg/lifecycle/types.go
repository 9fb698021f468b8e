package lifecycle

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Kind says what proves an old owner of a resource harmless (rule O13).
type Kind string

// Kinds of resources.
const (
	KindDisk    Kind = "Disk"    // its own reservation
	KindAddress Kind = "Address" // the kernel of the old owner
	KindProcess Kind = "Process" // anything else
)

// RestartPolicy says what is done about a resource that fails.
type RestartPolicy string

// Restart policies: WSFC's RestartAction 2, 1 and 0.
const (
	RestartAlways     RestartPolicy = "Restart"           // restart in place, past the threshold ask for a failover
	RestartNoFailover RestartPolicy = "RestartNoFailover" // restart in place, past the threshold stay Failed
	RestartNever      RestartPolicy = "Never"
)

// Restart is the resolved spec.restart of a resource.
type Restart struct {
	Policy RestartPolicy `json:"policy"`
	// Threshold failures within the rolling Period are restarted in place; the next one asks for a failover (A11).
	Threshold int           `json:"threshold"`
	Period    time.Duration `json:"period"`
	// Delay is the least time between two starts: a resource that has run for longer is restarted at once when it fails, one
	// that fails while it starts is started again only Delay after that start.
	Delay time.Duration `json:"delay"`
}

// Timing holds the resolved intervals and timeouts of a resource; see WithDefaults for the built-in values.
type Timing struct {
	LooksAlive time.Duration `json:"looksAlive"`
	IsAlive    time.Duration `json:"isAlive"`
	// Pending bounds the time between two progress reports of a pending resource (A07); min(Pending, Deadlock) counts (A08).
	Pending  time.Duration `json:"pending"`
	Deadlock time.Duration `json:"deadlock"`
	// RetryPeriod after a resource was given up its cycle of restarts begins again (A16); 0 means never.
	RetryPeriod time.Duration `json:"retryPeriod"`
	Restart     Restart       `json:"restart"`
}

// WithDefaults fills what is zero with WSFC's defaults; RetryPeriod and Restart.Delay have a meaning of their own when zero and
// are left alone, as is Restart.Threshold when a policy is given.
func (t Timing) WithDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.LooksAlive, 5*time.Second)
	set(&t.IsAlive, time.Minute)
	set(&t.Pending, 3*time.Minute)
	set(&t.Deadlock, 5*time.Minute)
	set(&t.Restart.Period, 15*time.Minute)
	if t.Restart.Policy == "" {
		t.Restart.Policy, t.Restart.Threshold, t.Restart.Delay = RestartAlways, 3, 500*time.Millisecond
	}
	return t
}

// Dependency names one resource of the group, or several of which one is enough.
type Dependency struct {
	AnyOf []string `json:"anyOf"`
}

// On is the dependency on one resource.
func On(name string) Dependency { return Dependency{AnyOf: []string{name}} }

// Resource is what is wanted of one resource.
type Resource struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Device orders the disks of a group (rule O12); only disks have one.
	Device string `json:"device,omitempty"`
	// Exposed is a process that reaches clients by itself: it needs a proof of its own, whatever is fenced beneath it (rule O13).
	Exposed bool `json:"exposed,omitempty"`
	// Online is spec.desiredState.
	Online    bool         `json:"online"`
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// Fingerprint changes with the parameters, and only with them: a running resource whose fingerprint changes is restarted.
	Fingerprint string `json:"fingerprint"`
	// Tuning changes with the parameters that a resource takes over while it is online: its health checks begin anew with them.
	Tuning string `json:"tuning,omitempty"`
	Timing Timing `json:"timing"`
}

// Desired is an assignment of the group, as far as this node is concerned, with the resources that it is made of.
type Desired struct {
	// Run says that this node is the owner. Otherwise the epoch is that of a withdrawal, or of another owner (rule O1).
	Run   bool        `json:"run"`
	Epoch model.Epoch `json:"epoch"`
	// View is the view for which the assignment was made (rules O4, R10).
	View model.ViewID `json:"view"`
	// Unproven are the earlier owners that are not yet proven harmless (rule O2).
	Unproven  []model.Owner `json:"unproven,omitempty"`
	Resources []Resource    `json:"resources"`
	// Frozen is maintenance: nothing is started or stopped, failures are only shown.
	Frozen bool `json:"frozen,omitempty"`
}

// Op is what an Action asks for.
type Op string

// Ops. Reserve to Adopt are answered by a Result with the action's serial; the others are not answered.
const (
	OpReserve   Op = "Reserve"
	OpOnline    Op = "Online"
	OpOffline   Op = "Offline"
	OpTerminate Op = "Terminate"
	OpAdopt     Op = "Adopt"
	OpCancel    Op = "Cancel"  // cancel the context of the op with this serial; its Result still comes
	OpWatch     Op = "Watch"   // begin (again) to check the health; failures carry this serial
	OpUnwatch   Op = "Unwatch" // end it
)

// Action is one thing to do now. All actions of a Step may run in parallel.
type Action struct {
	Op     Op
	UID    string
	Serial uint64
}

// Input is one of Apply, Result, Progress, Unhealthy, Facts, Burn and Tick.
type Input interface{ input() }

// Apply is a new assignment, or a changed spec at the same epoch.
type Apply struct{ Desired Desired }

// Result answers an action.
type Result struct {
	UID    string
	Serial uint64
	// Err is empty when the op succeeded.
	Err string
	// Denied says that it failed because the node's lease did not allow it (rule O8); that is no failure of the resource.
	Denied bool
	// Network is the one that the host has lost, when that is why it failed.
	Network string
	// Reservation is the result of a successful OpReserve.
	Reservation Reservation
	// Stale says that the disk carries a higher epoch, found in Floor (rules O7, O20).
	Stale bool
	Floor model.Epoch
}

// Reservation is how a disk was acquired.
type Reservation struct {
	// Enforced disks refuse the writes of other hosts themselves; others are Advisory.
	Enforced bool `json:"enforced"`
	// Proof says that it proves earlier owners fenced: enforced, taken from a holder, and kept through power loss (O16, O19).
	Proof bool `json:"proof"`
}

// Progress renews the pendingTimeout of the op.
type Progress struct {
	UID     string
	Serial  uint64
	Message string
}

// Unhealthy says that an online resource has failed: the serial is that of its OpWatch.
type Unhealthy struct {
	UID     string
	Serial  uint64
	Reason  Reason
	Message string
	// Network is the one that the host has lost, when that is why it failed.
	Network string
	// Stale and Floor are as in Result, when a higher epoch was found on the disk.
	Stale bool
	Floor model.Epoch
}

// Noted is something that operators should know of an online resource which serves all the same; empty when there is no such thing any
// more. The serial is that of its OpWatch.
type Noted struct {
	UID     string
	Serial  uint64
	Message string
}

// Simulate says that an operator wants an online resource to fail: all that follows is as if its health check had failed. A resource that
// is not online stays as it is.
type Simulate struct {
	UID     string
	Message string
}

// Fencing is what is known about how other nodes are made harmless.
type Fencing struct {
	// SelfFence is the cluster's selfFence.timeout, Witness the longest wait for an arbitration (0 without a witness), Margin what
	// is added for clocks that run differently.
	SelfFence, Witness, Margin time.Duration
	// GuardsAddresses are the nodes whose kernel silences addresses at the end of their lease, as their status said while they
	// were well.
	GuardsAddresses map[model.NodeID]bool
	// Watchdogs is, for each node with an armed watchdog device, how long after quorum was lost it may take to reset the node.
	Watchdogs map[model.NodeID]time.Duration
	// OnlyPower are the nodes whose self-fence deadline proves nothing: the cluster requires fencing, and only their power stops what
	// runs on them if their kernel hangs (O14).
	OnlyPower map[model.NodeID]bool
	// PowerFenced and Confirmed are the lives of nodes whose power was cut, or of which an operator said that they are off.
	PowerFenced map[model.Member]bool
	Confirmed   map[model.Member]bool
}

// Burn is the loss of quorum: everything stops, gracefully until Grace, then by force and in order, from Hard on all at once.
// Nothing of this machine ever runs again (rule O3).
type Burn struct{ Grace, Hard time.Duration }

// BurnBy divides the time until the self-fence deadline: 60% of it to stop gracefully, then force in order, and the last 15% all at
// once.
func BurnBy(now, deadline time.Duration) Burn {
	left := max(0, deadline-now)
	return Burn{Grace: now + left*60/100, Hard: now + left*85/100}
}

// Tick lets time pass; it is due at Deadline.
type Tick struct{}

func (Apply) input()     {}
func (Result) input()    {}
func (Progress) input()  {}
func (Unhealthy) input() {}
func (Noted) input()     {}
func (Simulate) input()  {}
func (Facts) input()     {}
func (Burn) input()      {}
func (Tick) input()      {}

// Reason is one word that says why a resource is in its state.
type Reason string

// Reasons of resources' states.
const (
	ReasonNone              Reason = ""
	ReasonNotWanted         Reason = "NotWanted"
	ReasonWaitingForDisks   Reason = "WaitingForDisks"
	ReasonWaitingForProof   Reason = "WaitingForProof"
	ReasonWaitingForLease   Reason = "WaitingForLease"
	ReasonWaitingForDep     Reason = "WaitingForDependency"
	ReasonDependencyDown    Reason = "DependencyNotOnline"
	ReasonMissingDependency Reason = "MissingDependency"
	ReasonReserving         Reason = "Reserving"
	ReasonStarting          Reason = "Starting"
	ReasonStopping          Reason = "Stopping"
	ReasonRestarting        Reason = "Restarting"
	ReasonTerminating       Reason = "Terminating"
	ReasonStuck             Reason = "CannotBeStopped"
	ReasonReserveFailed     Reason = "ReserveFailed"
	ReasonStartFailed       Reason = "StartFailed"
	ReasonPendingTimeout    Reason = "PendingTimeout"
	ReasonHealthCheckFailed Reason = "HealthCheckFailed"
	ReasonDeadlocked        Reason = "Deadlocked"
	ReasonSimulated         Reason = "SimulatedFailure"
	ReasonExited            Reason = "Exited"
	ReasonReservationLost   Reason = "ReservationLost"
	ReasonNotAdopted        Reason = "NotAdopted"
	ReasonNetworkLost       Reason = "NetworkLost"
	ReasonStale             Reason = "StaleEpoch"
	ReasonFrozen            Reason = "Maintenance"
)

// ReleasedHow says how a group was stopped.
type ReleasedHow string

// Ways to stop: Forced when a stop had to be escalated (rule O10).
const (
	ReleasedGraceful ReleasedHow = "Graceful"
	ReleasedForced   ReleasedHow = "Forced"
)

// ProofType is the evidence that earlier owners of a resource cannot act.
type ProofType string

// Types of proof (rule O13). NewGeneration is rule O3: a newer life of the node, seen in a view.
const (
	ProofNone               ProofType = ""
	ProofGracefulStop       ProofType = "GracefulStop"
	ProofReservation        ProofType = "ReservationPreempted"
	ProofAddressLease       ProofType = "AddressLeaseExpired"
	ProofSelfFence          ProofType = "SelfFenceDeadline"
	ProofPowerFenced        ProofType = "PowerFenced"
	ProofManualConfirmation ProofType = "ManualConfirmation"
	ProofNewerGeneration    ProofType = "NewGeneration"
)

// Proof is the evidence for one resource.
type Proof struct {
	Resource string    `json:"resource"`
	Type     ProofType `json:"type"`
}

// FailoverWanted asks for a failover of the group.
type FailoverWanted struct {
	Resource string      `json:"resource"`
	Epoch    model.Epoch `json:"epoch"`
	Message  string      `json:"message"`
	// Network is the one that the host had lost; empty when the failure had another reason.
	Network string        `json:"network,omitempty"`
	At      time.Duration `json:"at"`
}

// ResourceReport is the state of one resource.
type ResourceReport struct {
	UID      string
	Name     string
	State    model.ResourceState
	Reason   Reason
	Message  string
	Restarts int
	// Since is when State last changed; OnlineSince when it last came online, 0 when it is not.
	Since, OnlineSince time.Duration
	// Device, Reserved and Enforced tell of a disk whether it is reserved, and how.
	Device             string
	Reserved, Enforced bool
}

// Report is what there is to tell of the group.
type Report struct {
	// Running is the epoch at which anything of the group is, or may be, on this node, or is asked for, so that it may begin at any moment; 0 when
	// nothing is and nothing may begin.
	Running model.Epoch
	// Released is the highest withdrawal that was carried out (rule O1).
	Released    model.Epoch
	ReleasedHow ReleasedHow
	// Floor is the highest epoch of the group that was ever seen here or on its disks (rule O7).
	Floor model.Epoch
	// Proven is the epoch at which every resource has its proof; Proofs are those of the current epoch.
	Proven model.Epoch
	Proofs []Proof
	// Fence is how long it took from the assignment to all proofs, Online from there to all wanted resources online; valid once
	// the flags say so.
	Fenced, AllOnline bool
	Fence, Online     time.Duration
	Failover          *FailoverWanted
	// Stuck names what could not be stopped although it was terminated; empty when nothing is.
	Stuck []string
	// FenceAt is when this host is to be fenced if what is stuck has not stopped by then; 0 when it need not be. Overdue is what has
	// not: the host is to be fenced now.
	FenceAt   time.Duration
	Overdue   []Overdue
	State     model.GroupState
	Resources []ResourceReport
}
