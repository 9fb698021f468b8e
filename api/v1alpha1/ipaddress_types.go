package v1alpha1

// IPAddress is an address that clients use. It is checked for duplicates, added, announced, and guarded by the kernel's lease.
type IPAddress struct {
	// network is the name of the cluster's network that the address is on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// address with its prefix length, IPv4 or IPv6, such as 192.168.7.50/24.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self).ip().isGlobalUnicast()",message="address must be a unicast IPv4 or IPv6 address with its prefix length, such as 192.168.7.50/24"
	Address string `json:"address"`
	// whenIsolated says what follows when the host hears neither another node nor a gateway on the network any more, although its link
	// is up, while another node that may have the group does (docs/networks.md); built-in default Fail.
	// +optional
	WhenIsolated IsolationPolicy `json:"whenIsolated,omitempty"`
}

// IsolationPolicy says what follows when a host is cut off from a network.
// +kubebuilder:validation:Enum=Fail;Ignore
type IsolationPolicy string

// Isolation policies.
const (
	// IsolationFail fails the address, so that its group goes where clients can reach it.
	IsolationFail IsolationPolicy = "Fail"
	// IsolationIgnore leaves the address where it is: only the loss of the interface's link fails it.
	IsolationIgnore IsolationPolicy = "Ignore"
)
