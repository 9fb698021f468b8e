package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// LoopbackDisk is a file on storage that all hosts see, used as a disk. Its reservation is emulated: Enforced where the storage
// keeps other hosts from writing, else Advisory, which is no proof.
// +kubebuilder:validation:XValidation:rule="!has(self.size) || !has(oldSelf.size) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",message="size never falls: a file system is never shrunk",fieldPath=".size"
type LoopbackDisk struct {
	// file is the path of the backing file, the same on all hosts. It never changes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="file is immutable: delete the Resource and make it again"
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="file must be an absolute path without . or .. in it"
	File string `json:"file"`
	// size of the file. A file that is not there is made with this size, and a blank one is formatted; without it, the file must be
	// there with a file system on it. A file that is smaller is made larger, also while the disk is online; one that is larger stays as it is.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Mi')) >= 0",message="size must be at least 1Mi"
	Size *resource.Quantity `json:"size,omitempty"`
	// fsType is the file system; a blank file is formatted with it if size is set. Default ext4.
	// +optional
	// +kubebuilder:default=ext4
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[a-z0-9]+$`
	FSType string `json:"fsType,omitempty"`
	// mountPath is where the file system is mounted; it must be below a mountRoot that the Cluster allows.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="mountPath must be an absolute path without . or .. in it"
	MountPath string `json:"mountPath"`
	// options of the mount.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	Options []string `json:"options,omitempty"`
	// fsck says whether the file system is checked before it is mounted. Auto repairs an ext4 that says of itself that it needs it, as far
	// as that is safe; Force checks in full each time; Skip checks nothing. XFS is never repaired by itself. Default Auto.
	// +optional
	Fsck FsckPolicy `json:"fsck,omitempty"`
	// resize says whether the file, and then the file system on it, grows: when the disk has come online, and at each isAliveInterval.
	// Nothing ever shrinks. Default Grow.
	// +optional
	Resize ResizePolicy `json:"resize,omitempty"`
}
