package model

import (
	"encoding/json"
	"fmt"
	"time"
)

// GroupKey names a group.
type GroupKey struct {
	Namespace string
	Name      string
}

func (k GroupKey) String() string { return k.Namespace + "/" + k.Name }

// Mode says on how many nodes a group runs.
type Mode string

// Modes of a group.
const (
	ModeFailover     Mode = "Failover"
	ModeLoadBalanced Mode = "LoadBalanced"
)

// FailbackPolicy says when a group returns to a more preferred node.
type FailbackPolicy string

// Failback policies; Never is the default (WSFC's AutoFailbackType 0).
const (
	FailbackNever     FailbackPolicy = "Never"
	FailbackImmediate FailbackPolicy = "Immediate"
	FailbackWindow    FailbackPolicy = "Window"
)

// Failback is a group's failback rule. Start and End are minutes of the day in Location; a window whose End is before its Start
// wraps midnight (A29). Location nil means UTC.
type Failback struct {
	Policy   FailbackPolicy
	Delay    time.Duration
	HasStart bool
	HasEnd   bool
	Start    int
	End      int
	Location *time.Location
}

// failbackJSON is a Failback whose Location is a name: a *time.Location has none of its own in JSON.
type failbackJSON struct {
	Policy           FailbackPolicy
	Delay            time.Duration
	HasStart, HasEnd bool
	Start, End       int
	Location         string `json:",omitempty"`
}

// MarshalJSON names the time zone.
func (f Failback) MarshalJSON() ([]byte, error) {
	out := failbackJSON{Policy: f.Policy, Delay: f.Delay, HasStart: f.HasStart, HasEnd: f.HasEnd, Start: f.Start, End: f.End}
	if f.Location != nil {
		out.Location = f.Location.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON loads the time zone.
func (f *Failback) UnmarshalJSON(text []byte) error {
	var in failbackJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*f = Failback{Policy: in.Policy, Delay: in.Delay, HasStart: in.HasStart, HasEnd: in.HasEnd, Start: in.Start, End: in.End}
	if in.Location == "" {
		return nil
	}
	location, err := time.LoadLocation(in.Location)
	if err != nil {
		return fmt.Errorf("time zone of a failback window: %w", err)
	}
	f.Location = location
	return nil
}

// Group is a resource group as policy sees it: what is wanted, what is assigned, and what its owner reports.
type Group struct {
	Key           GroupKey
	UID           string
	Mode          Mode
	DesiredOnline bool
	// Deleting says that the object has a deletion timestamp: it is taken offline, whatever is desired.
	Deleting bool
	// Invalid is the message of Accepted=False; such a group is not started, and not stopped either if it runs.
	Invalid         string
	PreferredOwners []string
	// PossibleOwners is the intersection over the group's resources; nil means every node (A21).
	PossibleOwners []string
	// OwnerLists are the lists that PossibleOwners is made of, for sentences that say which of them leaves a node out.
	OwnerLists          []OwnerList
	AntiAffinityClasses []string
	Priority            int
	FailoverThreshold   int
	FailoverPeriod      time.Duration
	Failback            Failback
	Requests            map[string]int64
	DependsOn           []GroupKey
	Maintenance         bool
	// Disks are the devices or files that the group's disk resources need.
	Disks []string
	// Images are the container images that the group's resources need.
	Images []string
	// ResourceCount is the number of resources in the group.
	ResourceCount int
	// NeedsFencing says that some resource of the group has neither a disk nor a guarded address to prove its old owner
	// harmless, so it waits for the self-fence deadline.
	NeedsFencing bool
	// RetryPeriod is the shortest retryPeriodOnFailure of its resources; 0 means never.
	RetryPeriod time.Duration
	// State is the aggregate of the resources as reported for the assignment's epoch.
	State GroupState
	// Assignment is the current one; the zero value means that the group was never assigned.
	Assignment Assignment
	// Members are the nodes of a group of mode LoadBalanced, at most one entry a node. The Assignment of such a group names no node:
	// its Epoch is the highest that was given to a member, its Reason that of the last change, its View the one that it was made in.
	Members []GroupMember
	// EpochFloor is the highest epoch ever known for the group apart from its assignment and its reports (rule O7).
	EpochFloor Epoch
	// EpochElsewhere is the highest epoch at which other groups had resources that were moved to this one and that it has not had itself:
	// its own must be above that (rule O7). EpochFloor is at least as high.
	EpochElsewhere Epoch
	// DrainedFrom is the node that the group left when it came to its present owner because that node was drained; empty when it
	// came for another reason. FailbackOnResume of that node speaks of the group.
	DrainedFrom string
	// Reports are what the agents say of the group, at most one per node.
	Reports []OwnerReport
	// Failures are the past failures of the group (bounded, oldest first).
	Failures []Failure
	// Move is a move that an operator has asked for; nil when there is none.
	Move *MoveRequest
	// PlacedByOperator says that an operator's move put the group where it is: failback leaves it there until a later failover,
	// or until a more preferred node rejoins (its JoinedAt after PlacedAt).
	PlacedByOperator bool
	// PlacedAt is when the operator's move was decided.
	PlacedAt time.Time
	// FailedSince is when the group was given up (failover threshold exceeded); zero when it was not.
	FailedSince time.Time
}

// OwnerList is the list of possible owners of one resource.
type OwnerList struct {
	Resource string
	Owners   []string
}

// Assignment is who owns a group. Node "" with Epoch > 0 is a withdrawal (rule O1).
type Assignment struct {
	Node       string
	ID         NodeID
	Generation Generation
	Epoch      Epoch
	View       ViewID
	Reason     Reason
	// Target is where a withdrawn group goes next; empty when it stays offline.
	Target   string
	Unproven []Owner
	Time     time.Time
}

// Withdrawn says that the assignment takes the group from its owner.
func (a Assignment) Withdrawn() bool { return a.Node == "" && a.Epoch > 0 }

// Owner is a node, in one of its lives, that has owned a group at an epoch and is not yet proven harmless (rule O2).
type Owner struct {
	Node       string
	ID         NodeID
	Generation Generation
	Epoch      Epoch
}

// OwnerReport is what one node's agent says of a group.
type OwnerReport struct {
	Node       string
	ID         NodeID
	Generation Generation
	// Running is the epoch at which the group, or anything of it, is on the node; 0 when nothing is.
	Running Epoch
	// Released is the highest withdrawal that the agent has carried out: nothing of an epoch up to it is left (rule O1).
	Released Epoch
	// Floor is the highest epoch of the group that the agent knows of, on a disk or in its memory (rule O7).
	Floor Epoch
	// Proven is the epoch at which the agent has shown every earlier owner harmless for every resource; 0 when it has not.
	Proven Epoch
	// FailoverWanted asks for a failover at the epoch: a resource failed past its restart threshold. Empty when not.
	FailoverWanted string
	// FailoverEpoch is the epoch to which FailoverWanted belongs.
	FailoverEpoch Epoch
	// FailedAt is when the resource failed.
	FailedAt time.Time
	// FailedNetwork is the network that the node had lost, if that was why; empty when the failure had another reason.
	FailedNetwork string
}

// FailureKind tells a node's death from a resource's failure.
type FailureKind string

// Failure kinds.
const (
	FailureNode     FailureKind = "NodeDown"
	FailureResource FailureKind = "ResourceFailed"
)

// Failure is one past failure of a group: the group left Node because of it.
type Failure struct {
	Kind     FailureKind
	Node     string
	Resource string
	Time     time.Time
}

// MoveRequest is an operator's wish. Target is a node's name or "best".
type MoveRequest struct {
	Target string
	Token  string
}
