package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GroupState is aggregated from the states of the group's resources: Failed wins over Pending, Pending over the rest; an empty
// group is Offline (A01-A04).
// +kubebuilder:validation:Enum=Online;Offline;PartialOnline;Pending;Failed
type GroupState string

// States of a group.
const (
	// GroupOnline has all resources online.
	GroupOnline GroupState = "Online"
	// GroupOffline has none online, or is empty.
	GroupOffline GroupState = "Offline"
	// GroupPartialOnline has some online.
	GroupPartialOnline GroupState = "PartialOnline"
	// GroupPending has one coming online or going offline.
	GroupPending GroupState = "Pending"
	// GroupFailed has one failed.
	GroupFailed GroupState = "Failed"
)

// Bounds of the lists that ResourceGroupStatus keeps.
const (
	// MaxUsedMoveTokens is how many tokens of MoveToAnnotation are remembered.
	MaxUsedMoveTokens = 32
	// MaxGroupFailures is how many failures are remembered.
	MaxGroupFailures = 32
)

// ResourceGroupStatus is what is seen of a group. Only the manager writes it.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.assignment) || has(self.assignment)",message="assignment is never removed: withdraw it at a higher epoch",fieldPath=".assignment"
type ResourceGroupStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// state of the group.
	// +optional
	State GroupState `json:"state,omitempty"`
	// owner is the name of the node that the group is assigned to; empty for none.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Owner string `json:"owner,omitempty"`
	// since is when state or owner last changed.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// assignment says who owns the group. That of a group of mode LoadBalanced names no node: it keeps the highest epoch that was
	// given to a member, and why.
	// +optional
	Assignment *Assignment `json:"assignment,omitempty"`
	// epochFloor is the highest epoch that any agent or disk has reported for the group; the next epoch is above it (O7).
	// +optional
	// +kubebuilder:validation:Minimum=0
	EpochFloor int64 `json:"epochFloor,omitempty"`
	// members are the nodes of a group of mode LoadBalanced, those that are still taking it offline included.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Members []GroupMember `json:"members,omitempty"`
	// membersOnline is how many of the members that are to have the group are Online, and how many there are, such as 2/3. Empty for
	// mode Failover.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	MembersOnline string `json:"membersOnline,omitempty"`
	// lastFailover is the group's latest unplanned move.
	// +optional
	LastFailover *FailoverRecord `json:"lastFailover,omitempty"`
	// lastMove is the group's latest planned move.
	// +optional
	LastMove *MoveRecord `json:"lastMove,omitempty"`
	// usedMoveTokens are tokens of quorate.io/move-to that were acted on, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	UsedMoveTokens []string `json:"usedMoveTokens,omitempty"`
	// placedByOperator says that an operator moved the group where it is; failback leaves it there.
	// +optional
	PlacedByOperator bool `json:"placedByOperator,omitempty"`
	// failures are the latest failures for which the group left a node, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Failures []GroupFailure `json:"failures,omitempty"`
	// failedSince is when the group was given up: it failed over too often.
	// +optional
	FailedSince *metav1.Time `json:"failedSince,omitempty"`
	// candidates are the nodes, and why not; kept while the group is unplaced or after a decision.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Candidates []Candidate `json:"candidates,omitempty"`
	// nextFailbackTime is when the group may next return to a more preferred node.
	// +optional
	NextFailbackTime *metav1.Time `json:"nextFailbackTime,omitempty"`
	// conditions tell the group's health.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Assignment says who owns a group. One without a node is a withdrawal (O1).
// +kubebuilder:validation:XValidation:rule="self.epoch > oldSelf.epoch || (self.epoch == oldSelf.epoch && (has(self.node) ? self.node : '-') == (has(oldSelf.node) ? oldSelf.node : '-') && (has(self.nodeID) ? self.nodeID : 0) == (has(oldSelf.nodeID) ? oldSelf.nodeID : 0) && (has(self.generation) ? self.generation : 0) == (has(oldSelf.generation) ? oldSelf.generation : 0))",message="epoch never falls, and an epoch has one owner: change the owner at a higher epoch",fieldPath=".epoch"
type Assignment struct {
	// node is the owner's name; empty for a withdrawal.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node,omitempty"`
	// nodeID is the owner's id.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID,omitempty"`
	// generation is the owner's life that the assignment is for (O3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// epoch is the ownership's number; it only grows and has 28 bits (O7).
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=268435455
	Epoch int64 `json:"epoch"`
	// viewID is the view that the decision was made in; an agent obeys only in that or a later one.
	// +optional
	ViewID ViewID `json:"viewID,omitzero"`
	// reason for the decision, such as NodeDown.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// target of a withdrawal is where the group goes next; empty when it stays offline.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`
	// unproven are the earlier owners that are not yet proven harmless (O2).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Unproven []UnprovenOwner `json:"unproven,omitempty"`
	// time of the decision.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}

// UnprovenOwner is a node, in one of its lives, that has owned a group and is not yet proven harmless (O2).
type UnprovenOwner struct {
	// node is its name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// nodeID is its id.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID,omitempty"`
	// generation is the life in which it owned the group.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// epoch at which it owned the group.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch,omitempty"`
}

// GroupMember is a group of mode LoadBalanced on one node: an ownership of its own, with an epoch that no other member of the group
// ever has.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="the epoch of a member never falls",fieldPath=".epoch"
type GroupMember struct {
	// node is the member's name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// state of the group there.
	// +optional
	State GroupState `json:"state,omitempty"`
	// epoch of the member's assignment, or of its withdrawal.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=268435455
	Epoch int64 `json:"epoch,omitempty"`
	// nodeID is the node's id.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID,omitempty"`
	// generation is the node's life that the member is for (O3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// withdrawn says that the node is to take the group offline; the entry goes when it has, or counts as stopped.
	// +optional
	Withdrawn bool `json:"withdrawn,omitempty"`
	// viewID is the view that the decision was made in; an agent obeys only in that or a later one.
	// +optional
	ViewID ViewID `json:"viewID,omitzero"`
	// reason for the decision, such as MemberAdded or NodeDown.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// time of the decision.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}

// FailoverRecord is an unplanned move with its evidence.
type FailoverRecord struct {
	// from is the name of the old owner.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	From string `json:"from,omitempty"`
	// to is the name of the new owner.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	To string `json:"to,omitempty"`
	// epoch of the new assignment.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// reason of the failover, such as NodeDown or ResourceFailed.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// time of the decision.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// proofs that the old owner could no longer act, by resource.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Proofs []Proof `json:"proofs,omitempty"`
	// phases are how long each part took.
	// +optional
	Phases FailoverPhases `json:"phases,omitzero"`
}

// FailoverPhases are how long each part of a failover took.
type FailoverPhases struct {
	// detect is from the last sign of life to the new view.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Detect *metav1.Duration `json:"detect,omitempty"`
	// decide is from the new view to the assignment.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Decide *metav1.Duration `json:"decide,omitempty"`
	// fence is from the assignment to the last proof.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Fence *metav1.Duration `json:"fence,omitempty"`
	// online is from there to the last resource online.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Online *metav1.Duration `json:"online,omitempty"`
	// total is the sum.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Total *metav1.Duration `json:"total,omitempty"`
}

// MoveRecord is a planned move.
type MoveRecord struct {
	// from is the name of the old owner.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	From string `json:"from,omitempty"`
	// to is the name of the new owner.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	To string `json:"to,omitempty"`
	// epoch of the new assignment.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// time of the decision.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// token of the annotation that asked for the move.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Token string `json:"token,omitempty"`
	// outcome of the move.
	// +optional
	Outcome MoveOutcome `json:"outcome,omitempty"`
	// message says why it was refused or failed.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// MoveOutcome is how a planned move went.
// +kubebuilder:validation:Enum=Pending;Completed;Refused;Failed
type MoveOutcome string

// Outcomes of a move.
const (
	// MovePending is under way.
	MovePending MoveOutcome = "Pending"
	// MoveCompleted is online at its target.
	MoveCompleted MoveOutcome = "Completed"
	// MoveRefused was not begun.
	MoveRefused MoveOutcome = "Refused"
	// MoveFailed ended elsewhere.
	MoveFailed MoveOutcome = "Failed"
)

// FailureKind tells a node's death from a resource's failure.
// +kubebuilder:validation:Enum=NodeDown;ResourceFailed
type FailureKind string

// Kinds of failures.
const (
	// FailureNodeDown is the death of the owner.
	FailureNodeDown FailureKind = "NodeDown"
	// FailureResourceFailed is a resource that failed past its restart threshold.
	FailureResourceFailed FailureKind = "ResourceFailed"
)

// GroupFailure is one failure for which a group left a node.
type GroupFailure struct {
	// kind of failure.
	// +required
	Kind FailureKind `json:"kind"`
	// node that the group left.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// resource that failed.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Resource string `json:"resource,omitempty"`
	// time of the failure.
	// +required
	Time metav1.Time `json:"time"`
}

// Candidate is a node, and whether and why it may take a group.
type Candidate struct {
	// node is its name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// eligible says that the node may take the group.
	// +optional
	Eligible bool `json:"eligible"`
	// rank among those that may, 1 for the best.
	// +optional
	Rank int32 `json:"rank,omitempty"`
	// reasons why not, such as NodeDown.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	Reasons []string `json:"reasons,omitempty"`
	// message for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
