package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ResourceType is a kind of resource.
// +kubebuilder:validation:Enum=PhysicalDisk;LoopbackDisk;IPAddress;NetworkName;FileShare;GenericApplication;GenericService;OCF;Container;NetworkLoadBalancer;Custom
type ResourceType string

// Types of resources.
const (
	TypePhysicalDisk        ResourceType = "PhysicalDisk"
	TypeLoopbackDisk        ResourceType = "LoopbackDisk"
	TypeIPAddress           ResourceType = "IPAddress"
	TypeNetworkName         ResourceType = "NetworkName"
	TypeFileShare           ResourceType = "FileShare"
	TypeGenericApplication  ResourceType = "GenericApplication"
	TypeGenericService      ResourceType = "GenericService"
	TypeOCF                 ResourceType = "OCF"
	TypeContainer           ResourceType = "Container"
	TypeNetworkLoadBalancer ResourceType = "NetworkLoadBalancer"
	TypeCustom              ResourceType = "Custom"
)

// RestartPolicy says what happens when a resource fails.
// +kubebuilder:validation:Enum=Restart;RestartNoFailover;Never
type RestartPolicy string

// Restart policies.
const (
	// RestartThenFailover restarts in place and, past the threshold, asks for a failover of the group.
	RestartThenFailover RestartPolicy = "Restart"
	// RestartNoFailover restarts in place and, past the threshold, leaves the resource Failed and the rest running.
	RestartNoFailover RestartPolicy = "RestartNoFailover"
	// RestartNever leaves the resource Failed.
	RestartNever RestartPolicy = "Never"
)

// ResourceSpec is what an operator wants of a resource.
// +kubebuilder:validation:XValidation:rule="(self.type == 'PhysicalDisk') == has(self.physicalDisk)",message="physicalDisk must be set for type PhysicalDisk, and for no other",fieldPath=".physicalDisk"
// +kubebuilder:validation:XValidation:rule="(self.type == 'LoopbackDisk') == has(self.loopbackDisk)",message="loopbackDisk must be set for type LoopbackDisk, and for no other",fieldPath=".loopbackDisk"
// +kubebuilder:validation:XValidation:rule="(self.type == 'IPAddress') == has(self.ipAddress)",message="ipAddress must be set for type IPAddress, and for no other",fieldPath=".ipAddress"
// +kubebuilder:validation:XValidation:rule="(self.type == 'NetworkName') == has(self.networkName)",message="networkName must be set for type NetworkName, and for no other",fieldPath=".networkName"
// +kubebuilder:validation:XValidation:rule="(self.type == 'FileShare') == has(self.fileShare)",message="fileShare must be set for type FileShare, and for no other",fieldPath=".fileShare"
// +kubebuilder:validation:XValidation:rule="(self.type == 'GenericApplication') == has(self.genericApplication)",message="genericApplication must be set for type GenericApplication, and for no other",fieldPath=".genericApplication"
// +kubebuilder:validation:XValidation:rule="(self.type == 'GenericService') == has(self.genericService)",message="genericService must be set for type GenericService, and for no other",fieldPath=".genericService"
// +kubebuilder:validation:XValidation:rule="(self.type == 'OCF') == has(self.ocf)",message="ocf must be set for type OCF, and for no other",fieldPath=".ocf"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Container') == has(self.container)",message="container must be set for type Container, and for no other",fieldPath=".container"
// +kubebuilder:validation:XValidation:rule="(self.type == 'NetworkLoadBalancer') == has(self.networkLoadBalancer)",message="networkLoadBalancer must be set for type NetworkLoadBalancer, and for no other",fieldPath=".networkLoadBalancer"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Custom') == has(self.custom)",message="custom must be set for type Custom, and for no other",fieldPath=".custom"
// +kubebuilder:validation:XValidation:rule="!has(self.retryPeriodOnFailure) || duration(self.retryPeriodOnFailure) == duration('0s') || !has(self.restart) || !has(self.restart.period) || duration(self.retryPeriodOnFailure) >= duration(self.restart.period)",message="retryPeriodOnFailure must be 0s (never) or at least restart.period",fieldPath=".retryPeriodOnFailure"
// +kubebuilder:validation:XValidation:rule="!has(self.separateMonitor) || !self.separateMonitor || !(self.type in ['PhysicalDisk', 'LoopbackDisk'])",message="a disk's reservation is held by the agent itself: separateMonitor must not be set for it",fieldPath=".separateMonitor"
type ResourceSpec struct {
	// description is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
	// groupName is the name of the ResourceGroup, in the same namespace, that the resource belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	GroupName string `json:"groupName"`
	// desiredState is what is wanted of the resource while its group is wanted Online.
	// +optional
	// +kubebuilder:default=Online
	DesiredState DesiredState `json:"desiredState,omitempty"`
	// dependsOn are what must be online first, in the same group. All entries must hold.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// possibleOwners are the names of the nodes that the resource can run on; empty for all. A group can run only on the
	// intersection of its resources' lists (A21).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	PossibleOwners []string `json:"possibleOwners,omitempty"`
	// restart says what happens when the resource fails.
	// +optional
	// +kubebuilder:default={}
	Restart Restart `json:"restart,omitzero"`
	// retryPeriodOnFailure is how long after being given up the resource is tried again: 0s for never, else at least
	// restart.period. Default: 1h, or restart.period if that is longer.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="retryPeriodOnFailure must not be negative"
	RetryPeriodOnFailure *metav1.Duration `json:"retryPeriodOnFailure,omitempty"`
	// Timing are the resource's own intervals and timeouts; what is not set is inherited.
	Timing `json:",inline"`
	// separateMonitor runs the resource's code (start, stop, health checks) in a process of its own on the host, of about 20 MB: a call that
	// hangs is then killed with it, and harms nothing else. It takes effect when the resource is started next. Without it the code runs in the
	// agent, until a call hangs: from then on it has a process, too. Not for disks, whose reservations are the agent's own, and without effect for network
	// names, whose calls never wait.
	// +optional
	SeparateMonitor bool `json:"separateMonitor,omitempty"`
	// checkpoints are files of the host that follow the resource. Behaviour comes later.
	// +optional
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=16
	Checkpoints []Checkpoint `json:"checkpoints,omitempty"`

	// type of the resource; the parameter struct of the same name must be set, and no other. It never changes.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type is immutable: delete the Resource and make it again"
	Type ResourceType `json:"type"`
	// ResourceParameters holds the parameter struct of the type.
	ResourceParameters `json:",inline"`
}

// ResourceParameters is a union: exactly the member that is named for the type is set.
type ResourceParameters struct {
	// physicalDisk is a shared disk with persistent reservations.
	// +optional
	PhysicalDisk *PhysicalDisk `json:"physicalDisk,omitempty"`
	// loopbackDisk is a file that is used as a disk.
	// +optional
	LoopbackDisk *LoopbackDisk `json:"loopbackDisk,omitempty"`
	// ipAddress is an address that clients use.
	// +optional
	IPAddress *IPAddress `json:"ipAddress,omitempty"`
	// networkName is a name that clients use.
	// +optional
	NetworkName *NetworkName `json:"networkName,omitempty"`
	// fileShare is an exported directory. Behaviour comes later.
	// +optional
	FileShare *FileShare `json:"fileShare,omitempty"`
	// genericApplication is a supervised process.
	// +optional
	GenericApplication *GenericApplication `json:"genericApplication,omitempty"`
	// genericService is a systemd unit.
	// +optional
	GenericService *GenericService `json:"genericService,omitempty"`
	// ocf is an Open Cluster Framework resource agent.
	// +optional
	OCF *OCF `json:"ocf,omitempty"`
	// container is a container outside Kubernetes.
	// +optional
	Container *Container `json:"container,omitempty"`
	// networkLoadBalancer shares an address among nodes. Behaviour comes later.
	// +optional
	NetworkLoadBalancer *NetworkLoadBalancer `json:"networkLoadBalancer,omitempty"`
	// custom is an out-of-tree executable. Behaviour comes later.
	// +optional
	Custom *Custom `json:"custom,omitempty"`
}

// Dependency is one thing that must be online first: a resource, or any of several. Exactly one member is set.
// +kubebuilder:validation:ExactlyOneOf=name;anyOf
type Dependency struct {
	// name of a Resource of the group.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// anyOf are names of Resources of the group; one online is enough.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	AnyOf []string `json:"anyOf,omitempty"`
}

// Restart says what happens when a resource fails.
type Restart struct {
	// policy says what happens.
	// +optional
	// +kubebuilder:default=Restart
	Policy RestartPolicy `json:"policy,omitempty"`
	// threshold is how many restarts the period allows.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Threshold *int32 `json:"threshold,omitempty"`
	// period is the rolling time in which restarts are counted.
	// +optional
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="period must be greater than 0s"
	Period *metav1.Duration `json:"period,omitempty"`
	// delay is the least time between two starts: a resource that has run longer is restarted at once, one that fails again and
	// again is paced.
	// +optional
	// +kubebuilder:default="500ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="delay must not be negative"
	Delay *metav1.Duration `json:"delay,omitempty"`
}

// Timing are intervals and timeouts of resources. What is not set is inherited: from the Resource, then the Cluster's
// resourceTypes[], then the built-in default.
type Timing struct {
	// looksAliveInterval between quick checks; built-in default 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10ms')",message="looksAliveInterval must be at least 10ms"
	LooksAliveInterval *metav1.Duration `json:"looksAliveInterval,omitempty"`
	// isAliveInterval between thorough checks; built-in default 60s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10ms')",message="isAliveInterval must be at least 10ms"
	IsAliveInterval *metav1.Duration `json:"isAliveInterval,omitempty"`
	// pendingTimeout between two progress reports while coming online or going offline; built-in default 3m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="pendingTimeout must be greater than 0s"
	PendingTimeout *metav1.Duration `json:"pendingTimeout,omitempty"`
	// deadlockTimeout of any one call of the resource's code; built-in default 5m. A resource that has to leave a host, and for so long
	// cannot be stopped even by force, has that host reset.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="deadlockTimeout must be at least 1s"
	DeadlockTimeout *metav1.Duration `json:"deadlockTimeout,omitempty"`
}

// Checkpoint is a file of the host that follows a resource.
type Checkpoint struct {
	// path of the file, absolute.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="path must be an absolute path without . or .. in it"
	Path string `json:"path"`
}

// ResourceState is the state of one resource.
// +kubebuilder:validation:Enum=Offline;OnlinePending;Online;OfflinePending;Failed;Unknown
type ResourceState string

// States of a resource.
const (
	ResourceOffline        ResourceState = "Offline"
	ResourceOnlinePending  ResourceState = "OnlinePending"
	ResourceOnline         ResourceState = "Online"
	ResourceOfflinePending ResourceState = "OfflinePending"
	ResourceFailed         ResourceState = "Failed"
	// ResourceUnknown is set by the manager for the resources of a dead owner.
	ResourceUnknown ResourceState = "Unknown"
)

// ResourceStatus is what is seen of a resource. The agent of its owner writes it; the manager writes the condition Accepted,
// and Unknown at a higher epoch when the owner is dead. In a group of mode LoadBalanced each agent writes its own entry of members, and
// the manager sums them up in state and message.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="epoch never falls",fieldPath=".epoch"
type ResourceStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// state of the resource.
	// +optional
	State ResourceState `json:"state,omitempty"`
	// node is the name of the owner that reports; empty in a group of mode LoadBalanced.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node,omitempty"`
	// groupName is the group for which the owner has the resource, or had it last. While it is another one than spec.groupName, the
	// resource is on its way: the new group waits until the old one has let go of it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	GroupName string `json:"groupName,omitempty"`
	// epoch of the ownership that the status is about; it never falls (S5).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=268435455
	Epoch int64 `json:"epoch,omitempty"`
	// reason of the state, a CamelCase word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// restarts within restart.period on this owner.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts,omitempty"`
	// lastTransitionTime is when state last changed.
	// +optional
	LastTransitionTime *metav1.MicroTime `json:"lastTransitionTime,omitempty"`
	// onlineSince is when the resource last came online.
	// +optional
	OnlineSince *metav1.MicroTime `json:"onlineSince,omitempty"`
	// foreignReservation is the latest time that an operator had keys of another cluster or program removed from the disk.
	// +optional
	ForeignReservation *ForeignClearing `json:"foreignReservation,omitempty"`
	// members are what the resource is on each node of a group of mode LoadBalanced. The agent of a node writes that node's entry, and
	// no other; the manager removes those of nodes that the group has left.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Members []ResourceMember `json:"members,omitempty"`
	// conditions tell the resource's health.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ResourceMember is a resource on one node of a group of mode LoadBalanced.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="the epoch of a member never falls",fieldPath=".epoch"
type ResourceMember struct {
	// node is the name of the node that reports.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// epoch of the member that the entry is about; it never falls (S5).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=268435455
	Epoch int64 `json:"epoch,omitempty"`
	// observedGeneration is the generation of the spec that the entry is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// state of the resource there.
	// +optional
	State ResourceState `json:"state,omitempty"`
	// reason of the state, a CamelCase word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// restarts within restart.period on this node.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts,omitempty"`
	// lastTransitionTime is when state last changed.
	// +optional
	LastTransitionTime *metav1.MicroTime `json:"lastTransitionTime,omitempty"`
	// onlineSince is when the resource last came online there.
	// +optional
	OnlineSince *metav1.MicroTime `json:"onlineSince,omitempty"`
}

// Resource is one thing that a group consists of: a disk, an address, a process.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:ac:generate=true
// +kubebuilder:resource:scope=Namespaced,shortName=res,categories=quorate
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.groupName`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.lastTransitionTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Restarts",type=integer,priority=1,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="metadata.name must be a DNS label: at most 63 of a-z, 0-9 and -"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, (has(d.name) && d.name == self.metadata.name) || (has(d.anyOf) && self.metadata.name in d.anyOf))",message="dependsOn must not name the resource itself",fieldPath=".spec.dependsOn"
type Resource struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec ResourceSpec `json:"spec"`
	// status is what is seen.
	// +optional
	Status ResourceStatus `json:"status,omitzero"`
}

// ResourceList is a list of Resources.
//
// +kubebuilder:object:root=true
type ResourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Resource `json:"items"`
}
