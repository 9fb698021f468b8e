package model

import "time"

// Snapshot is all that a decision is made from. Plan must not change it.
type Snapshot struct {
	Cluster Cluster
	// View is the highest quorate view that any node has reported; nil when there is none.
	View   *View
	Nodes  []Node
	Groups []Group
	// Restored says that the API server has gone back in time (its view is below what an agent has published): nothing is assigned
	// until every member of the view has Reported (rule O6).
	Restored bool
}

// Cluster is the part of a Cluster's spec that policy reads.
type Cluster struct {
	Name string
	// AntiAffinityRequired makes anti-affinity a filter instead of a preference (ClusterEnforcedAntiAffinity).
	AntiAffinityRequired bool
	// Preempt allows a group to displace groups of lower priority when capacity is short.
	Preempt bool
	// RequireFencing refuses groups that nothing can fence on the old owner (rule O14).
	RequireFencing bool
	Maintenance    bool
}

// Role says where groups go first.
type Role string

// Roles of a node.
const (
	RoleActive  Role = "Active"
	RoleStandby Role = "Standby"
)

// Availability is what an operator wants of a node.
type Availability string

// Availabilities of a node.
const (
	Available Availability = "Available"
	Paused    Availability = "Paused"  // keeps its groups, takes no more
	Drained   Availability = "Drained" // its groups leave
)

// FailbackOnResume says what happens to drained groups when the node is made Available again.
type FailbackOnResume string

// Values of FailbackOnResume.
const (
	ResumeNone      FailbackOnResume = "None"
	ResumeImmediate FailbackOnResume = "Immediate"
	ResumePolicy    FailbackOnResume = "Policy"
)

// Node is a member of the cluster as policy sees it.
type Node struct {
	Name string
	ID   NodeID
	// Generation is the node's life in the view, or the last one known.
	Generation       Generation
	State            NodeState
	Role             Role
	Availability     Availability
	FailbackOnResume FailbackOnResume
	// ForceDrain takes groups that no other node may take offline when the node is Drained.
	ForceDrain  bool
	Maintenance bool
	Quarantined bool
	// Reported says that the node's agent has reported what it runs since the API server was restored. Read only if
	// Snapshot.Restored.
	Reported bool
	// Connected says that the node's agent reaches the side that decides (the API server, for the controllers).
	Connected bool
	// GuardsAddresses says that the node's kernel silences addresses when their lease ends (rule O13).
	GuardsAddresses bool
	// Watchdog says that the node has an armed watchdog device.
	Watchdog bool
	// PowerFencing says that another node can cut this one's power.
	PowerFencing bool
	// FaultDomain names what fails together; a node without one is a fault domain of its own.
	FaultDomain string
	// Capacity by resource name, in milli-units. A name that is missing is unlimited.
	Capacity map[string]int64
	// Reserved is the part of Capacity that work outside the cluster needs.
	Reserved map[string]int64
	// HiddenDisks are devices that groups need and that this node says it cannot see, by device or file name.
	HiddenDisks map[string]bool
	// LackedImages are container images that groups need and that this node says it does not have, by their names.
	LackedImages map[string]ImageLack
	// Reached are the networks for clients on which the node hears somebody, and since when by its own clock.
	Reached map[string]time.Time
	// JoinedAt is when the node last became a member of the quorate view (wall clock of the reporter); zero when unknown.
	JoinedAt time.Time
	// JoinEpoch counts the times that the node joined the quorate view; it only tells one joining from the next.
	JoinEpoch uint64
}
