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
}
