package v1alpha1

// Condition types of a Node.
const (
	// NodeConditionQuarantined surfaces when the node left the view without notice too often; it takes no groups for a while.
	NodeConditionQuarantined = "Quarantined"
	// NodeConditionAgentDisconnected surfaces when the node's agent does not reach the API server, though the node is Up.
	NodeConditionAgentDisconnected = "AgentDisconnected"
	// NodeConditionDrained surfaces when a node whose availability is Drained owns nothing any more.
	NodeConditionDrained = "Drained"
	// NodeConditionStuck surfaces while something on the node does not stop although it has to; the message says when the host is reset.
	NodeConditionStuck = "Stuck"
)

// Reasons of Node conditions.
const (
	// NodeReasonUp surfaces when the node is in the quorate view.
	NodeReasonUp = "Up"
	// NodeReasonDown surfaces when the node is not in the quorate view.
	NodeReasonDown = "NodeDown"
	// NodeReasonJoining surfaces before the node was ever in a view.
	NodeReasonJoining = "Joining"
	// NodeReasonPaused surfaces when the node is in the view and takes no groups.
	NodeReasonPaused = "Paused"
	// NodeReasonNoQuorateView surfaces while no quorate view reports.
	NodeReasonNoQuorateView = "NoQuorateView"
	// NodeReasonUngracefulExits surfaces when the node left the view without notice too often.
	NodeReasonUngracefulExits = "UngracefulExits"
	// NodeReasonWellBehaved surfaces on Quarantined=False.
	NodeReasonWellBehaved = "WellBehaved"
	// NodeReasonSpared surfaces on Quarantined=False of a node that left too often while as many others are in quarantine as may be.
	NodeReasonSpared = "TooManyQuarantined"
	// NodeReasonQuarantined surfaces on Ready=False of a node that is in the view, and in quarantine.
	NodeReasonQuarantined = "Quarantined"
	// NodeReasonReachesAPI surfaces on AgentDisconnected=False.
	NodeReasonReachesAPI = "ReachesAPI"
	// NodeReasonNoAPI surfaces when the view says that the member does not reach the API server.
	NodeReasonNoAPI = "NoAPI"
	// NodeReasonDraining surfaces while groups are still leaving.
	NodeReasonDraining = "Draining"
	// NodeReasonDrained surfaces when none is left.
	NodeReasonDrained = "Drained"
	// NodeReasonNotDrained surfaces when draining is not asked for.
	NodeReasonNotDrained = "NotDrained"
	// NodeReasonIDsExhausted surfaces when the cluster has given out all 4095 node ids.
	NodeReasonIDsExhausted = "NodeIDsExhausted"
	// NodeReasonAgentProblem surfaces when the agent reports a problem.
	NodeReasonAgentProblem = "AgentProblem"
)

// Reasons of status.agent.problems.
const (
	// ProblemWrongCluster: the agent has persisted another cluster's id.
	ProblemWrongCluster = "WrongCluster"
	// ProblemWrongKey: heartbeats of peers do not authenticate.
	ProblemWrongKey = "WrongKey"
	// ProblemOtherVersion: the agent of a peer speaks no version of the heartbeat protocol that this one understands.
	ProblemOtherVersion = "OtherVersion"
	// ProblemNoKey: the heartbeat key cannot be read.
	ProblemNoKey = "NoKey"
	// ProblemCannotBeStopped: something does not stop, although it has to; the message says when the host is reset for it.
	ProblemCannotBeStopped = "CannotBeStopped"
	// ProblemMissingTool: a program that a resource needs is not on the host.
	ProblemMissingTool = "MissingTool"
	// ProblemMissingDevice: a device or file that a resource needs is not on the host.
	ProblemMissingDevice = "MissingDevice"
	// ProblemMissingImage: the image of a container is not on the host.
	ProblemMissingImage = "MissingImage"
	// ProblemContainerd: containerd does not answer, so no container can be started; those that run go on.
	ProblemContainerd = "ContainerdNotUsable"
	// ProblemMissingAddress: the host does not have an address that its Node names.
	ProblemMissingAddress = "MissingAddress"
	// ProblemNoAddressGuard: the kernel cannot silence addresses (O13).
	ProblemNoAddressGuard = "NoAddressGuard"
	// ProblemWitness surfaces when the agent cannot use the cluster's witness.
	ProblemWitness = "WitnessNotUsable"
	// ProblemFencing: a level of a node's fencing cannot be used from this host, or a fencing has failed.
	ProblemFencing = "FencingNotUsable"
	// ProblemNameKey: the Secret that signs the registrations of a network name cannot be read, or is no TSIG key.
	ProblemNameKey = "NameKeyNotUsable"
	// ProblemSecret: a Secret that variables come from cannot be read, or does not have what they want.
	ProblemSecret = "SecretNotUsable"
	// ProblemNameNotRegistered: a network name that is online on the node is not in DNS as it should be.
	ProblemNameNotRegistered = "NameNotRegistered"
	// ProblemNameNotRemoved: a network name that is offline is still in DNS.
	ProblemNameNotRemoved = "NameNotRemoved"
	// ProblemNoGuardian: the guardian process does not answer.
	ProblemNoGuardian = "NoGuardian"
	// ProblemNoWatchdog surfaces when the watchdog device that the Cluster names is not armed.
	ProblemNoWatchdog = "NoWatchdog"
)
