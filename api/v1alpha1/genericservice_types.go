package v1alpha1

// GenericService is a systemd unit, started and stopped over D-Bus. Behaviour comes later.
type GenericService struct {
	// unit is the name of the systemd unit, such as postgresql.service. It must be disabled on the hosts.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9:_.\\@-]+$`
	Unit string `json:"unit"`
	// startParameters are passed to the unit in the variable QUORATE_START_PARAMETERS.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	StartParameters string `json:"startParameters,omitempty"`
	// useNetworkName gives the unit's processes the group's network name as their host name.
	// +optional
	UseNetworkName bool `json:"useNetworkName,omitempty"`
}
