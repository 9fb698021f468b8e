package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LinkState is Up or Down, with hysteresis.
// +kubebuilder:validation:Enum=Up;Down;Unknown
type LinkState string

// States of a link.
const (
	// LinkUp is heard, or has carrier.
	LinkUp LinkState = "Up"
	// LinkDown is silent, or has no carrier.
	LinkDown LinkState = "Down"
	// LinkUnknown was not looked at yet.
	LinkUnknown LinkState = "Unknown"
)

// AgentPeer is how one node is heard on one network.
type AgentPeer struct {
	// node is the peer's name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// network that the peer is, or is not, heard on.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// state of the link.
	// +required
	State LinkState `json:"state"`
}

// AgentInterface is the host's interface on one network of the cluster.
type AgentInterface struct {
	// network of the cluster.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// name of the interface.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Name string `json:"name,omitempty"`
	// state of the interface.
	// +required
	State LinkState `json:"state"`
	// reach says whether anybody is heard on the network; only of networks that serve clients.
	// +optional
	Reach NetworkReach `json:"reach,omitempty"`
	// reachSince is when reach became what it is, by the host's clock.
	// +optional
	ReachSince *metav1.Time `json:"reachSince,omitempty"`
}

// NetworkReach says whether a host hears anybody on a network.
// +kubebuilder:validation:Enum=Reached;Isolated;Unknown
type NetworkReach string

// Reaches of a network.
const (
	// NetworkReached hears another node or a gateway.
	NetworkReached NetworkReach = "Reached"
	// NetworkIsolated has heard nobody for a while, or has no carrier.
	NetworkIsolated NetworkReach = "Isolated"
	// NetworkReachUnknown was not looked at for long enough, or there is nobody whom it could hear.
	NetworkReachUnknown NetworkReach = "Unknown"
)
