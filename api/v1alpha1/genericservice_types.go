package v1alpha1

// GenericService is a systemd unit, started and stopped over D-Bus. While it is online, a drop-in in /run overrides its Restart=: when and
// where it runs is the cluster's to decide.
type GenericService struct {
	// unit is the name of the systemd service, such as postgresql.service or postgresql@17-main.service. It must be installed on every possible
	// owner, and disabled: nothing but the cluster may start it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9:_.\\@-]+$`
	// +kubebuilder:validation:XValidation:rule="self.endsWith('.service')",message="unit must be a service: its name ends in .service"
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('@.service')",message="unit must not be a template: name an instance of it, such as NAME@main.service"
	Unit string `json:"unit"`
	// startParameters are passed to the unit in the variable QUORATE_START_PARAMETERS, which its ExecStart= may use. Those of a unit that runs
	// are changed when it is started the next time.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	StartParameters string `json:"startParameters,omitempty"`
	// useNetworkName is to give the unit's processes the group's network name as their host name. It has no effect yet: systemd 252, which
	// Debian 12 has, knows no setting for that, and a command around the unit's own would need rights that the unit's user does not have. The
	// unit has the name in the variable QUORATE_NETWORK_NAME if the resource depends on a NetworkName, directly or through others.
	// +optional
	UseNetworkName bool `json:"useNetworkName,omitempty"`
}
