package v1alpha1

// IPAddress is an address that clients use. It is checked for duplicates, added, announced, and guarded by the kernel's lease.
// +kubebuilder:validation:XValidation:rule="!has(self.sourceRoutes) || !has(self.sourceRoutes.gateway) || !isIP(self.sourceRoutes.gateway) || !isCIDR(self.address) || cidr(self.address).masked().containsIP(ip(self.sourceRoutes.gateway)) || (cidr(self.address).ip().family() == 6 && ip(self.sourceRoutes.gateway).isLinkLocalUnicast())",message="sourceRoutes.gateway must be in the address's own network",fieldPath=".sourceRoutes"
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
	// sourceRoutes has what is sent from the address leave by a gateway of the address's own network, whatever the host's default route is:
	// answers go back the way that the questions came. Routes and rule come and go with the address.
	// +optional
	SourceRoutes *SourceRoutes `json:"sourceRoutes,omitempty"`
	// connectionTracking says what becomes of the host's entries for the address, in both directions, when the address comes and when
	// it goes; built-in default Keep.
	// +optional
	ConnectionTracking ConnectionTracking `json:"connectionTracking,omitempty"`
}

// SourceRoutes are routes for what is sent from one address.
type SourceRoutes struct {
	// gateway that they lead to. Empty for the first one of the address's family that the Cluster names for the network, else that
	// of the host's own routes over the network's interface.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="gateway must be an address such as 192.168.7.1"
	Gateway string `json:"gateway,omitempty"`
}

// ConnectionTracking says what becomes of the kernel's entries of connections.
// +kubebuilder:validation:Enum=Keep;Clear
type ConnectionTracking string

// What becomes of entries of connections.
const (
	// ConnectionTrackingKeep leaves them alone.
	ConnectionTrackingKeep ConnectionTracking = "Keep"
	// ConnectionTrackingClear deletes them, so that no rule that goes by them speaks of an earlier owner's connections.
	ConnectionTrackingClear ConnectionTracking = "Clear"
)

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
