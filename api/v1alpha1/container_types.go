package v1alpha1

// ContainerNetwork says which network a container sees.
// +kubebuilder:validation:Enum=Host;Bridged
type ContainerNetwork string

// Networks of a container.
const (
	// ContainerNetworkHost is the host's own.
	ContainerNetworkHost ContainerNetwork = "Host"
	// ContainerNetworkBridged is one of its own, with an address.
	ContainerNetworkBridged ContainerNetwork = "Bridged"
)

// Container is a container that Quorate runs itself, outside Kubernetes. Behaviour comes later.
// +kubebuilder:validation:XValidation:rule="(has(self.network) && self.network == 'Bridged') == has(self.address)",message="address must be set for network Bridged, and for no other",fieldPath=".address"
type Container struct {
	// image to run; hosts must have it before.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// command and arguments instead of the image's own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Command []string `json:"command,omitempty"`
	// env is the container's environment, beside the image's own.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`
	// mounts are the directories of the group's disks that the container sees.
	// +optional
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=32
	Mounts []ContainerMount `json:"mounts,omitempty"`
	// network that the container sees.
	// +optional
	// +kubebuilder:default=Host
	Network ContainerNetwork `json:"network,omitempty"`
	// address with its prefix length of a Bridged container.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self).ip().isGlobalUnicast()",message="address must be a unicast IPv4 or IPv6 address with its prefix length, such as 192.168.7.50/24"
	Address string `json:"address,omitempty"`
	// devices of the host that the container may use.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^/dev/[A-Za-z0-9/_.:-]+$`
	Devices []string `json:"devices,omitempty"`
	// clusterSupport tells the container of its own life in the cluster (epoch, owner, coming moves) through a socket.
	// +optional
	ClusterSupport bool `json:"clusterSupport,omitempty"`
	// useNetworkName gives the container the group's network name as its host name.
	// +optional
	UseNetworkName bool `json:"useNetworkName,omitempty"`
	// stop says how the container is ended.
	// +optional
	Stop *Stop `json:"stop,omitempty"`
	// looksAlive is the quick check, each looksAliveInterval.
	// +optional
	LooksAlive *Probe `json:"looksAlive,omitempty"`
	// isAlive is the thorough check, each isAliveInterval, and before the resource counts as online.
	// +optional
	IsAlive *Probe `json:"isAlive,omitempty"`
}

// ContainerMount is a directory of a disk that a container sees.
type ContainerMount struct {
	// disk is the name of a disk Resource of the group.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Disk string `json:"disk"`
	// subPath below the disk's mountPath; default its root.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.matches('(^|/)[.][.]?(/|$)')",message="subPath must be a relative path without . or .. in it"
	SubPath string `json:"subPath,omitempty"`
	// path in the container, absolute.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="path must be an absolute path without . or .. in it"
	Path string `json:"path"`
	// readOnly keeps the container from writing.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
}
