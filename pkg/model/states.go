package model

// NodeState is what the cluster thinks of a node (WSFC's CLUSTER_NODE_STATE).
type NodeState string

// Node states.
const (
	NodeUp      NodeState = "Up"      // in the quorate view
	NodeDown    NodeState = "Down"    // not in the quorate view
	NodePaused  NodeState = "Paused"  // up, but takes no groups
	NodeJoining NodeState = "Joining" // known, but not yet in a view
	NodeUnknown NodeState = "Unknown" // no quorate view reports
)

// ImageLack says of a container image that a node does not have it.
type ImageLack string

// How a node lacks an image.
const (
	ImageAwaited ImageLack = "Awaited" // it is being fetched, or it cannot be told
	ImageMissing ImageLack = "Missing" // it cannot be had
)

// ResourceState is the state of one resource (WSFC's CLUSTER_RESOURCE_STATE).
type ResourceState string

// Resource states. Unknown is set by the group controller for the resources of a dead owner.
const (
	ResourceOffline        ResourceState = "Offline"
	ResourceOnlinePending  ResourceState = "OnlinePending"
	ResourceOnline         ResourceState = "Online"
	ResourceOfflinePending ResourceState = "OfflinePending"
	ResourceFailed         ResourceState = "Failed"
	ResourceUnknown        ResourceState = "Unknown"
)

// GroupState is the state of a group, aggregated from its resources.
type GroupState string

// Group states.
const (
	GroupOnline        GroupState = "Online"
	GroupOffline       GroupState = "Offline"
	GroupPartialOnline GroupState = "PartialOnline"
	GroupPending       GroupState = "Pending"
	GroupFailed        GroupState = "Failed"
)

// AggregateGroupState is WSFC's rule (GetClusterGroupState; anchors A01-A04): Failed wins over Pending, Pending over the rest;
// an empty group is Offline. An Unknown resource counts as Offline.
func AggregateGroupState(resources []ResourceState) GroupState {
	var online, offline, pending int
	for _, s := range resources {
		switch s {
		case ResourceFailed:
			return GroupFailed
		case ResourceOnlinePending, ResourceOfflinePending:
			pending++
		case ResourceOnline:
			online++
		case ResourceOffline, ResourceUnknown:
			offline++
		default:
			offline++
		}
	}
	switch {
	case pending > 0:
		return GroupPending
	case online == 0:
		return GroupOffline
	case offline == 0:
		return GroupOnline
	default:
		return GroupPartialOnline
	}
}
