package monitor

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// Options are what a Monitor needs.
type Options struct {
	Types *resourcetype.Registry
	// Hosts carry out the calls of resources that have a monitor process of their own; nil means that all calls run in this process.
	Hosts Hosts
	// Store is the host's run state. The monitor is its only writer while it runs.
	Store *runstate.Store
	// Now is CLOCK_BOOTTIME; nil means runstate.BootTime.
	Now func() time.Duration
	// MayAct is the lease check of rule O8, called immediately before each Reserve and Online, and by types before each
	// irreversible step: an error says why nothing may be started now. It must be fast and safe for concurrent use.
	MayAct func() error
	// Isolated says why clients on the network cannot reach what the group has on this host while they could elsewhere, in a
	// *resourcetype.NetworkLostError; nil when it is as well here, or when it is not known. It must be fast and safe for concurrent use.
	// Nil means that nothing is known.
	Isolated func(network string, group resourcetype.Identity) error
	// Variables are the values of the variables of a spec (a v1alpha1.ResourceSpec as JSON) that come from Secrets of the namespace, for
	// Online. Nil means that there are none.
	Variables func(ctx context.Context, namespace string, spec json.RawMessage) (map[string]string, error)
	// OnChange is called with each changed report, in order for each group. It must not block and not call the Monitor.
	OnChange func(GroupReport)
	// Identity of this node in this life.
	NodeName   string
	Node       model.NodeID
	Generation model.Generation
	Cluster    string
	ClusterID  string
	// BootID is the kernel's; empty means that it is read.
	BootID string
	// CgroupRoot and RunDir are handed to the types.
	CgroupRoot string
	RunDir     string
	Log        logr.Logger
}

// Hosts are processes in which the calls of one resource run, each for itself.
type Hosts interface {
	// Type is t, carried out in the process of the resource with this uid, which starts when it is needed.
	Type(t resourcetype.Type, uid string) resourcetype.Type
	// Release ends the process of a resource that is gone from this host. Close ends them all; what runs goes on.
	Release(uid string)
	Close()
}

// GroupDesired is an assignment as far as this node is concerned, with the group's resources, defaults resolved.
type GroupDesired struct {
	Group resourcetype.Identity `json:"group"`
	// Run says that this node, in this generation, is the owner; otherwise Epoch is a withdrawal's or another owner's.
	Run       bool              `json:"run"`
	Epoch     model.Epoch       `json:"epoch"`
	View      model.ViewID      `json:"view"`
	Unproven  []model.Owner     `json:"unproven,omitempty"`
	Frozen    bool              `json:"frozen,omitempty"`
	Resources []ResourceDesired `json:"resources"`
	// Networks of the cluster by name, for types that need them.
	Networks map[string]resourcetype.NetworkInfo `json:"networks,omitempty"`
}

// ResourceDesired is one resource of a group.
type ResourceDesired struct {
	Resource resourcetype.Identity `json:"resource"`
	Type     string                `json:"type"`
	// Spec is the v1alpha1.ResourceSpec as JSON.
	Spec json.RawMessage `json:"spec"`
	// Online is spec.desiredState (a deleting resource is not wanted online).
	Online bool `json:"online"`
	// DependsOn names resources of the group.
	DependsOn []lifecycle.Dependency `json:"dependsOn,omitempty"`
	// Timing is resolved: the resource's, else the Cluster's resourceTypes[], else lifecycle.Timing.WithDefaults.
	Timing lifecycle.Timing `json:"timing"`
	// FailToken asks for a simulated failure: a change of it while the resource is online fails the resource once.
	FailToken string `json:"failToken,omitempty"`
	// NetworkName of the virtual server; see resourcetype.Instance.
	NetworkName string `json:"networkName,omitempty"`
	// Addresses of a NetworkName; see resourcetype.Instance.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Disks that the Spec names; see resourcetype.Instance.
	Disks map[string]string `json:"disks,omitempty"`
}

// GroupReport is what the agent tells of a group; times are durations since boot, see lifecycle.Report.
type GroupReport struct {
	Group      resourcetype.Identity
	Generation model.Generation
	lifecycle.Report
	// Gone says that the group was forgotten (see Forget) and nothing of it is left: this is its last report.
	Gone bool
}

// Reservation is how the disks of a report are reserved.
func Reservation(r lifecycle.ResourceReport) string {
	switch {
	case !r.Reserved:
		return "None"
	case r.Enforced:
		return "Enforced"
	default:
		return "Advisory"
	}
}

// Leftover is something that could not be stopped or cleaned up.
type Leftover struct {
	Group    resourcetype.Identity
	Resource resourcetype.Identity
	Type     string
	Message  string
	// Unreadable says that it is a record which could not be read: nobody knows what it stands for, or whether that is still there.
	Unreadable bool
}
