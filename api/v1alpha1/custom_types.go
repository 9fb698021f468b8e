package v1alpha1

// Custom is an out-of-tree executable that acts as a resource type. Behaviour comes later.
type Custom struct {
	// driver is the name of the executable in the agent's driver directory.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9_.-]*$`
	Driver string `json:"driver"`
	// parameters of the driver.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Parameters []NameValue `json:"parameters,omitempty"`
}
