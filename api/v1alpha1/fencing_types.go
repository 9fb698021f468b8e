package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Annotations of a Node with which an operator says that the host is off. They act together, once, and are removed. Whoever sets
// them needs the verb confirm-off on the Node.
const (
	// ConfirmOffAnnotation is GENERATION or GENERATION/TOKEN: the life of the node (status.generation) that is off.
	ConfirmOffAnnotation = "quorate.io/confirm-off"
	// ConfirmOffReasonAnnotation says how that is known.
	ConfirmOffReasonAnnotation = "quorate.io/confirm-off-reason"
	// ConfirmOffByAnnotation is the name of the user who confirms, as the API server knows it.
	ConfirmOffByAnnotation = "quorate.io/confirm-off-by"
	// ConfirmOffVerb is the verb on nodes of quorate.io that allows it.
	ConfirmOffVerb = "confirm-off"
)

// FencingPolicy says which losses of a node are a reason to cut its power.
// +kubebuilder:validation:Enum=WhenNeeded;Always
type FencingPolicy string

// Policies of fencing.
const (
	// FencingWhenNeeded cuts the power when a group waits for proof that no disk and no guarded address can give.
	FencingWhenNeeded FencingPolicy = "WhenNeeded"
	// FencingAlways cuts the power whenever the node is lost while it owns a group.
	FencingAlways FencingPolicy = "Always"
)

// PowerState is what a node's power is switched to.
// +kubebuilder:validation:Enum=On;Off
type PowerState string

// States of power.
const (
	// PowerOn has the host boot again.
	PowerOn PowerState = "On"
	// PowerOff leaves it off until somebody switches it on.
	PowerOff PowerState = "Off"
)

// FencingLevel is one way to cut a node's power: one device. It has worked when the device's status says off.
type FencingLevel struct {
	// level orders the ways, lowest first.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9
	Level int32 `json:"level"`
	// driver is the name of a fence agent of the ClusterLabs project, such as fence_ipmilan. It has to be installed on the nodes that
	// are to fence this one, and to cut power: agents that cut off storage or a network port are refused.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^fence_[a-z0-9_]+$`
	Driver string `json:"driver"`
	// parameters of the driver, by the names that its metadata has; action is not one of them. Secrets belong into secretRef.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(p, !(p.name in ['action', 'option', 'debug', 'debug_file', 'verbose', 'verbose_level', 'quiet']))",message="Quorate sets action itself, and allows nothing that makes the driver write down what it was given"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.value) || !p.value.contains('\\n'))",message="a value must not contain a line break"
	Parameters []NameValue `json:"parameters,omitempty"`
	// secretRef names a Secret whose data are further parameters, such as password. Agents need to be allowed to read it.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
	// timeout of the level, for switching off and for the confirmation together; default 60s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('10m')",message="timeout must be greater than 0s and at most 10m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// NodeFencing is the latest proof that a life of the node is over because the host is off.
type NodeFencing struct {
	// generation is the life of the node that the proof is about (O3).
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// proof is PowerFenced or ManualConfirmation.
	// +required
	// +kubebuilder:validation:XValidation:rule="self in ['PowerFenced', 'ManualConfirmation']",message="proof must be PowerFenced or ManualConfirmation"
	Proof ProofType `json:"proof"`
	// by is the node that cut the power, or the person who confirmed.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// level and driver that cut the power.
	// +optional
	Level int32 `json:"level,omitempty"`
	// driver that cut the power.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Driver string `json:"driver,omitempty"`
	// reason that was given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// token of the annotation that confirmed.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Token string `json:"token,omitempty"`
	// time at which it was done or confirmed.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}

// FencingState is how a fencing stands.
// +kubebuilder:validation:Enum=Running;Fenced;Failed
type FencingState string

// States of a fencing.
const (
	// FencingRunning is under way.
	FencingRunning FencingState = "Running"
	// FencingFenced: a status said off. The node's generation is proven harmless.
	FencingFenced FencingState = "Fenced"
	// FencingFailed: no level could be confirmed. The host may be on.
	FencingFailed FencingState = "Failed"
)

// AgentFencing is what this agent did to cut another node's power.
type AgentFencing struct {
	// node whose power it is.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// nodeID of that node.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID"`
	// generation is the life that the fencing is aimed at (O3).
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// state of the fencing.
	// +required
	State FencingState `json:"state"`
	// level that worked.
	// +optional
	Level int32 `json:"level,omitempty"`
	// driver of that level.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Driver string `json:"driver,omitempty"`
	// failures are the attempts on this generation that failed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`
	// message says why it is done, or why it failed.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// time of the state.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
	// attempts are the times of the latest attempts on the node, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Attempts []metav1.MicroTime `json:"attempts,omitempty"`
	// cycles are those after which it was switched on again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Cycles []metav1.MicroTime `json:"cycles,omitempty"`
}

// AgentFenceTarget is a node that this agent can fence.
type AgentFenceTarget struct {
	// node that can be fenced from here.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// levels of its spec that this host can use: the driver is installed, knows the parameters, and the Secret can be read. It does
	// not say that the device answers.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Levels []int32 `json:"levels"`
}

// AgentConfirmation is an operator's word, given on this host, that another host is off.
type AgentConfirmation struct {
	// node that is off.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Node string `json:"node"`
	// nodeID of that node.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	NodeID int32 `json:"nodeID"`
	// generation is the life that is over.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// by is the account that confirmed, on this host.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by,omitempty"`
	// reason that was given.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// time of the confirmation.
	// +optional
	Time *metav1.MicroTime `json:"time,omitempty"`
}
