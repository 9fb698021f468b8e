package resourcetype

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
)

// Type is what one type of resource does on this host. The monitor calls at most one of Reserve, Online, Offline, Terminate and
// Adopt of an instance at a time; LooksAlive and IsAlive only while it is online. Every method obeys its context.
type Type interface {
	// Online brings the resource to where clients can use it, and returns when it serves. It starts clean: what an earlier,
	// interrupted Online of the same instance has left is removed or taken over first.
	Online(ctx context.Context, inst *Instance) error
	// Offline stops the resource gracefully and returns when nothing of it is left (of a disk the reservation stays, rule O15).
	// What is already offline is no error.
	Offline(ctx context.Context, inst *Instance) error
	// Terminate stops it by force, from the record alone (Spec and Data, no memory of this process), and may be repeated. An error
	// means that something of it may still be there.
	Terminate(ctx context.Context, inst *Instance) error
	// LooksAlive is the cheap check, IsAlive the thorough one; nil means that it serves.
	LooksAlive(ctx context.Context, inst *Instance) error
	IsAlive(ctx context.Context, inst *Instance) error
	// Adopt, after a restart of the agent: nil means that the resource is as the record says and online. It changes nothing that
	// a client could notice, and sends no reservation command (rule "same boot, holder = K").
	Adopt(ctx context.Context, inst *Instance) error
}

// Watcher is a Type that sees a failure at once instead of at the next poll.
type Watcher interface {
	// Watch sends at most one error, when the online resource has failed. The channel is closed when ctx ends.
	Watch(ctx context.Context, inst *Instance) (<-chan error, error)
}

// Maintainer is a Type that looks after what is online beside its health checks.
type Maintainer interface {
	// Maintain does what is due, such as to have a file system grow with its disk. It is called when the health checks begin, also with
	// parameters that were changed in place (lifecycle.Tuning), and after each IsAlive; never twice at a time by the same checks. It saves
	// nothing. An error is told beside the state of the resource, which has not failed.
	Maintain(ctx context.Context, inst *Instance) error
}

// AllSeeing is a Watcher whose watch of some resources sees at once all that their LooksAlive would find: those are not polled with it while they are
// watched. With hundreds of groups the polls were most of what an agent did at rest.
type AllSeeing interface {
	Watcher
	// SeesAll reads the Spec only.
	SeesAll(inst *Instance) bool
}

// Reserver is a Type whose right to act is a persistent reservation of a disk (rules O12 to O21).
type Reserver interface {
	// Device names the disk, for the order in which the disks of a group are reserved (O12). It reads the Spec only.
	Device(inst *Instance) (string, error)
	// Reserve acquires the disk for the instance's epoch. On a resource that is online at an older epoch of the same generation it
	// changes the epoch in place, without an interruption (O9, O17). errors.As finds *StaleError and *ForeignError.
	Reserve(ctx context.Context, inst *Instance) (ReserveResult, error)
	// Verify tells whether the reservation still is the instance's; an error means that the disk is lost and must be terminated
	// (errors.Is ErrReservationLost), any other error that it could not be told. Due every VerifyInterval; LooksAlive includes it.
	Verify(ctx context.Context, inst *Instance) error
}

// Cleaner is a Reserver that cleans up after this node on a disk that it does not own (rule O15).
type Cleaner interface {
	// Depart removes this node's registration from the disk that the instance's Spec names, unless this node holds it: then it stays
	// parked. It reads Spec, ClusterID and Node only.
	Depart(ctx context.Context, inst *Instance) error
}

// ForeignClearer is a Reserver that removes keys of other clusters and programs when an operator says so (rule O20).
type ForeignClearer interface {
	// ClearForeign removes the named keys from the disks that the instance's Spec names, and returns those that it found. Nothing on
	// this host may use the disks; that the disk is online on no other host either is the caller's to know. It reads Spec, ClusterID
	// and Node only.
	ClearForeign(ctx context.Context, inst *Instance, keys []reservation.Key) ([]reservation.Key, error)
}

// VerifyInterval is how often a held reservation is looked at.
const VerifyInterval = 3 * time.Second

// Networked is a Type whose resources are there for clients on a network: where the network is lost, they fail.
type Networked interface {
	// ClientNetwork is the network without which the resource serves nobody, by its name in the Cluster; empty when it is to be
	// left alone. It reads the Spec only.
	ClientNetwork(spec json.RawMessage) string
}

// NetworkLostError says that a resource cannot serve on a host because of the host's network, and not of its own.
type NetworkLostError struct {
	// Network is its name in the Cluster.
	Network string
	Message string
}

func (e *NetworkLostError) Error() string { return e.Message }

// Guarded is a Type that serves clients on addresses which the kernel silences when the node's lease ends (rule O13).
type Guarded interface {
	// Guarded is a marker.
	Guarded()
}

// Resident is a Type that works in the background of the agent, so that its calls never wait and are never made in another process.
type Resident interface {
	// Resident is a marker.
	Resident()
}

// Checker is a Type that can tell before it is used whether this host has what it needs.
type Checker interface {
	// Check returns what is missing for the spec (a v1alpha1.ResourceSpec as JSON; nil asks for what every resource of the type
	// needs). It changes nothing that runs; what a resource will need may begin to be fetched.
	Check(ctx context.Context, spec json.RawMessage) []Problem
}

// Imager is a Type whose resources need a container image on the host.
type Imager interface {
	// Image says how far this host is from having the image of a spec (a v1alpha1.ResourceSpec as JSON); nil when the spec names none. One
	// that is missing begins to be fetched, if the spec lets it.
	Image(ctx context.Context, spec json.RawMessage) *v1alpha1.AgentImage
}

// Identity names an object of the API.
type Identity struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (i Identity) String() string { return i.Namespace + "/" + i.Name }

// Exposer is a Type some of whose resources reach clients by a way that no fence on what they use would close, such as an address of
// their own that the kernel does not silence: they need their own proof that the old owner is harmless (rule O13).
type Exposer interface {
	// Exposed reads the Spec only.
	Exposed(spec json.RawMessage) bool
}

// NetworkInfo is a network of the cluster, as far as an address needs to know it.
type NetworkInfo struct {
	// CIDRs are the prefixes of the network, such as 192.168.7.0/24 or fd00:7::/64.
	CIDRs []string `json:"cidrs"`
	// Gateways are its routers, if the Cluster names them.
	Gateways []string `json:"gateways,omitempty"`
}

// Instance is one resource on this host, at one epoch of its group. Its JSON, without what is bound to this process, goes to monitor processes.
type Instance struct {
	Type     string
	Resource Identity
	Group    Identity
	// Cluster is the Cluster's name; ClusterID its identity, 16 hex digits, of which a disk's keys carry the first 24 bits.
	Cluster    string
	ClusterID  string
	NodeName   string
	Node       model.NodeID
	Generation model.Generation
	Epoch      model.Epoch
	// Spec is the v1alpha1.ResourceSpec as JSON.
	Spec json.RawMessage
	// Data is what the type has saved about this instance; nil when it has saved nothing.
	Data json.RawMessage
	// SaveData makes v the instance's Data, here and in the record on disk, before it returns. It is called before an act whose
	// traces only Data can find again (rule O8). It is nil in the guardian, which saves nothing.
	SaveData func(v any) error `json:"-"`
	// Progress tells that a pending state goes on, which renews its pendingTimeout. May be nil.
	Progress func(message string) `json:"-"`
	// MayAct is the node's lease check: an error says why nothing may be started now (rule O8). Nil when there is nothing to ask.
	MayAct func() error `json:"-"`
	// Networks of the cluster by name.
	Networks map[string]NetworkInfo
	// NetworkName is the name of the virtual server that this resource belongs to (a NetworkName that it depends on, directly or
	// through others); empty when there is none.
	NetworkName string
	// Addresses are those of the IPAddress resources that a NetworkName depends on, directly or through others, sorted; empty for other
	// types. With alternatives (anyOf) some of them may be offline.
	Addresses []netip.Addr
	// Variables are the values of those variables of the Spec that come from Secrets, by their names. They are there for Online alone, and
	// kept nowhere.
	Variables map[string]string
	// Disks are the mount points of those disks of the group that the Spec names, by the names of their Resources.
	Disks map[string]string
	// CgroupRoot is the cgroup below which the resource's own are made; RunDir is where its logs and sockets go (/run/quorate).
	CgroupRoot string
	RunDir     string
	Log        logr.Logger `json:"-"`
}

// ReserveResult is how a disk was acquired; only its Proof counts as ReservationPreempted.
type ReserveResult = reservation.Result

// The findings of a Reserver that the monitor tells apart.
type (
	// StaleError says that the disk carries a newer epoch (O20); its Epoch is the floor to report (O7).
	StaleError = reservation.StaleError
	// ForeignError says that the disk carries a key of another cluster or program.
	ForeignError = reservation.ForeignError
)

// ErrReservationLost says that another node holds the disk, or that this node's key is gone from it.
var ErrReservationLost = reservation.ErrLost

// Reasons of problems.
const (
	ReasonInvalidSpec   = "InvalidSpec"
	ReasonToolMissing   = "ToolMissing"
	ReasonDeviceMissing = "DeviceMissing"
	// ReasonNameNotRegistered: a name that is online is not in DNS as it should be; ReasonNameNotRemoved: one that is offline still is.
	ReasonNameNotRegistered = v1alpha1.ProblemNameNotRegistered
	ReasonNameNotRemoved    = v1alpha1.ProblemNameNotRemoved
	ReasonImageMissing      = "ImageMissing"
)

// Problem is something that this host lacks for a resource or a type.
type Problem struct {
	// Reason is one word: one of the reasons above, or a type's own.
	Reason string
	// Object is what the problem is about: a tool, a device, a path.
	Object  string
	Message string
}

// MayStart runs the lease check of rule O8; it is called immediately before each irreversible step.
func (i *Instance) MayStart() error {
	if i.MayAct == nil {
		return nil
	}
	return i.MayAct()
}

// Environment is what a resource's processes see of the cluster, as NAME=value; QUORATE_NETWORK_NAME is there when it depends on a NetworkName.
func (i *Instance) Environment() []string {
	env := []string{
		"QUORATE_CLUSTER=" + i.Cluster, "QUORATE_NODE=" + i.NodeName, "QUORATE_NAMESPACE=" + i.Resource.Namespace,
		"QUORATE_GROUP=" + i.Group.Name, "QUORATE_RESOURCE=" + i.Resource.Name,
	}
	if i.NetworkName != "" {
		env = append(env, "QUORATE_NETWORK_NAME="+i.NetworkName)
	}
	return env
}

// EnvironmentWith is Environment with the variables of the spec.
func (i *Instance) EnvironmentWith(spec []v1alpha1.EnvVar) ([]string, error) {
	env := i.Environment()
	for _, v := range spec {
		value := v.Value
		if v.ValueFrom != nil {
			known := false
			if value, known = i.Variables[v.Name]; !known {
				return nil, fmt.Errorf("env %s of %s: the Secret that it comes from was not read", v.Name, i.Resource)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// Report tells progress, if anybody listens.
func (i *Instance) Report(format string, args ...any) {
	if i.Progress != nil {
		i.Progress(fmt.Sprintf(format, args...))
	}
}

// Save makes v the instance's Data; without a SaveData it changes the memory only.
func (i *Instance) Save(v any) error {
	if i.SaveData != nil {
		if err := i.SaveData(v); err != nil {
			return fmt.Errorf("saving the run state of %s: %w", i.Resource, err)
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the run state of %s: %w", i.Resource, err)
	}
	i.Data = raw
	return nil
}

// LoadData decodes Data into v and reports whether there was any.
func (i *Instance) LoadData(v any) (bool, error) {
	if len(i.Data) == 0 || string(i.Data) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(i.Data, v); err != nil {
		return false, fmt.Errorf("reading the run state of %s: %w", i.Resource, err)
	}
	return true, nil
}
