package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Names that users and other programs see.
const (
	// MoveToAnnotation asks once for a move of a ResourceGroup: `NODE` or `best`, with an optional `/TOKEN`. It is recorded in
	// status.lastMove and removed; a token acts once for ever, so that one left in Git moves nothing again.
	MoveToAnnotation = "quorate.io/move-to"
	// MoveToBest is the target of MoveToAnnotation that lets policy choose.
	MoveToBest = "best"
	// SimulateFailureAnnotation has an online Resource fail as if its health check had: a token, with an optional `NODE/` before it for one
	// member of a LoadBalanced group. The owner acts on a token once; one that a resource was started with does nothing, so that neither a
	// failover nor a token left in Git fails anything again.
	SimulateFailureAnnotation = "quorate.io/simulate-failure"
	// AskedOnHostAnnotation is the manager's mark in a Node or ResourceGroup of what an operator asked for with quorate-agent while no API
	// server was reached: `ENTRY/UID`, the entry of the journal and the object's uid, with `/superseded` if somebody had changed the same
	// field meanwhile. It is written together with the change, so that each request is carried into the object once.
	AskedOnHostAnnotation = "quorate.io/asked-on-host"
	// CoreGroupLabel marks the objects of a cluster's core group, which the manager makes from Cluster.spec.access; its value is the name
	// of the Cluster. Admission policies let nobody else set it, or change or delete what bears it.
	CoreGroupLabel = "quorate.io/core-group"
	// CoreGroupPrefix begins the names of those objects; in SystemNamespace nobody else may use names with it.
	CoreGroupPrefix = "core-"
	// OfflineFirstFinalizer keeps a ResourceGroup or Resource until it is offline everywhere, and a Cluster until its core group is gone.
	OfflineFirstFinalizer = "quorate.io/offline-first"
	// DepartureFinalizer keeps a Node while it owns something.
	DepartureFinalizer = "quorate.io/departure"
	// AgentFieldManager is the field manager of agents.
	AgentFieldManager = "quorate-agent"
	// AgentMemberManager and the node's name are the field manager under which an agent writes its entry of a Resource's
	// status.members: with one manager for all nodes, each write would remove the entries of the others.
	AgentMemberManager = "quorate-agent-member-"
	// ManagerFieldManager is the field manager of the manager.
	ManagerFieldManager = "quorate-manager"
	// SystemNamespace is where the manager, the agents, their Leases and the heartbeat key live.
	SystemNamespace = "quorate-system"
	// AgentUserPrefix and AgentUserGroup identify agents; the node's name follows the prefix.
	AgentUserPrefix = "quorate:agent:"
	AgentUserGroup  = "quorate:agents"
	// ManagerUser and ManagerUserGroup identify managers.
	ManagerUser      = "quorate:manager"
	ManagerUserGroup = "quorate:managers"
)

// ReporterLeaseName is the name of the Lease in SystemNamespace that the reporter of the cluster's quorate view renews.
func ReporterLeaseName(cluster string) string { return cluster + "-reporter" }

// ViewID names a view. Views are ordered by number; (number, coordinator) is unique (R3).
type ViewID struct {
	// number orders the views of a cluster; it only grows.
	// +required
	// +kubebuilder:validation:Minimum=0
	Number int64 `json:"number"`
	// coordinator is the id of the node that numbered the view: its lowest.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	Coordinator int32 `json:"coordinator"`
	// record is the number of the vote record that was committed when the view was reported.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Record int64 `json:"record,omitempty"`
}

// SecretReference names a Secret in a namespace.
type SecretReference struct {
	// namespace of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// LocalSecretReference names a Secret in the namespace of the object that refers to it.
type LocalSecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecretKeyReference names one key of a Secret in the namespace of the object that refers to it.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// NameValue is a named parameter.
type NameValue struct {
	// name of the parameter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// value of the parameter.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// Quantities are amounts by resource name, such as cpu and memory; other names are yours to choose.
// +kubebuilder:validation:MaxProperties=16
// +kubebuilder:validation:XValidation:rule="self.all(k, !string(self[k]).startsWith('-'))",message="amounts must not be negative"
type Quantities map[string]resource.Quantity

// ProofType says what shows that an earlier owner can no longer act.
// +kubebuilder:validation:Enum=GracefulStop;ReservationPreempted;AddressLeaseExpired;SelfFenceDeadline;PowerFenced;ManualConfirmation;NewGeneration
type ProofType string

// Proofs, strongest evidence first to look for (DESIGN section 5).
const (
	// ProofGracefulStop: the old owner answered `released` at the withdrawal's epoch (O1).
	ProofGracefulStop ProofType = "GracefulStop"
	// ProofReservationPreempted: the old owner's registration on the disk is gone, read back (O16).
	ProofReservationPreempted ProofType = "ReservationPreempted"
	// ProofAddressLeaseExpired: the old owner's kernel has silenced the address (O13).
	ProofAddressLeaseExpired ProofType = "AddressLeaseExpired"
	// ProofSelfFenceDeadline: the old owner's time to stop has passed (O4).
	ProofSelfFenceDeadline ProofType = "SelfFenceDeadline"
	// ProofPowerFenced: the old owner's power was cut.
	ProofPowerFenced ProofType = "PowerFenced"
	// ProofManualConfirmation: an operator has confirmed that the old owner is off.
	ProofManualConfirmation ProofType = "ManualConfirmation"
	// ProofNewGeneration: the old owner is back in a newer life, so that the older one has stopped (O3).
	ProofNewGeneration ProofType = "NewGeneration"
)

// Proof is evidence that an earlier owner can no longer act on a resource.
type Proof struct {
	// resource is the name of the Resource that was proven; empty when the proof is for the whole group.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Resource string `json:"resource,omitempty"`
	// type is the kind of evidence.
	// +required
	Type ProofType `json:"type"`
}
