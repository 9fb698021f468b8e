package v1alpha1

// ImageState says how far a host is from having a container image.
// +kubebuilder:validation:Enum=Present;Fetching;Missing;Unknown
type ImageState string

// States of an image.
const (
	// ImagePresent is on the host.
	ImagePresent ImageState = "Present"
	// ImageFetching is on its way.
	ImageFetching ImageState = "Fetching"
	// ImageMissing cannot be had: its pullPolicy is Never, or the last attempt to fetch it has failed. Another attempt follows every minute.
	ImageMissing ImageState = "Missing"
	// ImageUnknown cannot be told, as containerd does not answer.
	ImageUnknown ImageState = "Unknown"
)

// AgentImage is a container image that a group needs, as the host sees it.
type AgentImage struct {
	// name of the image, as resources give it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name"`
	// state says whether the host has the image. Groups go to a host that has it rather than to one that is fetching it, and to none that
	// cannot get it.
	// +required
	State ImageState `json:"state"`
	// message says what keeps the image from being here.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
