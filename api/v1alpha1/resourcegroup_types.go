package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GroupMode says on how many nodes a group runs.
// +kubebuilder:validation:Enum=Failover;LoadBalanced
type GroupMode string

// Modes of a group.
const (
	// GroupModeFailover runs on one node at a time.
	GroupModeFailover GroupMode = "Failover"
	// GroupModeLoadBalanced runs on every possible owner that may take it, on all of them at once.
	GroupModeLoadBalanced GroupMode = "LoadBalanced"
)

// DesiredState is what is wanted of a group or resource.
// +kubebuilder:validation:Enum=Online;Offline
type DesiredState string

// Desired states.
const (
	// DesiredOnline wants it to serve.
	DesiredOnline DesiredState = "Online"
	// DesiredOffline wants it stopped.
	DesiredOffline DesiredState = "Offline"
)

// FailbackPolicy says when a group returns to a more preferred node.
// +kubebuilder:validation:Enum=Never;Immediate;Window
type FailbackPolicy string

// Failback policies.
const (
	// FailbackNever leaves a group where it went.
	FailbackNever FailbackPolicy = "Never"
	// FailbackImmediate returns it as soon as a more preferred node may take it.
	FailbackImmediate FailbackPolicy = "Immediate"
	// FailbackWindow returns it then, but only at certain hours.
	FailbackWindow FailbackPolicy = "Window"
)

// ResourceGroupSpec is what an operator wants of a group.
type ResourceGroupSpec struct {
	// description is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
	// maintenance freezes the group: nothing of it is started, stopped, moved or restarted by Quorate.
	// +optional
	Maintenance bool `json:"maintenance,omitempty"`
	// clusterName is the name of the Cluster that runs the group. It never changes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName is immutable: delete the ResourceGroup and make it again"
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ClusterName string `json:"clusterName"`
	// mode says on how many nodes the group runs: on one at a time (Failover), or on every possible owner that may take it
	// (LoadBalanced). It never changes.
	// +optional
	// +kubebuilder:default=Failover
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="mode is immutable: delete the ResourceGroup and make it again"
	Mode GroupMode `json:"mode,omitempty"`
	// desiredState is what is wanted of the group.
	// +optional
	// +kubebuilder:default=Online
	DesiredState DesiredState `json:"desiredState,omitempty"`
	// preferredOwners are the names of the nodes that the group prefers, best first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="preferredOwners must not name a node twice"
	PreferredOwners []string `json:"preferredOwners,omitempty"`
	// antiAffinityClasses are names; groups that share one avoid each other.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`
	AntiAffinityClasses []string `json:"antiAffinityClasses,omitempty"`
	// priority orders groups: 3000 high, 2000 medium, 1000 low; 0 is not started automatically.
	// +optional
	// +kubebuilder:default=2000
	// +kubebuilder:validation:Enum=0;1000;2000;3000
	Priority *int32 `json:"priority,omitempty"`
	// failover bounds how often the group goes elsewhere for failed resources.
	// +optional
	// +kubebuilder:default={}
	Failover Failover `json:"failover,omitzero"`
	// failback says when the group returns to a more preferred node.
	// +optional
	// +kubebuilder:default={}
	Failback Failback `json:"failback,omitzero"`
	// requests is what the group needs of a node's capacity.
	// +optional
	Requests Quantities `json:"requests,omitempty"`
	// dependsOn are other groups of the namespace that must be Online first.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	DependsOn []GroupReference `json:"dependsOn,omitempty"`
}

// Failover bounds how often a group goes elsewhere for failed resources. Deaths of nodes do not count.
type Failover struct {
	// threshold is how many failovers the period allows; past it the group is Failed.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Threshold *int32 `json:"threshold,omitempty"`
	// period is the rolling time in which failovers are counted.
	// +optional
	// +kubebuilder:default="10h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="period must be greater than 0s"
	Period *metav1.Duration `json:"period,omitempty"`
}

// Failback says when a group returns to a more preferred node.
// +kubebuilder:validation:XValidation:rule="has(self.policy) && self.policy == 'Window' ? has(self.window) : !has(self.window)",message="window must be set for policy Window, and for no other",fieldPath=".window"
type Failback struct {
	// policy says when.
	// +optional
	// +kubebuilder:default=Never
	Policy FailbackPolicy `json:"policy,omitempty"`
	// window of policy Window.
	// +optional
	Window *TimeWindow `json:"window,omitempty"`
	// delay is how long the more preferred node must have been Up.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="delay must not be negative"
	Delay *metav1.Duration `json:"delay,omitempty"`
}

// TimeWindow is a part of each day. A window whose end is before its start wraps midnight (A29).
// +kubebuilder:validation:XValidation:rule="self.start != self.end",message="end must differ from start",fieldPath=".end"
type TimeWindow struct {
	// start of the window, HH:MM.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	Start string `json:"start"`
	// end of the window, HH:MM.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	End string `json:"end"`
	// timeZone is an IANA name, such as Europe/Berlin. Default UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+/-]*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// GroupReference names another group of the namespace.
type GroupReference struct {
	// name of the ResourceGroup.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// ResourceGroup is a set of resources that run together on one node and move as a whole, or, in mode LoadBalanced, run together on
// each of many nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:ac:generate=true
// +kubebuilder:resource:scope=Namespaced,shortName=rg,categories=quorate
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.status.owner`
// +kubebuilder:printcolumn:name="Members",type=string,priority=1,JSONPath=`.status.membersOnline`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`
// +kubebuilder:printcolumn:name="Last-Failover",type=date,JSONPath=`.status.lastFailover.time`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Epoch",type=integer,priority=1,JSONPath=`.status.assignment.epoch`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="metadata.name must be a DNS label: at most 63 of a-z, 0-9 and -"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, d.name == self.metadata.name)",message="dependsOn must not name the group itself",fieldPath=".spec.dependsOn"
type ResourceGroup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec ResourceGroupSpec `json:"spec"`
	// status is what is seen.
	// +optional
	Status ResourceGroupStatus `json:"status,omitzero"`
}

// ResourceGroupList is a list of ResourceGroups.
//
// +kubebuilder:object:root=true
type ResourceGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ResourceGroup `json:"items"`
}
