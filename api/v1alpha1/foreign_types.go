package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Annotations of a disk's Resource with which an operator has a foreign reservation cleared. They act together, once, and are removed.
// Whoever sets them needs the verb clear-foreign-reservation on the Resource.
const (
	// ClearForeignAnnotation is KEY[,KEY...] or KEY[,KEY...]/TOKEN: every foreign key on the disk, as messages show them (0x...). A token
	// acts once for ever.
	ClearForeignAnnotation = "quorate.io/clear-foreign-reservation"
	// ClearForeignReasonAnnotation says how it is known that the owner of the keys is gone.
	ClearForeignReasonAnnotation = "quorate.io/clear-foreign-reservation-reason"
	// ClearForeignByAnnotation is the name of the user who asks, as the API server knows it.
	ClearForeignByAnnotation = "quorate.io/clear-foreign-reservation-by"
	// ClearForeignVerb is the verb on resources of quorate.io that allows it.
	ClearForeignVerb = "clear-foreign-reservation"
)

// ClearingState is how the clearing of a foreign reservation stands.
// +kubebuilder:validation:Enum=Requested;Cleared;Failed
type ClearingState string

// States of a clearing.
const (
	// ClearingRequested waits for the node's agent.
	ClearingRequested ClearingState = "Requested"
	// ClearingCleared: none of the keys is on the disk any more.
	ClearingCleared ClearingState = "Cleared"
	// ClearingFailed: the message says why. It is not tried again by itself.
	ClearingFailed ClearingState = "Failed"
)

// ForeignClearing is the latest act of an operator who had a foreign reservation cleared.
type ForeignClearing struct {
	// number counts the acts on this Resource.
	// +required
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// keys that are to go, as 0x and hexadecimal digits.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=18
	Keys []string `json:"keys"`
	// node whose agent carries it out, or did.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// by is who asked for it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that was given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// token of the annotation.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Token string `json:"token,omitempty"`
	// state of the act.
	// +required
	State ClearingState `json:"state"`
	// message says what was removed, or why nothing was.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// time of the state.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}

// AgentClearing is what this agent did to clear a foreign reservation.
type AgentClearing struct {
	// uid of the Resource.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// namespace of the Resource.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// name of the Resource.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// number of the act (status.foreignReservation.number) that was carried out; 0 for one that was asked for on the host.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Number int64 `json:"number,omitempty"`
	// keys that were to go.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=18
	Keys []string `json:"keys,omitempty"`
	// by is who asked for it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that was given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// state is Cleared or Failed.
	// +required
	State ClearingState `json:"state"`
	// message says what was removed, or why nothing was.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// time at which it was done.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}
