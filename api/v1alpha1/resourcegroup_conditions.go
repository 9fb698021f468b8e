package v1alpha1

// Condition types of a ResourceGroup.
const (
	// GroupConditionOnline surfaces when the group serves its clients.
	GroupConditionOnline = "Online"
)

// Reasons of ResourceGroup conditions. Why a node may not take the group is in status.candidates.
const (
	// GroupReasonOnline surfaces when all resources that are wanted are online.
	GroupReasonOnline = "Online"
	// GroupReasonOffline surfaces when none is.
	GroupReasonOffline = "Offline"
	// GroupReasonPartialOnline surfaces when some are.
	GroupReasonPartialOnline = "PartialOnline"
	// GroupReasonPending surfaces while a resource comes online or goes offline.
	GroupReasonPending = "Pending"
	// GroupReasonFailed surfaces when a resource has failed.
	GroupReasonFailed = "Failed"
	// GroupReasonDesiredOffline surfaces when the group is wanted Offline.
	GroupReasonDesiredOffline = "DesiredOffline"
	// GroupReasonDeleting surfaces while the group goes offline for its deletion.
	GroupReasonDeleting = "Deleting"
	// GroupReasonNoEligibleNode surfaces when no node may take the group.
	GroupReasonNoEligibleNode = "NoEligibleNode"
	// GroupReasonImageMissing surfaces when only a container image keeps a node from taking the group: the node does not have it and cannot
	// fetch it. Node.status.agent.images says why.
	GroupReasonImageMissing = "ImageMissing"
	// GroupReasonInsufficientCapacity surfaces when only capacity keeps a node from taking the group.
	GroupReasonInsufficientCapacity = "InsufficientCapacity"
	// GroupReasonAntiAffinityConflict surfaces when only required anti-affinity does.
	GroupReasonAntiAffinityConflict = "AntiAffinityConflict"
	// GroupReasonWaitingForRoom surfaces while others leave to make room for the group.
	GroupReasonWaitingForRoom = "WaitingForRoom"
	// GroupReasonNoQuorum surfaces when no view with quorum reports.
	GroupReasonNoQuorum = "NoQuorum"
	// GroupReasonWaitingForStop surfaces while the old owner is being proven harmless.
	GroupReasonWaitingForStop = "WaitingForStop"
	// GroupReasonWaitingForGroup surfaces while a group that this one depends on is not Online.
	GroupReasonWaitingForGroup = "WaitingForGroup"
	// GroupReasonFailoverThresholdExceeded surfaces when the group failed over too often.
	GroupReasonFailoverThresholdExceeded = "FailoverThresholdExceeded"
	// GroupReasonEpochExhausted surfaces when no epoch is left (O7).
	GroupReasonEpochExhausted = "EpochExhausted"
	// GroupReasonUnsafeFencing surfaces when the Cluster requires fencing and the group has none (O14).
	GroupReasonUnsafeFencing = "UnsafeFencing"
	// GroupReasonNoPossibleOwner surfaces when the group's resources share no possible owner.
	GroupReasonNoPossibleOwner = "NoPossibleOwner"
	// GroupReasonTooLarge surfaces when the group asks for more than any node has.
	GroupReasonTooLarge = "TooLarge"
	// GroupReasonUnknownNode surfaces when the group names a node that the cluster does not have.
	GroupReasonUnknownNode = "UnknownNode"
	// GroupReasonResourceInvalid surfaces when a resource of the group is not accepted.
	GroupReasonResourceInvalid = "ResourceInvalid"
	// GroupReasonDependencyCycle surfaces when groups depend on each other in a circle.
	GroupReasonDependencyCycle = "DependencyCycle"
)
