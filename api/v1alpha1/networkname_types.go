package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkName is a name that clients use for the group's addresses. It depends on an IPAddress, directly or through others, and is unique in
// the cluster. A process with useNetworkName has it as its host name. Without dns and service it is that alone.
type NetworkName struct {
	// name that clients use, one DNS label.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// dns registers the name by dynamic update (RFC 2136): A and AAAA of the addresses, and PTR where the server has their reverse zone.
	// +optional
	DNS *DNSRegistration `json:"dns,omitempty"`
	// service makes a Kubernetes Service without selector, and EndpointSlices with the addresses, which follow the owner.
	// +optional
	Service *NameService `json:"service,omitempty"`
}

// DNSRegistration registers a name by dynamic update (RFC 2136).
type DNSRegistration struct {
	// server is the address or name of the zone's primary DNS server, with an optional port (default 53): 192.0.2.1, [2001:db8::1]:5353,
	// ns1.example.org.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9.])?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$`
	Server string `json:"server"`
	// zone that the name is in, such as example.org.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=180
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_]{0,62})(\.[A-Za-z0-9]([-A-Za-z0-9_]{0,62}))*\.?$`
	Zone string `json:"zone"`
	// ttl of the records; default 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="ttl must be at least 1s"
	TTL *metav1.Duration `json:"ttl,omitempty"`
	// tsigSecretRef names the Secret with the key (RFC 8945) that signs the updates. Its data keys: name of the key, secret in base64, and
	// algorithm (default hmac-sha256). Agents need a Role that lets them get it.
	// +optional
	TSIGSecretRef *LocalSecretReference `json:"tsigSecretRef,omitempty"`
	// required makes the name wait for its registration before it is online, and fail when a thorough check (isAliveInterval) finds that it is
	// not registered. By default DNS holds nothing up: trouble with it is the condition Registered.
	// +optional
	Required bool `json:"required,omitempty"`
}

// NameService is the Kubernetes Service of a network name.
type NameService struct {
	// name of the Service; default: the network name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// ports of the Service.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Ports []ServicePort `json:"ports"`
}

// Protocol of a port.
// +kubebuilder:validation:Enum=TCP;UDP
type Protocol string

// Protocols.
const (
	ProtocolTCP Protocol = "TCP"
	ProtocolUDP Protocol = "UDP"
)

// ServicePort is a port of a Service.
type ServicePort struct {
	// name of the port.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// port number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// protocol; default TCP.
	// +optional
	// +kubebuilder:default=TCP
	Protocol Protocol `json:"protocol,omitempty"`
}
