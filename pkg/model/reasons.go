package model

// Reason says why a group is, or is not, somewhere. The values are part of the API: conditions, events and candidates show them.
type Reason string

// Reasons for which a node may not have a group (DESIGN: mayKeep and mayTake).
const (
	ReasonNodeDown             Reason = "NodeDown"
	ReasonNodePaused           Reason = "NodePaused"
	ReasonNodeDrained          Reason = "NodeDrained"
	ReasonNodeQuarantined      Reason = "NodeQuarantined"
	ReasonAgentDisconnected    Reason = "AgentDisconnected"
	ReasonNotPossibleOwner     Reason = "NotPossibleOwner"
	ReasonDiskNotVisible       Reason = "DiskNotVisible"
	ReasonImageMissing         Reason = "ImageMissing"
	ReasonInsufficientCapacity Reason = "InsufficientCapacity"
	ReasonAntiAffinityConflict Reason = "AntiAffinityConflict"
	ReasonMaintenance          Reason = "Maintenance"
)

// Reasons of decisions.
const (
	ReasonFirstPlacement    Reason = "FirstPlacement"
	ReasonResourceFailed    Reason = "ResourceFailed"
	ReasonMove              Reason = "Move"
	ReasonDrain             Reason = "Drain"
	ReasonFailback          Reason = "Failback"
	ReasonDesiredOffline    Reason = "DesiredOffline"
	ReasonDeleted           Reason = "Deleted"
	ReasonRestarted         Reason = "NodeRestarted"
	ReasonNoQuorum          Reason = "NoQuorum"
	ReasonNoCandidate       Reason = "NoEligibleNode"
	ReasonThresholdExceeded Reason = "FailoverThresholdExceeded"
	ReasonWaitingForStop    Reason = "WaitingForStop"
	ReasonWaitingForGroup   Reason = "WaitingForGroup"
	ReasonPriorityZero      Reason = "NoAutomaticStart"
	ReasonInvalid           Reason = "Invalid"
	ReasonMoveRefused       Reason = "MoveRefused"
	ReasonEpochExhausted    Reason = "EpochExhausted"
	ReasonUnsafeFencing     Reason = "UnsafeFencing"
	ReasonAdopted           Reason = "Adopted"
	ReasonRetry             Reason = "RetryAfterFailure"
	// ReasonEpochRaised: the owner found a higher epoch (on a disk, in its memory), so its own is stale (O7, O20).
	ReasonEpochRaised Reason = "EpochRaised"
	// ReasonOlderView: the view published is older than the one of the group's assignment (O5).
	ReasonOlderView Reason = "OlderView"
	// ReasonWaitingForReports: the API server was restored and not every member has said what it runs (O6).
	ReasonWaitingForReports Reason = "WaitingForReports"
	// ReasonRecovered: the group had been given up, and is well again.
	ReasonRecovered Reason = "Recovered"
	// ReasonProven: earlier owners were proven harmless.
	ReasonProven Reason = "OwnersProven"
	// ReasonMemberAdded: a node that may take a group of mode LoadBalanced has become one of its members.
	ReasonMemberAdded Reason = "MemberAdded"
	// ReasonWaitingForMember: a node that may not keep a group of mode LoadBalanced has it until it is online on another.
	ReasonWaitingForMember Reason = "WaitingForMember"
	// ReasonReleased: a node that was to take a group of mode LoadBalanced offline has done so, or its life is over.
	ReasonReleased Reason = "Released"
	// ReasonPreempted: a group of higher priority needs the room.
	ReasonPreempted Reason = "Preempted"
	// ReasonWaitingForRoom: room is being made for the group, and it waits until others have left.
	ReasonWaitingForRoom Reason = "WaitingForRoom"
)
