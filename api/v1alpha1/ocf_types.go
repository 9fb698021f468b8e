package v1alpha1

// OCF is an Open Cluster Framework resource agent. Behaviour comes later.
type OCF struct {
	// provider of the agent, such as heartbeat.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9_.-]*$`
	Provider string `json:"provider"`
	// agent is its name, such as apache.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9_.-]*$`
	Agent string `json:"agent"`
	// parameters of the agent (OCF_RESKEY_...).
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Parameters []NameValue `json:"parameters,omitempty"`
}
