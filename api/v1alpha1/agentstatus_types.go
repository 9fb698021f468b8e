package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AgentStatus is what the agent of a host reports in its own Node. It holds states, not figures: it is written when something
// changes, never as a heartbeat.
type AgentStatus struct {
	// version of the agent.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// bootID of the host's kernel.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID,omitempty"`
	// clusterID that the agent has persisted; empty before the first formation.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	ClusterID string `json:"clusterID,omitempty"`
	// nodeID is the id under which the host keeps its promises; an API server that was restored without it takes it from here.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID,omitempty"`
	// generation is the node's present life: it grows at boot and whenever quorum was lost (O3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// incarnation of the agent process in heartbeats; it grows with each start.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Incarnation int64 `json:"incarnation,omitempty"`
	// recordNumber is the number of the vote record that the agent has persisted; 0 for none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RecordNumber int64 `json:"recordNumber,omitempty"`
	// voters are the node ids of that vote record.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Voters []int32 `json:"voters,omitempty"`
	// witnessVotes says that the witness is a voter of that record; it counts beside an even number of others only.
	// +optional
	WitnessVotes bool `json:"witnessVotes,omitempty"`
	// witnessOnly says that the witness alone counts under that record.
	// +optional
	WitnessOnly bool `json:"witnessOnly,omitempty"`
	// forced says that an operator forced that record, or one before it, and no majority of the configured votes has taken part since.
	// +optional
	Forced bool `json:"forced,omitempty"`
	// preventsQuorum says that an operator told this node to form no quorum, but to join others that have one.
	// +optional
	PreventsQuorum bool `json:"preventsQuorum,omitempty"`
	// view is the view that the node is in; only the reporter of the view writes it.
	// +optional
	View *AgentView `json:"view,omitempty"`
	// guards says what stops this host when its agent does not.
	// +optional
	Guards *AgentGuards `json:"guards,omitempty"`
	// scheduling says how the host keeps the agent's latency under load.
	// +optional
	Scheduling *AgentScheduling `json:"scheduling,omitempty"`
	// heartbeatKeys are the ids of the keys that the agent accepts in heartbeats, newest first. An id tells nothing of its key. A
	// rotation has arrived when all Nodes show the same first one.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:MaxLength=8
	HeartbeatKeys []string `json:"heartbeatKeys,omitempty"`
	// peers is how the agent hears each other node, by network.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +listMapKey=network
	// +kubebuilder:validation:MaxItems=1024
	Peers []AgentPeer `json:"peers,omitempty"`
	// interfaces are the host's network interfaces on the cluster's networks.
	// +optional
	// +listType=map
	// +listMapKey=network
	// +kubebuilder:validation:MaxItems=32
	Interfaces []AgentInterface `json:"interfaces,omitempty"`
	// disks are the disks that groups need, as the host sees them.
	// +optional
	// +listType=map
	// +listMapKey=device
	// +kubebuilder:validation:MaxItems=1024
	Disks []AgentDisk `json:"disks,omitempty"`
	// images are the container images of resources that this node may own, and whether the host has them. A node that lacks one takes no
	// group that needs it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Images []AgentImage `json:"images,omitempty"`
	// problems are what the agent cannot do, and why.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +listMapKey=object
	// +kubebuilder:validation:MaxItems=64
	Problems []AgentProblem `json:"problems,omitempty"`
	// canFence are the other nodes whose power can be cut from this host.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	CanFence []AgentFenceTarget `json:"canFence,omitempty"`
	// fencings are what this agent did to cut other nodes' power.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Fencings []AgentFencing `json:"fencings,omitempty"`
	// confirmations are what operators have confirmed on this host.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Confirmations []AgentConfirmation `json:"confirmations,omitempty"`
	// clearings are the latest foreign reservations that this agent has removed from disks, or tried to.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=64
	Clearings []AgentClearing `json:"clearings,omitempty"`
	// groups are the groups of which something is, or was, on the host.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=4096
	Groups []AgentGroup `json:"groups,omitempty"`
	// journal is set while the node, or a member of its view, goes by what was decided without the API server and not by what the
	// API server says, and as long as it cannot be known whether all of that is known here.
	// +optional
	Journal *AgentJournal `json:"journal,omitempty"`
}

// AgentView is a view as its reporter publishes it.
type AgentView struct {
	// id names the view.
	// +required
	ID ViewID `json:"id"`
	// members of the view.
	// +optional
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MaxItems=64
	Members []AgentViewMember `json:"members,omitempty"`
	// quorate says that the reporter was acting in the view (R7).
	// +optional
	Quorate bool `json:"quorate,omitempty"`
	// witnessHeld says that the view holds the witness.
	// +optional
	WitnessHeld bool `json:"witnessHeld,omitempty"`
	// witnessHolder is the id of the member that holds it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	WitnessHolder int32 `json:"witnessHolder,omitempty"`
	// installedAt is when the reporter installed the view, by its clock.
	// +optional
	InstalledAt *metav1.MicroTime `json:"installedAt,omitempty"`
	// detect is how long the last lost member had been silent when the view was installed.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Detect *metav1.Duration `json:"detect,omitempty"`
}

// AgentViewMember is a member of a view.
type AgentViewMember struct {
	// id of the node.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	ID int32 `json:"id"`
	// generation of the node as agreed in the view.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// reachesAPI says that the member's agent reaches the API server.
	// +optional
	ReachesAPI bool `json:"reachesAPI,omitempty"`
}

// AgentGuards says what stops a host when its agent does not.
type AgentGuards struct {
	// addresses says that the kernel silences guarded addresses when their lease ends (O13).
	// +optional
	Addresses bool `json:"addresses,omitempty"`
	// watchdog says that a watchdog device is armed.
	// +optional
	Watchdog bool `json:"watchdog,omitempty"`
	// watchdogTimeout is how long the armed device waits to be fed before it resets the host: other nodes wait at least that long.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	WatchdogTimeout *metav1.Duration `json:"watchdogTimeout,omitempty"`
	// guardian says that the guardian process runs, which stops everything when the agent cannot.
	// +optional
	Guardian bool `json:"guardian,omitempty"`
}

// AgentPriority is how the host's kernel serves the agent's threads.
// +kubebuilder:validation:Enum=Realtime;Nice;Ordinary
type AgentPriority string

// Priorities of the agent.
const (
	// PriorityRealtime is served before all ordinary processes.
	PriorityRealtime AgentPriority = "Realtime"
	// PriorityNice gets the largest share of the CPU that an ordinary process can have.
	PriorityNice AgentPriority = "Nice"
	// PriorityOrdinary is as any other process.
	PriorityOrdinary AgentPriority = "Ordinary"
)

// AgentScheduling says how the host keeps the agent's latency under load.
type AgentScheduling struct {
	// priority of the agent's threads.
	// +required
	Priority AgentPriority `json:"priority"`
	// memoryLocked says that the agent's memory is never swapped out.
	// +optional
	MemoryLocked bool `json:"memoryLocked,omitempty"`
	// message says what the host has refused.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ReservationKind is how a disk keeps other hosts from writing.
// +kubebuilder:validation:Enum=Enforced;Advisory;None
type ReservationKind string

// Kinds of reservations.
const (
	// ReservationEnforced is kept by the disk itself: a proof.
	ReservationEnforced ReservationKind = "Enforced"
	// ReservationAdvisory is kept by agreement: no proof.
	ReservationAdvisory ReservationKind = "Advisory"
	// ReservationNone is not there.
	ReservationNone ReservationKind = "None"
)

// AgentDisk is a disk as one host sees it.
type AgentDisk struct {
	// device or backing file, as the Resource names it.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Device string `json:"device"`
	// visible says that the host sees the disk.
	// +optional
	Visible bool `json:"visible,omitempty"`
	// reservation is how the disk keeps other hosts from writing.
	// +optional
	Reservation ReservationKind `json:"reservation,omitempty"`
	// holder is the id of the node that holds the reservation; 0 for none.
	// +optional
	Holder int32 `json:"holder,omitempty"`
	// epoch is the highest epoch of this cluster found on the disk (O7).
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// identity of the disk: WWID or file-system UUID.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Identity string `json:"identity,omitempty"`
	// message says what is wrong with the disk.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// AgentProblem is something that the agent cannot do.
type AgentProblem struct {
	// reason is a CamelCase word, such as WrongCluster.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// object that the problem is about; a device, tool, group or network. Empty for the host itself.
	// +optional
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=256
	Object string `json:"object"`
	// message for people: what, where, what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ReleaseHow says how a withdrawn group was stopped.
// +kubebuilder:validation:Enum=Graceful;Forced
type ReleaseHow string

// Ways in which a withdrawn group was stopped.
const (
	// ReleasedGraceful stopped by itself.
	ReleasedGraceful ReleaseHow = "Graceful"
	// ReleasedForced was killed (O10).
	ReleasedForced ReleaseHow = "Forced"
)

// AgentGroup is what an agent says of one group.
type AgentGroup struct {
	// uid of the ResourceGroup; groups are told apart by it (O7).
	// +required
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// namespace of the ResourceGroup.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// name of the ResourceGroup.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// epoch at which the group, or anything of it, is on the host; 0 when nothing is.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch,omitempty"`
	// generation of the node that the entry is about (O3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// released is the highest withdrawal that was carried out (O1).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Released int64 `json:"released,omitempty"`
	// releasedHow says how the group was stopped.
	// +optional
	ReleasedHow ReleaseHow `json:"releasedHow,omitempty"`
	// floor is the highest epoch of the group that the agent knows of, on a disk or in its memory (O7).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Floor int64 `json:"floor,omitempty"`
	// provenEpoch is the epoch at which every earlier owner was shown harmless for every resource; 0 when not yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ProvenEpoch int64 `json:"provenEpoch,omitempty"`
	// proofs are the evidence, by resource.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Proofs []Proof `json:"proofs,omitempty"`
	// fence is how long the proofs took.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Fence *metav1.Duration `json:"fence,omitempty"`
	// online is how long the resources took to come online after the proofs.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	Online *metav1.Duration `json:"online,omitempty"`
	// failoverWanted asks for a failover: a resource failed past its restart threshold.
	// +optional
	FailoverWanted *FailoverRequest `json:"failoverWanted,omitempty"`
}

// FailoverRequest is an agent's wish that a group goes elsewhere.
type FailoverRequest struct {
	// resource that failed.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Resource string `json:"resource"`
	// epoch that the wish belongs to; a later one voids it.
	// +required
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch"`
	// message says why.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// network that the host had lost; empty when the failure had another reason.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network,omitempty"`
	// time of the failure.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}
