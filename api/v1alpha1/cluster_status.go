package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkState is how well a network connects the nodes.
// +kubebuilder:validation:Enum=Up;Partitioned;Down;Unknown
type NetworkState string

// States of a network.
const (
	// NetworkUp connects all nodes of the view.
	NetworkUp NetworkState = "Up"
	// NetworkPartitioned connects some pairs and not others.
	NetworkPartitioned NetworkState = "Partitioned"
	// NetworkDown connects none.
	NetworkDown NetworkState = "Down"
	// NetworkUnknown is not reported, or carries no heartbeats.
	NetworkUnknown NetworkState = "Unknown"
)

// ClusterStatus is what is seen of a cluster.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.clusterID) || (has(self.clusterID) && self.clusterID == oldSelf.clusterID)",message="clusterID never changes"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.lastNodeID) || (has(self.lastNodeID) && self.lastNodeID >= oldSelf.lastNodeID)",message="lastNodeID never falls: node ids are never used again"
type ClusterStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// clusterID is made at first formation and never changes: 16 hexadecimal digits. Agents, disks and witnesses keep it too.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{16})?$`
	ClusterID string `json:"clusterID,omitempty"`
	// formation is the first formation of the cluster (R11).
	// +optional
	Formation *Formation `json:"formation,omitempty"`
	// lastNodeID is the highest node id ever given; ids are never used again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	LastNodeID int32 `json:"lastNodeID,omitempty"`
	// membership is the highest quorate view that any node has reported.
	// +optional
	Membership *Membership `json:"membership,omitempty"`
	// quorate says whether a view with quorum reports.
	// +optional
	Quorate bool `json:"quorate,omitempty"`
	// failuresLeft is how many more nodes may fail, one after the other, before quorum is lost.
	// +optional
	FailuresLeft int32 `json:"failuresLeft,omitempty"`
	// lossEndsQuorum names the nodes, and "witness", each of which would take quorum with it if it were lost now, alone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=65
	// +kubebuilder:validation:items:MaxLength=63
	LossEndsQuorum []string `json:"lossEndsQuorum,omitempty"`
	// networks is the state of each network that carries heartbeats.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Networks []ClusterNetworkStatus `json:"networks,omitempty"`
	// nodesUp is how many nodes are in the quorate view.
	// +optional
	NodesUp int32 `json:"nodesUp,omitempty"`
	// nodesTotal is how many nodes the cluster has.
	// +optional
	NodesTotal int32 `json:"nodesTotal,omitempty"`
	// groupsOnline is how many groups are Online.
	// +optional
	GroupsOnline int32 `json:"groupsOnline,omitempty"`
	// groupsTotal is how many groups the cluster has.
	// +optional
	GroupsTotal int32 `json:"groupsTotal,omitempty"`
	// access is where the cluster's own address and name are.
	// +optional
	Access *ClusterAccessStatus `json:"access,omitempty"`
	// journalWritten is the token of the last page of a journal (status.agent.journal of the reporter's Node) that was written to the
	// objects here: what the nodes decided while they did not reach the API server.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	JournalWritten string `json:"journalWritten,omitempty"`
	// conditions tell the cluster's health.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Formation is the first formation of a cluster (R11): only the nodes in it may start the first vote record.
type Formation struct {
	// token is unique to the formation.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Token string `json:"token,omitempty"`
	// members are the ids of the nodes that form the cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Members []int32 `json:"members,omitempty"`
	// completed says that a view was reported; from then on a node without a vote record has no vote until it is in one.
	// +optional
	Completed bool `json:"completed,omitempty"`
}

// Membership is a view as the cluster controller publishes it.
type Membership struct {
	// viewID names the view.
	// +required
	ViewID ViewID `json:"viewID"`
	// members are the names of the nodes in the view.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Members []string `json:"members,omitempty"`
	// coordinator is the name of the node that numbered the view.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Coordinator string `json:"coordinator,omitempty"`
	// witnessHeld says that the view holds the witness.
	// +optional
	WitnessHeld bool `json:"witnessHeld,omitempty"`
	// reporter is the name of the node that reported the view.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reporter string `json:"reporter,omitempty"`
	// since is when the view was installed, by the reporter's clock.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
}

// ClusterAccessStatus is where the cluster's own address and name are: what its core group is.
type ClusterAccessStatus struct {
	// namespace and name of the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=127
	Group string `json:"group,omitempty"`
	// state of the core group.
	// +optional
	State GroupState `json:"state,omitempty"`
	// node is the name of the node that answers for the address; empty while none does.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node,omitempty"`
	// address that the node answers for, without prefix length.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`
	// networkName that is online with the address.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	NetworkName string `json:"networkName,omitempty"`
	// message says what keeps the address or the name from being online.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ClusterNetworkStatus is the state of one network.
type ClusterNetworkStatus struct {
	// name of the network.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// state of the network.
	// +required
	State NetworkState `json:"state"`
	// message names the pairs of nodes that the network does not connect, the first few of them.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}
