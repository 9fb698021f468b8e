package v1alpha1

// FsckPolicy says whether a file system is checked before it is mounted.
// +kubebuilder:validation:Enum=Auto;Force;Skip
type FsckPolicy string

// Fsck policies.
const (
	// FsckAuto repairs an ext4 that says of itself that it needs it, as far as that is safe (e2fsck -p); XFS replays its log at the mount.
	FsckAuto FsckPolicy = "Auto"
	// FsckForce checks in full, always: ext4 with e2fsck -f -p, XFS with xfs_repair -n, which only looks.
	FsckForce FsckPolicy = "Force"
	// FsckSkip does not check; the mount replays the journal.
	FsckSkip FsckPolicy = "Skip"
)

// ResizePolicy says what becomes of a file system that is smaller than its disk.
// +kubebuilder:validation:Enum=Grow;None
type ResizePolicy string

// Resize policies.
const (
	// ResizeGrow has it grow, while it is mounted.
	ResizeGrow ResizePolicy = "Grow"
	// ResizeNone leaves it as it is.
	ResizeNone ResizePolicy = "None"
)

// PhysicalDisk is a shared disk with SCSI-3 or NVMe persistent reservations, a partition of one, or a logical volume on some. The
// whole disk is reserved, on each of its paths. It is never formatted.
// +kubebuilder:validation:XValidation:rule="!has(self.mountPath) || (has(self.fsType) && self.fsType.size() > 0)",message="fsType is needed with mountPath",fieldPath=".fsType"
type PhysicalDisk struct {
	// device by a name that is the same on all hosts, such as /dev/disk/by-id/wwn-...: a SCSI disk, an NVMe namespace, a multipath
	// device, or a partition of one; with lvm, a physical volume of the volume group. A disk that calls itself otherwise than its name
	// says is refused. It never changes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="device is immutable: delete the Resource and make it again"
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="device must be an absolute path without . or .. in it"
	Device string `json:"device"`
	// fsType is the file system, xfs or ext4; empty to use the raw device.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[a-z0-9]*$`
	FSType string `json:"fsType,omitempty"`
	// mountPath is where the file system is mounted; it must be below a mountRoot that the Cluster allows.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="mountPath must be an absolute path without . or .. in it"
	MountPath string `json:"mountPath,omitempty"`
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
	// resize says whether the file system grows when the device has become larger: when it has come online, and at each isAliveInterval.
	// A file system never shrinks. Default None.
	// +optional
	Resize ResizePolicy `json:"resize,omitempty"`
	// lvm names a logical volume on the disk. Every physical volume of its group is reserved; the group is owned by the agent, under
	// an LVM system id of its own, so that nothing else activates it.
	// +optional
	LVM *LVM `json:"lvm,omitempty"`
}

// LVM names a logical volume on a shared disk.
type LVM struct {
	// volumeGroup on the disk.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$`
	VolumeGroup string `json:"volumeGroup"`
	// logicalVolume in the volume group.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$`
	LogicalVolume string `json:"logicalVolume"`
}
