package v1alpha1

// Condition types that several kinds share. They follow kstatus.
const (
	// ConditionReady surfaces when the desired state is reached; a group that is wanted Offline and is Offline is Ready.
	ConditionReady = "Ready"
	// ConditionAccepted surfaces when the spec is usable; False names the object and field that is not.
	ConditionAccepted = "Accepted"
	// ConditionUnsafeFencing surfaces when nothing can prove an old owner harmless before its self-fence deadline (O14).
	ConditionUnsafeFencing = "UnsafeFencing"
)

// Reasons that several kinds share.
const (
	// ReasonAccepted surfaces when the spec is usable.
	ReasonAccepted = "Accepted"
	// ReasonInvalid surfaces when the spec contradicts itself or another object.
	ReasonInvalid = "Invalid"
	// ReasonClusterNotFound surfaces when the Cluster that the object names is not there.
	ReasonClusterNotFound = "ClusterNotFound"
	// ReasonMaintenance surfaces while maintenance freezes the object.
	ReasonMaintenance = "Maintenance"
	// ReasonReady surfaces when the desired state is reached.
	ReasonReady = "Ready"
	// ReasonPending surfaces while the desired state is being reached.
	ReasonPending = "Pending"
	// ReasonUnknown surfaces when nobody reports.
	ReasonUnknown = "Unknown"
	// ReasonSafe surfaces on UnsafeFencing=False.
	ReasonSafe = "Safe"
	// ReasonNotGuarded surfaces on UnsafeFencing=True: no guarded addresses, watchdog or power fencing (O14).
	ReasonNotGuarded = "NotGuarded"
)

// Condition types of a Cluster.
const (
	// ClusterConditionFormed surfaces when the cluster has had its first formation (R11).
	ClusterConditionFormed = "Formed"
	// ClusterConditionQuorate surfaces when a view with quorum reports.
	ClusterConditionQuorate = "Quorate"
	// ClusterConditionNetworksUp surfaces when every network that carries heartbeats connects all nodes of the view.
	ClusterConditionNetworksUp = "NetworksUp"
)

// Reasons of Cluster conditions.
const (
	// ClusterReasonFormed surfaces when the cluster has had its first formation.
	ClusterReasonFormed = "Formed"
	// ClusterReasonForming surfaces while chosen nodes form the cluster.
	ClusterReasonForming = "Forming"
	// ClusterReasonNoQuorumConfig surfaces when there is no QuorumConfig of the cluster's name: it does not form.
	ClusterReasonNoQuorumConfig = "NoQuorumConfig"
	// ClusterReasonWaitingForNodes surfaces while fewer than a majority of the voting nodes have reported.
	ClusterReasonWaitingForNodes = "WaitingForNodes"
	// ClusterReasonQuorate surfaces when a view with quorum reports.
	ClusterReasonQuorate = "Quorate"
	// ClusterReasonNoQuorum surfaces when no view with quorum reports.
	ClusterReasonNoQuorum = "NoQuorum"
	// ClusterReasonReporterSilent surfaces when the reporter's Lease is stale.
	ClusterReasonReporterSilent = "ReporterSilent"
	// ClusterReasonNetworksUp surfaces when all networks are Up.
	ClusterReasonNetworksUp = "NetworksUp"
	// ClusterReasonNetworkDegraded surfaces when a network is Partitioned or Down.
	ClusterReasonNetworkDegraded = "NetworkDegraded"
	// ClusterReasonNodesMissing surfaces when the cluster serves but a node is Down.
	ClusterReasonNodesMissing = "NodesMissing"
	// ClusterReasonAPIRolledBack surfaces when the API server shows a view older than agents have published (O6).
	ClusterReasonAPIRolledBack = "APIRolledBack"
)
