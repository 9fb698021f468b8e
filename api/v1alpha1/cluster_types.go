package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkRole says what a network is used for.
// +kubebuilder:validation:Enum=Internal;Client;InternalAndClient;None
type NetworkRole string

// Roles of a network.
const (
	// NetworkInternal carries heartbeats only.
	NetworkInternal NetworkRole = "Internal"
	// NetworkClient carries groups' addresses only.
	NetworkClient NetworkRole = "Client"
	// NetworkInternalAndClient carries both.
	NetworkInternalAndClient NetworkRole = "InternalAndClient"
	// NetworkNone is not used by the cluster.
	NetworkNone NetworkRole = "None"
)

// CarriesHeartbeats reports whether heartbeats are sent on networks of the role.
func (r NetworkRole) CarriesHeartbeats() bool {
	return r == NetworkInternal || r == NetworkInternalAndClient
}

// ServesClients reports whether groups may have addresses on networks of the role.
func (r NetworkRole) ServesClients() bool {
	return r == NetworkClient || r == NetworkInternalAndClient
}

// AntiAffinityPolicy says how strongly groups of one anti-affinity class avoid each other.
// +kubebuilder:validation:Enum=Preferred;Required
type AntiAffinityPolicy string

// Anti-affinity policies.
const (
	// AntiAffinityPreferred keeps such groups apart where there is room.
	AntiAffinityPreferred AntiAffinityPolicy = "Preferred"
	// AntiAffinityRequired rather leaves a group offline than put it beside another of its class.
	AntiAffinityRequired AntiAffinityPolicy = "Required"
)

// PreemptionPolicy says whether a group may displace others when capacity is short.
// +kubebuilder:validation:Enum=Never;LowerPriority
type PreemptionPolicy string

// Preemption policies.
const (
	// PreemptionNever displaces nothing.
	PreemptionNever PreemptionPolicy = "Never"
	// PreemptionLowerPriority moves groups of lower priority away to make room, or takes them offline where they cannot be moved.
	PreemptionLowerPriority PreemptionPolicy = "LowerPriority"
)

// ClusterSpec is what an operator wants of a cluster.
// +kubebuilder:validation:XValidation:rule="self.networks.exists(n, n.role in ['Internal', 'InternalAndClient'])",message="networks: at least one needs role Internal or InternalAndClient to carry heartbeats"
// +kubebuilder:validation:XValidation:rule="!has(self.access) || self.networks.exists(n, n.name == self.access.network && n.role in ['Client', 'InternalAndClient'])",message="access.network must name one of networks with role Client or InternalAndClient",fieldPath=".access.network"
// +kubebuilder:validation:XValidation:rule="!has(self.access) || !isCIDR(self.access.address) || !self.networks.exists(n, n.name == self.access.network) || self.networks.exists(n, n.name == self.access.network && n.cidrs.exists(c, isCIDR(c) && cidr(c).containsIP(cidr(self.access.address).ip())))",message="access.address must be in one of its network's cidrs",fieldPath=".access.address"
type ClusterSpec struct {
	// description is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
	// maintenance freezes the whole cluster: nothing is started, stopped, moved or restarted by Quorate.
	// +optional
	Maintenance bool `json:"maintenance,omitempty"`
	// networks are the networks that connect the nodes.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Networks []ClusterNetwork `json:"networks"`
	// heartbeat says how nodes find out that one of them is gone.
	// +required
	Heartbeat Heartbeat `json:"heartbeat"`
	// access is the cluster's own address and name: where it is administered, whichever nodes are left. The manager makes the cluster's core
	// group from it, which nobody else may change or delete (docs/cluster-access.md).
	// +optional
	Access *ClusterAccess `json:"access,omitempty"`
	// antiAffinity says how strongly groups of one anti-affinity class avoid each other.
	// +optional
	// +kubebuilder:default=Preferred
	AntiAffinity AntiAffinityPolicy `json:"antiAffinity,omitempty"`
	// preemption says whether a group that is nowhere, and that no node has room for, may displace groups of lower priority.
	// +optional
	// +kubebuilder:default=Never
	Preemption PreemptionPolicy `json:"preemption,omitempty"`
	// autonomy says whether the nodes decide themselves where groups run while none of them reaches the API server. It needs TCP between
	// them on heartbeat.port; docs/when-the-control-plane-is-down.md says what then works.
	// +optional
	// +kubebuilder:default=Disabled
	Autonomy AutonomyPolicy `json:"autonomy,omitempty"`
	// selfFence bounds how long a node that has lost quorum may go on.
	// +optional
	// +kubebuilder:default={}
	SelfFence SelfFence `json:"selfFence,omitzero"`
	// quarantine says when a node that keeps leaving the view without notice takes no groups for a while.
	// +optional
	// +kubebuilder:default={}
	Quarantine Quarantine `json:"quarantine,omitzero"`
	// resourceTypes are the cluster's defaults by resource type; a Resource's own values come before them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	ResourceTypes []ResourceTypeDefaults `json:"resourceTypes,omitempty"`
	// allowedResourceTypes says what namespaces may run on the hosts. What no entry allows is refused.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	AllowedResourceTypes []AllowedResourceTypes `json:"allowedResourceTypes,omitempty"`
	// requireValidation refuses nodes whose validation has not passed. Behaviour comes later.
	// +optional
	RequireValidation bool `json:"requireValidation,omitempty"`
	// requireFencing refuses groups that nothing can fence on their old owner (O14).
	// +optional
	RequireFencing bool `json:"requireFencing,omitempty"`
}

// AutonomyPolicy says what happens while no node reaches the API server.
// +kubebuilder:validation:Enum=Disabled;Enabled
type AutonomyPolicy string

// Autonomy policies.
const (
	// AutonomyDisabled keeps everything where it is until the API server is reached again.
	AutonomyDisabled AutonomyPolicy = "Disabled"
	// AutonomyEnabled has the coordinator of a quorate view decide; the API server gets what was decided when it is reached again.
	AutonomyEnabled AutonomyPolicy = "Enabled"
)

// ClusterNetwork is one network that connects the nodes.
// +kubebuilder:validation:XValidation:rule="!has(self.gateways) || self.gateways.all(g, !isIP(g) || self.cidrs.exists(c, isCIDR(c) && cidr(c).containsIP(ip(g))))",message="gateways must be in one of the network's cidrs",fieldPath=".gateways"
type ClusterNetwork struct {
	// name of the network; addresses refer to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// cidrs are the network's address ranges, IPv4 or IPv6.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="cidrs must be address ranges such as 192.168.7.0/24"
	CIDRs []string `json:"cidrs"`
	// role says what the network is used for.
	// +required
	Role NetworkRole `json:"role"`
	// gateways are the routers of the network. A host that hears none of them, and no other node, is cut
	// off from the network (docs/networks.md). Empty: each host takes those of its own routes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) && ip(self).isGlobalUnicast()",message="gateways must be unicast addresses such as 192.168.7.1"
	Gateways []string `json:"gateways,omitempty"`
}

// Heartbeat says how nodes find out that one of them is gone. A silent peer is given up after interval x threshold.
type Heartbeat struct {
	// interval between heartbeats, 20ms to 10s.
	// +optional
	// +kubebuilder:default="250ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('20ms') && duration(self) <= duration('10s')",message="interval must be from 20ms to 10s"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// threshold is how many intervals of silence, on all networks, make a peer lost; 2 to 120.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=120
	Threshold *int32 `json:"threshold,omitempty"`
	// port is the UDP port of heartbeats on every node.
	// +optional
	// +kubebuilder:default=3343
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// keySecretRef names the Secret with the key (data key `key`, 32 bytes) that authenticates heartbeats, and during a
	// rotation the one before (data key `previous`).
	// +required
	KeySecretRef SecretReference `json:"keySecretRef"`
}

// ClusterAccess is the cluster's own address and name.
// +kubebuilder:validation:XValidation:rule="!has(self.dns) || (has(self.networkName) && size(self.networkName) > 0)",message="dns registers networkName: set that, too",fieldPath=".dns"
type ClusterAccess struct {
	// network is the name of the network that the address is on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`
	// address with its prefix length, such as 192.168.7.10/24.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self).ip().isGlobalUnicast()",message="address must be a unicast IPv4 or IPv6 address with its prefix length, such as 192.168.7.50/24"
	Address string `json:"address"`
	// networkName is the cluster's name for clients, unique among the network names of its groups.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	NetworkName string `json:"networkName,omitempty"`
	// dns registers networkName by dynamic update. The Secret of its key is in the namespace quorate-system.
	// +optional
	DNS *DNSRegistration `json:"dns,omitempty"`
}

// SelfFence bounds how long a node that has lost quorum may go on.
type SelfFence struct {
	// timeout is how long after losing quorum a node may take to have everything offline, 100ms to 5m.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('5m')",message="timeout must be from 100ms to 5m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// watchdogDevice resets a host whose kernel or guardian hangs, or that cannot stop its groups in time, such as /dev/watchdog0.
	// The guardian feeds it. A device whose shortest timeout is longer than timeout makes other nodes wait for that longer time.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/dev/[A-Za-z0-9/_.-]+$`
	WatchdogDevice string `json:"watchdogDevice,omitempty"`
}

// Quarantine says when a node that keeps leaving the view without notice takes no groups for a while (A43). The node stays a member of
// the view and keeps what it has. At most a quarter of the nodes (one at least, of three or more) are in quarantine at once.
type Quarantine struct {
	// threshold is how many exits within period bring the quarantine; 0 for never.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	Threshold *int32 `json:"threshold,omitempty"`
	// period in which the exits are counted, 1m to 24h; it rolls.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="period must be from 1m to 24h"
	Period *metav1.Duration `json:"period,omitempty"`
	// duration of a quarantine from the exit that was one too many, 1m to 168h.
	// +optional
	// +kubebuilder:default="2h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="duration must be from 1m to 168h"
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// ResourceTypeDefaults are a cluster's defaults for the resources of one type.
type ResourceTypeDefaults struct {
	// type of resource.
	// +required
	Type ResourceType `json:"type"`
	// Timing are the intervals and timeouts that resources of the type inherit.
	Timing `json:",inline"`
}

// AllowedResourceTypes allows some namespaces to run some types of resources with some paths and devices of the hosts.
type AllowedResourceTypes struct {
	// name of the entry.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// namespaces that the entry is for; "*" for all.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
	Namespaces []string `json:"namespaces"`
	// types that the entry allows; "*" for all.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Enum="*";PhysicalDisk;LoopbackDisk;IPAddress;NetworkName;FileShare;GenericApplication;GenericService;OCF;Container;NetworkLoadBalancer;Custom
	Types []string `json:"types"`
	// mountRoots are the directories of the hosts below which disks may be mounted and files used. Empty allows none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="mountRoots must be absolute paths without . or .. in them"
	MountRoots []string `json:"mountRoots,omitempty"`
	// devices are patterns (as of path.Match) of the devices and backing files that disks may use. Empty allows none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="devices must be patterns of absolute paths without . or .. in them"
	Devices []string `json:"devices,omitempty"`
}

// Cluster is a set of hosts that stand in for each other.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:ac:generate=true
// +kubebuilder:resource:scope=Cluster,shortName=qcl,categories=quorate
// +kubebuilder:printcolumn:name="Quorate",type=boolean,JSONPath=`.status.quorate`
// +kubebuilder:printcolumn:name="Nodes Up",type=integer,JSONPath=`.status.nodesUp`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodesTotal`
// +kubebuilder:printcolumn:name="Groups Online",type=integer,JSONPath=`.status.groupsOnline`
// +kubebuilder:printcolumn:name="Groups",type=integer,JSONPath=`.status.groupsTotal`
// +kubebuilder:printcolumn:name="Failures Left",type=integer,JSONPath=`.status.failuresLeft`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.membership.since`
// +kubebuilder:printcolumn:name="Coordinator",type=string,priority=1,JSONPath=`.status.membership.coordinator`
// +kubebuilder:printcolumn:name="Access",type=string,priority=1,JSONPath=`.status.access.address`
// +kubebuilder:printcolumn:name="Access Node",type=string,priority=1,JSONPath=`.status.access.node`
// +kubebuilder:printcolumn:name="Cluster ID",type=string,priority=1,JSONPath=`.status.clusterID`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="metadata.name must be a DNS label: at most 63 of a-z, 0-9 and -"
type Cluster struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec ClusterSpec `json:"spec"`
	// status is what is seen.
	// +optional
	Status ClusterStatus `json:"status,omitzero"`
}

// ClusterList is a list of Clusters.
//
// +kubebuilder:object:root=true
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Cluster `json:"items"`
}
