package v1alpha1

// OCF is an Open Cluster Framework resource agent (OCF Resource Agent API 1.1), such as those of Debian's package resource-agents. Every
// possible owner needs it below /usr/lib/ocf/resource.d. What it starts runs in a control group of its own and survives the agent of the host;
// its health is what its action monitor says, and the end of a main process is seen at once. Roles (promote, demote) are not used.
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
	// parameters of the agent (OCF_RESKEY_...); `kubectl quorate ocf describe` shows them. OCF_CHECK_LEVEL makes monitor more thorough, if
	// the agent knows levels.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Parameters []NameValue `json:"parameters,omitempty"`
}
