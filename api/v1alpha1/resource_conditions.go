package v1alpha1

// Reasons of Resource conditions and of status.reason.
const (
	// ResourceConditionRegistered, of a network name with dns, is True while its owner tells of no trouble with DNS. False fails nothing.
	ResourceConditionRegistered = "Registered"
	// ResourceConditionPublished, of a network name with a service, is True when the Service and its EndpointSlices are as they should be.
	ResourceConditionPublished = "Published"
	// ResourceReasonRegistered and ResourceReasonPublished surface when there is no trouble.
	ResourceReasonRegistered = "Registered"
	ResourceReasonPublished  = "Published"
	// ResourceReasonServiceConflict surfaces when somebody else has a Service or EndpointSlice of the name, or the API server refuses it.
	ResourceReasonServiceConflict = "ServiceConflict"
	// ResourceReasonGroupNotFound surfaces when the resource's group is not there.
	ResourceReasonGroupNotFound = "GroupNotFound"
	// ResourceReasonMissingDependency surfaces when a resource that this one depends on is not in the group.
	ResourceReasonMissingDependency = "MissingDependency"
	// ResourceReasonDependencyCycle surfaces when resources depend on each other in a circle.
	ResourceReasonDependencyCycle = "DependencyCycle"
	// ResourceReasonNotAllowed surfaces when the Cluster does not allow the type, path or device in the namespace.
	ResourceReasonNotAllowed = "NotAllowed"
	// ResourceReasonUnknownNetwork surfaces when the Cluster has no network of the name, or none for clients.
	ResourceReasonUnknownNetwork = "UnknownNetwork"
	// ResourceReasonAddressOutsideNetwork surfaces when the address is in no range of its network.
	ResourceReasonAddressOutsideNetwork = "AddressOutsideNetwork"
	// ResourceReasonAddressInUse surfaces when another resource, node or host has the address.
	ResourceReasonAddressInUse = "AddressInUse"
	// ResourceReasonNameInUse surfaces when another resource of the cluster, or the cluster itself, has the network name, or another name of the
	// namespace the Service.
	ResourceReasonNameInUse = "NameInUse"
	// ResourceReasonLeftGroup surfaces in the status of a resource that was moved to another group, when the old one has let go of it.
	ResourceReasonLeftGroup = "LeftGroup"
	// ResourceReasonDiskInUse surfaces when another group has the disk.
	ResourceReasonDiskInUse = "DiskInUse"
	// ResourceReasonUnknownNode surfaces when a possible owner is not a node of the cluster.
	ResourceReasonUnknownNode = "UnknownNode"
	// ResourceReasonTypeNotSupported surfaces when the type's behaviour is not there yet.
	ResourceReasonTypeNotSupported = "TypeNotSupported"
	// ResourceReasonNotShareable surfaces when a type that only one node may have at a time is in a group of mode LoadBalanced.
	ResourceReasonNotShareable = "NotShareable"
	// ResourceReasonOwnerDown surfaces when the owner has died and nobody reports yet.
	ResourceReasonOwnerDown = "OwnerDown"
)
