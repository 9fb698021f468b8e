package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

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

// ContainerPullPolicy says when a host fetches an image from its registry.
// +kubebuilder:validation:Enum=IfNotPresent;Always;Never
type ContainerPullPolicy string

// Pull policies.
const (
	// ContainerPullIfNotPresent fetches an image that the host lacks, on every possible owner and before it is needed.
	ContainerPullIfNotPresent ContainerPullPolicy = "IfNotPresent"
	// ContainerPullAlways asks the registry at each start whether the name means another image by now. A registry that does not answer
	// keeps nothing from starting with the image that the host has.
	ContainerPullAlways ContainerPullPolicy = "Always"
	// ContainerPullNever uses only what somebody has put on the host.
	ContainerPullNever ContainerPullPolicy = "Never"
)

// Container is a container that Quorate runs itself, with the host's containerd and outside Kubernetes.
// +kubebuilder:validation:XValidation:rule="(has(self.network) && self.network == 'Bridged') == has(self.address)",message="address must be set for network Bridged, and for no other",fieldPath=".address"
// +kubebuilder:validation:XValidation:rule="!has(self.bridge) || (has(self.network) && self.network == 'Bridged')",message="bridge must be set for network Bridged only",fieldPath=".bridge"
type Container struct {
	// image to run, such as docker.io/library/postgres:17 or, better, with a digest (@sha256:...), which is the same image for ever.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// pullPolicy says when the image is fetched; IfNotPresent fetches it ahead on every possible owner.
	// +optional
	// +kubebuilder:default=IfNotPresent
	PullPolicy ContainerPullPolicy `json:"pullPolicy,omitempty"`
	// command and arguments instead of the image's own entry point and arguments.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Command []string `json:"command,omitempty"`
	// user that the container runs as, and its group (USER or USER:GROUP): by number, or by name as the image's own files have it; default
	// the image's own, else root. What it may read and write on a disk goes by the number: so does a disk that moves to another host.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^([0-9]{1,9}|[A-Za-z_][A-Za-z0-9_.-]*)(:([0-9]{1,9}|[A-Za-z_][A-Za-z0-9_.-]*))?$`
	User string `json:"user,omitempty"`
	// env is the container's environment, beside the image's own.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`
	// mounts are the directories that the container sees: of the group's disks, or of the host where the Cluster allows it.
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
	// bridge of the host to which a Bridged container is connected; default the one that has an address in the container's network.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.-]+$`
	Bridge string `json:"bridge,omitempty"`
	// limits of what the container may use of its host; no limit where empty.
	// +optional
	Limits *ContainerLimits `json:"limits,omitempty"`
	// devices of the host that the container may use; the Cluster must allow them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^/dev/[A-Za-z0-9/_.:-]+$`
	Devices []string `json:"devices,omitempty"`
	// clusterSupport tells the container of its own life in the cluster (epoch, owner, coming moves) through a socket. Behaviour comes
	// later; it is refused until then.
	// +optional
	ClusterSupport bool `json:"clusterSupport,omitempty"`
	// useNetworkName gives the container the group's network name as its host name.
	// +optional
	UseNetworkName bool `json:"useNetworkName,omitempty"`
	// stop says how the container is ended; its signal's default is the image's own, else SIGTERM.
	// +optional
	Stop *Stop `json:"stop,omitempty"`
	// looksAlive is the quick check, each looksAliveInterval.
	// +optional
	LooksAlive *Probe `json:"looksAlive,omitempty"`
	// isAlive is the thorough check, each isAliveInterval, and before the resource counts as online.
	// +optional
	IsAlive *Probe `json:"isAlive,omitempty"`
}

// ContainerLimits bound what a container may use. A host that cannot keep a limit does not run the container.
type ContainerLimits struct {
	// cpu time, in processors, such as 500m or 2.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory in bytes, such as 512Mi, swap included; the kernel kills what wants more.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// processes and threads at a time; default 15% of what the host can have.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Processes *int64 `json:"processes,omitempty"`
}

// ContainerMount is a directory that a container sees.
// +kubebuilder:validation:XValidation:rule="has(self.disk) != has(self.hostPath)",message="exactly one of disk and hostPath must be set"
type ContainerMount struct {
	// disk is the name of a disk Resource of the group, on which the container depends.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Disk string `json:"disk,omitempty"`
	// hostPath is a directory of the host itself, below one of the mountRoots that the Cluster allows. It is not shared between hosts, and
	// nothing fences it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="hostPath must be an absolute path without . or .. in it"
	HostPath string `json:"hostPath,omitempty"`
	// subPath below the disk's mountPath, or the hostPath; default its root. It is made if it is not there, and followed through no
	// symbolic link.
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
