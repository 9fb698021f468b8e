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
)
