// Package v1alpha1 holds the API of Quorate: Cluster, Node, QuorumConfig, ResourceGroup and Resource of group quorate.io.
//
// Nothing in a spec is ever written by a controller or an agent of its own accord; acts of an operator are annotations (see
// MoveToAnnotation) that are carried out once, recorded in status and removed. What an operator asked for on a host while no API server
// was reached is written into the spec by the manager later (see AskedOnHostAnnotation). Every status has one writer: the manager writes Cluster,
// QuorumConfig and ResourceGroup, and Node except status.agent; the agent of a host writes status.agent of its own Node and the
// status of the Resources that it owns.
//
// +kubebuilder:object:generate=true
// +groupName=quorate.io
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=../applyconfiguration
package v1alpha1
