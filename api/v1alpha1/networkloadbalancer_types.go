package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BalancerMode says how packets reach all members.
// +kubebuilder:validation:Enum=Unicast;Multicast;IGMP
type BalancerMode string

// Modes of a balancer.
const (
	BalancerUnicast   BalancerMode = "Unicast"
	BalancerMulticast BalancerMode = "Multicast"
	BalancerIGMP      BalancerMode = "IGMP"
)

// NetworkLoadBalancer shares an address among nodes: each takes its hash share of the packets. Behaviour comes later.
type NetworkLoadBalancer struct {
	// network is the name of the cluster's network that the address is on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// clusterIP is the shared address with its prefix length.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self).ip().isGlobalUnicast()",message="clusterIP must be a unicast IPv4 or IPv6 address with its prefix length, such as 192.168.7.50/24"
	ClusterIP string `json:"clusterIP"`
	// mode says how packets reach all members; default Multicast.
	// +optional
	// +kubebuilder:default=Multicast
	Mode BalancerMode `json:"mode,omitempty"`
	// portRules say which ports are shared, and how.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	PortRules []PortRule `json:"portRules,omitempty"`
	// members are the nodes with their weights; empty for all possible owners with equal weights.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Members []BalancerMember `json:"members,omitempty"`
}

// PortRuleMode says who takes packets of a rule.
// +kubebuilder:validation:Enum=Multiple;Single;Disabled
type PortRuleMode string

// Modes of a port rule.
const (
	// PortRuleMultiple shares among all members.
	PortRuleMultiple PortRuleMode = "Multiple"
	// PortRuleSingle gives all to the member of the best priority.
	PortRuleSingle PortRuleMode = "Single"
	// PortRuleDisabled drops them.
	PortRuleDisabled PortRuleMode = "Disabled"
)

// Affinity says which packets stay together.
// +kubebuilder:validation:Enum=None;Single;Network
type Affinity string

// Affinities.
const (
	// AffinityNone hashes address and port.
	AffinityNone Affinity = "None"
	// AffinitySingle hashes the client's address.
	AffinitySingle Affinity = "Single"
	// AffinityNetwork hashes the client's network.
	AffinityNetwork Affinity = "Network"
)

// PortRule shares a range of ports.
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || self.endPort >= self.startPort",message="endPort must not be below startPort",fieldPath=".endPort"
type PortRule struct {
	// name of the rule.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// startPort is the first port.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	StartPort int32 `json:"startPort"`
	// endPort is the last port; default startPort.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`
	// protocol of the rule; both when empty.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// mode says who takes the packets; default Multiple.
	// +optional
	Mode PortRuleMode `json:"mode,omitempty"`
	// affinity says which packets stay together; default Single.
	// +optional
	Affinity Affinity `json:"affinity,omitempty"`
	// affinityTimeout keeps a client with its member after its last connection.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="affinityTimeout must be greater than 0s"
	AffinityTimeout *metav1.Duration `json:"affinityTimeout,omitempty"`
}

// BalancerMember is one node of a balancer.
type BalancerMember struct {
	// node is the member's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// weight is the member's share, 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight *int32 `json:"weight,omitempty"`
	// priority of the member for rules of mode Single, 1 for the best.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Priority *int32 `json:"priority,omitempty"`
}
