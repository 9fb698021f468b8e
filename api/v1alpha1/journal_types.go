package v1alpha1

// AgentJournal is what was decided without the API server and is not written to it yet.
type AgentJournal struct {
	// pending says that nothing new may be decided here before the journal is written.
	// +optional
	Pending bool `json:"pending,omitempty"`
	// lost says that the node has been in a view with a journal that is in nobody's hands: what a node outside the view ran last is
	// not known (O6).
	// +optional
	Lost bool `json:"lost,omitempty"`
	// token stands for the page.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Token string `json:"token,omitempty"`
	// page is the beginning of the journal, compressed; only the reporter of the view publishes it.
	// +optional
	// +kubebuilder:validation:MaxLength=400000
	Page []byte `json:"page,omitempty"`
}
