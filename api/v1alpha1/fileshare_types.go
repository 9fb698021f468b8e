package v1alpha1

// ShareProtocol is how a directory is exported.
// +kubebuilder:validation:Enum=NFS;SMB
type ShareProtocol string

// Protocols of file shares.
const (
	ShareNFS ShareProtocol = "NFS"
	ShareSMB ShareProtocol = "SMB"
)

// ShareAccess is what a client may do.
// +kubebuilder:validation:Enum=ReadOnly;ReadWrite
type ShareAccess string

// Accesses of clients.
const (
	ShareReadOnly  ShareAccess = "ReadOnly"
	ShareReadWrite ShareAccess = "ReadWrite"
)

// FileShare is an exported directory. It depends on the disk that holds the path. Behaviour comes later.
// +kubebuilder:validation:XValidation:rule="!has(self.dfsRoot) || !self.dfsRoot || self.protocol == 'SMB'",message="dfsRoot is for protocol SMB only",fieldPath=".dfsRoot"
type FileShare struct {
	// protocol of the export.
	// +required
	Protocol ShareProtocol `json:"protocol"`
	// path of the directory, below the mountPath of a disk of the group.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('/[.][.]?(/|$)')",message="path must be an absolute path without . or .. in it"
	Path string `json:"path"`
	// shareName that clients use.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=80
	// +kubebuilder:validation:Pattern=`^[^/\\\[\]:|<>+=;,?*"]+$`
	ShareName string `json:"shareName"`
	// clients that may use the share; empty for all.
	// +optional
	// +listType=map
	// +listMapKey=client
	// +kubebuilder:validation:MaxItems=64
	Clients []ShareClient `json:"clients,omitempty"`
	// subdirectories shares each directory below path under its own name.
	// +optional
	Subdirectories bool `json:"subdirectories,omitempty"`
	// dfsRoot makes the share a DFS root (SMB only).
	// +optional
	DFSRoot bool `json:"dfsRoot,omitempty"`
}

// ShareClient is a client of a file share.
type ShareClient struct {
	// client is an address, a CIDR, a host name or, for SMB, a user.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Client string `json:"client"`
	// access of the client; default ReadWrite.
	// +optional
	// +kubebuilder:default=ReadWrite
	Access ShareAccess `json:"access,omitempty"`
}
