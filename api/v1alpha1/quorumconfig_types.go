package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// QuorumMode says whose votes count.
// +kubebuilder:validation:Enum=NodeMajority;NodeAndDiskMajority;NodeAndFileShareMajority;NodeAndLeaseMajority;DiskOnly
type QuorumMode string

// Quorum modes. All but NodeMajority need a witness.
const (
	// QuorumNodeMajority counts nodes only.
	QuorumNodeMajority QuorumMode = "NodeMajority"
	// QuorumNodeAndDiskMajority counts nodes and a disk witness.
	QuorumNodeAndDiskMajority QuorumMode = "NodeAndDiskMajority"
	// QuorumNodeAndFileShareMajority counts nodes and a file-share witness.
	QuorumNodeAndFileShareMajority QuorumMode = "NodeAndFileShareMajority"
	// QuorumNodeAndLeaseMajority counts nodes and a Lease of another Kubernetes cluster.
	QuorumNodeAndLeaseMajority QuorumMode = "NodeAndLeaseMajority"
	// QuorumDiskOnly counts the disk witness only.
	QuorumDiskOnly QuorumMode = "DiskOnly"
)

// QuorumConfigSpec says when a cluster has quorum.
// +kubebuilder:validation:XValidation:rule="!(self.mode in ['NodeAndDiskMajority', 'DiskOnly']) || (has(self.witness) && has(self.witness.disk))",message="witness.disk is needed for modes NodeAndDiskMajority and DiskOnly",fieldPath=".witness"
// +kubebuilder:validation:XValidation:rule="self.mode != 'NodeAndFileShareMajority' || (has(self.witness) && has(self.witness.fileShare))",message="witness.fileShare is needed for mode NodeAndFileShareMajority",fieldPath=".witness"
// +kubebuilder:validation:XValidation:rule="self.mode != 'NodeAndLeaseMajority' || (has(self.witness) && has(self.witness.lease))",message="witness.lease is needed for mode NodeAndLeaseMajority",fieldPath=".witness"
// +kubebuilder:validation:XValidation:rule="self.mode != 'NodeMajority' || !has(self.witness)",message="witness must not be set for mode NodeMajority",fieldPath=".witness"
type QuorumConfigSpec struct {
	// description is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
	// clusterName is the name of the Cluster; the QuorumConfig has the same name. It never changes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterName is immutable: delete the QuorumConfig and make it again"
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ClusterName string `json:"clusterName"`
	// mode says whose votes count.
	// +optional
	// +kubebuilder:default=NodeMajority
	Mode QuorumMode `json:"mode,omitempty"`
	// witness is the vote beside the nodes; which kind is needed depends on mode. It may be changed while the cluster runs: the new one
	// counts as soon as a vote record names it, the old one until then.
	// +optional
	Witness *Witness `json:"witness,omitempty"`
	// dynamicVotes lets the vote record follow the view, so that a cluster can shrink one node at a time.
	// +optional
	// +kubebuilder:default=true
	DynamicVotes *bool `json:"dynamicVotes,omitempty"`
}

// Witness is a vote beside the nodes. Exactly one member is set.
// +kubebuilder:validation:ExactlyOneOf=disk;fileShare;lease
type Witness struct {
	// disk is a shared disk with SCSI-3 or NVMe persistent reservations, of its own: at least 64 MiB, blank when it is first used.
	// +optional
	Disk *DiskWitness `json:"disk,omitempty"`
	// fileShare is a directory that all nodes mount from a server outside of the cluster.
	// +optional
	FileShare *FileShareWitness `json:"fileShare,omitempty"`
	// lease is a Lease of another Kubernetes cluster, one that does not run on this cluster's nodes.
	// +optional
	Lease *LeaseWitness `json:"lease,omitempty"`
}

// DiskWitness is a shared disk with persistent reservations.
type DiskWitness struct {
	// device by a name that is the same on all hosts, such as /dev/disk/by-id/wwn-...; of a multipath disk, its device in /dev/mapper.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="device must be an absolute path without . or .. in it"
	Device string `json:"device"`
}

// FileShareWitness is a directory that all nodes mount.
type FileShareWitness struct {
	// path of the directory on every host. It is used for nothing else, and is below none of the mounts of this cluster's groups.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="path must be an absolute path without . or .. in it"
	Path string `json:"path"`
}

// LeaseWitness is a Lease of another Kubernetes cluster.
type LeaseWitness struct {
	// kubeconfigSecretRef names the Secret (data key `kubeconfig`) to reach that cluster with. The kubeconfig has its data in itself: it
	// names no files and runs no programs. Its user may get, create and update leases, and get, list, create and delete configmaps, in
	// the namespace below.
	// +required
	KubeconfigSecretRef SecretReference `json:"kubeconfigSecretRef"`
	// namespace of the Lease. It has to be there.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`
	// name of the Lease. It is made if it is not there. ConfigMaps whose names begin with it are made beside it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// WitnessState is how the witness does.
// +kubebuilder:validation:Enum=None;Held;Free;Failed;Unknown
type WitnessState string

// States of the witness.
const (
	// WitnessNone is not configured.
	WitnessNone WitnessState = "None"
	// WitnessHeld is held by a node of the view.
	WitnessHeld WitnessState = "Held"
	// WitnessFree is held by nobody.
	WitnessFree WitnessState = "Free"
	// WitnessFailed cannot be reached, or is refused: message says why.
	WitnessFailed WitnessState = "Failed"
	// WitnessUnknown is not reported.
	WitnessUnknown WitnessState = "Unknown"
)

// QuorumConfigStatus is how the votes stand.
type QuorumConfigStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// votesRequired for quorum under the present vote record.
	// +optional
	VotesRequired int32 `json:"votesRequired,omitempty"`
	// votesPresent in the view.
	// +optional
	VotesPresent int32 `json:"votesPresent,omitempty"`
	// votes by node.
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Votes []NodeVote `json:"votes,omitempty"`
	// witness is how the witness does.
	// +optional
	Witness *WitnessStatus `json:"witness,omitempty"`
	// forced says that an operator forced quorum.
	// +optional
	Forced bool `json:"forced,omitempty"`
	// conditions tell the health of the quorum configuration.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodeVote is one node's say in quorum.
type NodeVote struct {
	// node is the node's name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// configured is what the Node's spec gives it.
	// +optional
	Configured int32 `json:"configured"`
	// current is what the vote record gives it now.
	// +optional
	Current int32 `json:"current"`
}

// WitnessStatus is how the witness does.
type WitnessStatus struct {
	// state of the witness.
	// +required
	State WitnessState `json:"state"`
	// holder is the name of the node that holds it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Holder string `json:"holder,omitempty"`
	// votes says whether the present vote record gives the witness a vote: it has one only beside an even number of voters, and only
	// while it can be reached.
	// +optional
	Votes bool `json:"votes,omitempty"`
	// message says what is wrong with the witness and what to do; empty when nothing is.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// QuorumConfig says when a cluster has quorum. It has the name of its Cluster; without one a cluster does not form.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:ac:generate=true
// +kubebuilder:resource:scope=Cluster,shortName=qq,categories=quorate
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Required",type=integer,JSONPath=`.status.votesRequired`
// +kubebuilder:printcolumn:name="Present",type=integer,JSONPath=`.status.votesPresent`
// +kubebuilder:printcolumn:name="Witness",type=string,JSONPath=`.status.witness.state`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",message="metadata.name must be a DNS label: at most 63 of a-z, 0-9 and -"
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.clusterName",message="clusterName must be the QuorumConfig's own name",fieldPath=".spec.clusterName"
type QuorumConfig struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec QuorumConfigSpec `json:"spec"`
	// status is what is seen.
	// +optional
	Status QuorumConfigStatus `json:"status,omitzero"`
}

// QuorumConfigList is a list of QuorumConfigs.
//
// +kubebuilder:object:root=true
type QuorumConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []QuorumConfig `json:"items"`
}
