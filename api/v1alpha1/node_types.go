package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeRole says where groups go first.
// +kubebuilder:validation:Enum=Active;Standby
type NodeRole string

// Roles of a node.
const (
	// NodeActive is used for first placements.
	NodeActive NodeRole = "Active"
	// NodeStandby is used when an active node has failed.
	NodeStandby NodeRole = "Standby"
)

// Availability is whether a node takes groups.
// +kubebuilder:validation:Enum=Available;Paused;Drained
type Availability string

// Availabilities of a node.
const (
	// AvailabilityAvailable takes groups.
	AvailabilityAvailable Availability = "Available"
	// AvailabilityPaused keeps its groups, restarts them in place, and takes no more.
	AvailabilityPaused Availability = "Paused"
	// AvailabilityDrained moves its groups elsewhere and takes no more.
	AvailabilityDrained Availability = "Drained"
)

// FailbackOnResume says what happens to drained groups when the node is Available again.
// +kubebuilder:validation:Enum=None;Immediate;Policy
type FailbackOnResume string

// Values of FailbackOnResume.
const (
	// FailbackOnResumeNone leaves them where they are.
	FailbackOnResumeNone FailbackOnResume = "None"
	// FailbackOnResumeImmediate brings them back at once.
	FailbackOnResumeImmediate FailbackOnResume = "Immediate"
	// FailbackOnResumePolicy lets each group's failback policy decide.
	FailbackOnResumePolicy FailbackOnResume = "Policy"
)

// NodeSpec is what an operator wants of a node.
type NodeSpec struct {
	// description is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
	// maintenance freezes what runs on the node: nothing is started, stopped, moved or restarted by Quorate.
	// +optional
	Maintenance bool `json:"maintenance,omitempty"`
	// clusterName is the name of the Cluster that the node belongs to. It never changes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName is immutable: delete the Node and make it again"
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ClusterName string `json:"clusterName"`
	// hostName is the name of the host, and of its Kubernetes node if it is one. Default: the Node's name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	HostName string `json:"hostName,omitempty"`
	// role says where groups go first.
	// +optional
	// +kubebuilder:default=Active
	Role NodeRole `json:"role,omitempty"`
	// availability says whether the node takes groups.
	// +optional
	// +kubebuilder:default=Available
	Availability Availability `json:"availability,omitempty"`
	// failbackOnResume says what happens to drained groups when the node is Available again.
	// +optional
	// +kubebuilder:default=Policy
	FailbackOnResume FailbackOnResume `json:"failbackOnResume,omitempty"`
	// forceDrain, with availability Drained, takes groups offline that no other node may take, so that the node gets empty. They are
	// started again as soon as a node may take them. Without it they stay until there is such a node.
	// +optional
	ForceDrain bool `json:"forceDrain,omitempty"`
	// votes is the node's say in quorum, 0 or 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Votes *int32 `json:"votes,omitempty"`
	// addresses are the node's own addresses on the cluster's networks.
	// +required
	// +listType=map
	// +listMapKey=network
	// +listMapKey=address
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Addresses []NodeAddress `json:"addresses"`
	// capacity is what groups may request of the node; a name that is missing is not limited.
	// +optional
	Capacity Quantities `json:"capacity,omitempty"`
	// reserved is the part of capacity that work outside the cluster needs; groups do not get it.
	// +optional
	Reserved Quantities `json:"reserved,omitempty"`
	// faultDomain names what fails together, such as a rack. Groups that share an anti-affinity class spread over fault domains first,
	// then over nodes; it is a preference even where the Cluster requires anti-affinity. A node without one is a domain of its own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	FaultDomain string `json:"faultDomain,omitempty"`
	// fencing are the levels of power fencing, tried in order until one has worked. A node without any is never fenced.
	// +optional
	// +listType=map
	// +listMapKey=level
	// +kubebuilder:validation:MaxItems=9
	Fencing []FencingLevel `json:"fencing,omitempty"`
	// fencingPolicy says which losses of the node are a reason to cut its power.
	// +optional
	// +kubebuilder:default=WhenNeeded
	FencingPolicy FencingPolicy `json:"fencingPolicy,omitempty"`
	// powerAfterFencing says whether the host is switched on again when it was seen off.
	// +optional
	// +kubebuilder:default=On
	PowerAfterFencing PowerState `json:"powerAfterFencing,omitempty"`
}

// NodeAddress is an address of a node.
type NodeAddress struct {
	// network is the name of the cluster's network that the address is on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// address is an IPv4 or IPv6 address, without a prefix length.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).isGlobalUnicast()",message="address must be a unicast IPv4 or IPv6 address without a prefix length"
	Address string `json:"address"`
}

// ClearQuarantineAnnotation of a Node ends its quarantine once, and forgives the exits that led to it: `yes`, with an optional `/TOKEN`.
// It is recorded in status.quarantine and removed; the last token acts only once, so that one that is left in Git does nothing again.
const ClearQuarantineAnnotation = "quorate.io/clear-quarantine"

// NodeState is what the cluster thinks of a node.
// +kubebuilder:validation:Enum=Up;Down;Paused;Joining;Unknown
type NodeState string

// States of a node.
const (
	// NodeUp is in the quorate view.
	NodeUp NodeState = "Up"
	// NodeDown is not in the quorate view.
	NodeDown NodeState = "Down"
	// NodePaused is in the quorate view and takes no groups.
	NodePaused NodeState = "Paused"
	// NodeJoining is known, but not yet in a view.
	NodeJoining NodeState = "Joining"
	// NodeUnknown is shown while no quorate view reports.
	NodeUnknown NodeState = "Unknown"
)

// NodeQuarantine tells of a node's quarantine.
type NodeQuarantine struct {
	// until is when it ends by itself; absent when the node is in none.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// clearedAt is when an operator last ended or forgave it (ClearQuarantineAnnotation): exits up to then do not count.
	// +optional
	ClearedAt *metav1.Time `json:"clearedAt,omitempty"`
	// token of the annotation that was carried out last.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Token string `json:"token,omitempty"`
}

// NodeStatus is what is seen of a node. The agent of the host writes agent, the manager everything else.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.id) || (has(self.id) && self.id == oldSelf.id)",message="id never changes"
type NodeStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// id of the node in its cluster, 1 to 4095; never used again for another node.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	ID int32 `json:"id,omitempty"`
	// state is what the cluster thinks of the node.
	// +optional
	State NodeState `json:"state,omitempty"`
	// role in effect: a node that owns nothing acts as Standby.
	// +optional
	Role NodeRole `json:"role,omitempty"`
	// generation is the node's life that was last seen in a view (O3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// joinedAt is when the node last became a member of the quorate view.
	// +optional
	JoinedAt *metav1.Time `json:"joinedAt,omitempty"`
	// joins counts the times that the node became a member of the quorate view.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Joins int64 `json:"joins,omitempty"`
	// ungracefulExits are the latest times at which the node left the view without notice; too many make it Quarantined.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	UngracefulExits []metav1.Time `json:"ungracefulExits,omitempty"`
	// quarantine tells of the node's quarantine, and of the last one that an operator ended.
	// +optional
	Quarantine *NodeQuarantine `json:"quarantine,omitempty"`
	// conditions tell the node's health.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// fencing is the latest proof that a life of the node is over because the host is off.
	// +optional
	Fencing *NodeFencing `json:"fencing,omitempty"`
	// agent is what the host's agent reports; only the agent writes it, and always the whole of it.
	// +optional
	// +structType=atomic
	Agent *AgentStatus `json:"agent,omitempty"`
}

// Node is a host of a cluster. Kubernetes' own nodes keep the plain name: say qnode.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:ac:generate=true
// +kubebuilder:resource:scope=Cluster,shortName=qnode,categories=quorate
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterName`
// +kubebuilder:printcolumn:name="ID",type=integer,JSONPath=`.status.id`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Availability",type=string,JSONPath=`.spec.availability`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.status.role`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Agent",type=string,priority=1,JSONPath=`.status.agent.version`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="metadata.name must be a DNS label: at most 63 of a-z, 0-9 and -"
type Node struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec NodeSpec `json:"spec"`
	// status is what is seen.
	// +optional
	Status NodeStatus `json:"status,omitzero"`
}

// NodeList is a list of Nodes.
//
// +kubebuilder:object:root=true
type NodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Node `json:"items"`
}
