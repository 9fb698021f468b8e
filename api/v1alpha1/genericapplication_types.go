package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ApplicationMode says when an application counts as online.
// +kubebuilder:validation:Enum=Daemon;OneShot
type ApplicationMode string

// Modes of an application.
const (
	// ApplicationDaemon is online while its process runs; an exit is a failure.
	ApplicationDaemon ApplicationMode = "Daemon"
	// ApplicationOneShot is online once its process has exited with 0.
	ApplicationOneShot ApplicationMode = "OneShot"
)

// GenericApplication is a supervised process in a cgroup of its own.
type GenericApplication struct {
	// command is the program, by its absolute path, and its arguments. No shell reads it.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self[0].startsWith('/')",message="command must begin with the program's absolute path"
	Command []string `json:"command"`
	// mode says when the application counts as online.
	// +optional
	// +kubebuilder:default=Daemon
	Mode ApplicationMode `json:"mode,omitempty"`
	// env is the process's environment, beside PATH and what Quorate sets (QUORATE_...).
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvVar `json:"env,omitempty"`
	// workingDir of the process; default /.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/`
	WorkingDir string `json:"workingDir,omitempty"`
	// useNetworkName gives the process the network name that it depends on as its host name, and a /tmp and /run of its own; exec checks run
	// there, too. The resource has to depend on a NetworkName, directly or through others.
	// +optional
	UseNetworkName bool `json:"useNetworkName,omitempty"`
	// stop says how the process is ended.
	// +optional
	Stop *Stop `json:"stop,omitempty"`
	// health says how the process is checked; without it, a process that runs is healthy.
	// +optional
	Health *Health `json:"health,omitempty"`
}

// EnvVar is a variable of a process's environment. At most one of value and valueFrom is set.
// +kubebuilder:validation:AtMostOneOf=value;valueFrom
type EnvVar struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`
	// value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
	// valueFrom is where the value comes from. It is read before it is needed, and what is changed there counts at the next start.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where a variable's value comes from.
type EnvVarSource struct {
	// secretKeyRef is a key of a Secret of the resource's namespace. Agents can read it only if a Role there lets them get it by its name.
	// +required
	SecretKeyRef SecretKeyReference `json:"secretKeyRef"`
}

// Stop says how a process is ended: signal, then kill after timeout.
type Stop struct {
	// signal that asks the process to end, such as SIGTERM (the default).
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^SIG[A-Z0-9]+$`
	Signal string `json:"signal,omitempty"`
	// timeout before the whole cgroup is killed; default 10s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="timeout must not be negative"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// Health says how a process is checked.
type Health struct {
	// looksAlive is the quick check, each looksAliveInterval.
	// +optional
	LooksAlive *Probe `json:"looksAlive,omitempty"`
	// isAlive is the thorough check, each isAliveInterval, at once when looksAlive fails, and before the resource counts as
	// online.
	// +optional
	IsAlive *Probe `json:"isAlive,omitempty"`
}

// Probe is one check. Exactly one of exec, http and tcp is set.
// +kubebuilder:validation:ExactlyOneOf=exec;http;tcp
type Probe struct {
	// exec runs a command in the process's environment; exit 0 is healthy.
	// +optional
	Exec *ExecProbe `json:"exec,omitempty"`
	// http asks for a page; a status from 200 to 399 is healthy.
	// +optional
	HTTP *HTTPProbe `json:"http,omitempty"`
	// tcp connects.
	// +optional
	TCP *TCPProbe `json:"tcp,omitempty"`
	// timeout of the check; default 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="timeout must be greater than 0s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// ExecProbe runs a command.
type ExecProbe struct {
	// command is the program and its arguments. No shell reads it.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Command []string `json:"command"`
}

// URIScheme is HTTP or HTTPS.
// +kubebuilder:validation:Enum=HTTP;HTTPS
type URIScheme string

// Schemes.
const (
	SchemeHTTP  URIScheme = "HTTP"
	SchemeHTTPS URIScheme = "HTTPS"
)

// HTTPProbe asks for a page.
type HTTPProbe struct {
	// host is an address or name; default 127.0.0.1.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`
	// port number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// path of the page; default /.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/`
	Path string `json:"path,omitempty"`
	// scheme; default HTTP. Certificates are not verified.
	// +optional
	Scheme URIScheme `json:"scheme,omitempty"`
}

// TCPProbe connects.
type TCPProbe struct {
	// host is an address or name; default 127.0.0.1.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`
	// port number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}
