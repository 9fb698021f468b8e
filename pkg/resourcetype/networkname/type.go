package networkname

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/dnsupdate"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/ipaddress"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeNetworkName)

// defaultTTL of the records.
const defaultTTL = 30 * time.Second

// Timing is how long things in the background wait.
type Timing struct {
	// Grace is how long after going offline the records are removed. On a move the next owner has written them by then, and no client ever
	// finds, and remembers, that the name does not exist.
	Grace time.Duration
	// Retry is the wait after the first failure; it doubles up to MaxRetry.
	Retry, MaxRetry time.Duration
	// GiveUp is how long a removal is tried.
	GiveUp time.Duration
	// Exchange is how long the server may take for one answer.
	Exchange time.Duration
}

// DefaultTiming is that of production.
func DefaultTiming() Timing {
	return Timing{Grace: 5 * time.Second, Retry: time.Second, MaxRetry: time.Minute, GiveUp: time.Hour, Exchange: 2 * time.Second}
}

// Options are what the background needs.
type Options struct {
	// RunDir is where removals are kept that are still to be done (/run/quorate).
	RunDir string
	// Secret returns the data of a Secret as it was last known, without asking anybody for long.
	Secret func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Tell is given all problems with DNS whenever they change; it must not block. Object is the Resource's namespace/name.
	Tell   func([]resourcetype.Problem)
	Timing Timing
	Log    logr.Logger
}

// Type is the resource type NetworkName.
type Type struct {
	// local says that an address is one of this host's.
	local func(netip.Addr) bool

	mu sync.Mutex
	// opts is nil before Start: in the guardian, which writes nothing to DNS.
	opts *Options
	// registrations by the resource's UID, removals by their file's name.
	registrations map[string]*registration
	removals      map[string]context.CancelFunc
	problems      map[string]resourcetype.Problem
	closed        bool
}

// New returns the type. Until Start it writes nothing to DNS.
func New() *Type {
	return &Type{
		local: ipaddress.IsLocal, registrations: map[string]*registration{}, removals: map[string]context.CancelFunc{},
		problems: map[string]resourcetype.Problem{},
	}
}

var (
	_ resourcetype.Type     = (*Type)(nil)
	_ resourcetype.Resident = (*Type)(nil)
	_ resourcetype.Checker  = (*Type)(nil)
)

// Resident implements resourcetype.Resident.
func (t *Type) Resident() {}

// Start begins the work in the background, which ends with ctx: names that are registered stay so, and the next agent goes on with what is
// still to be removed.
func (t *Type) Start(ctx context.Context, opts Options) {
	t.mu.Lock()
	t.opts = &opts
	t.mu.Unlock()
	context.AfterFunc(ctx, t.close)
	t.resume()
}

func (t *Type) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.registrations {
		r.cancel()
	}
	for _, cancel := range t.removals {
		cancel()
	}
}

// record is what the run state keeps of an instance: all that removing needs. It holds no secret.
type record struct {
	Name string `json:"name"`
	// Server and Zone are empty when nothing is registered in DNS.
	Server    string         `json:"server,omitempty"`
	Zone      string         `json:"zone,omitempty"`
	TTL       uint32         `json:"ttl,omitempty"`
	Namespace string         `json:"namespace,omitempty"`
	Secret    string         `json:"secret,omitempty"`
	Required  bool           `json:"required,omitempty"`
	Addresses []netip.Addr   `json:"addresses,omitempty"`
	Mark      dnsupdate.Mark `json:"mark"`
}

// parameters reads the spec; the record is without addresses and mark.
func parameters(spec json.RawMessage, namespace string) (*record, error) {
	var s v1alpha1.ResourceSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	if s.NetworkName == nil {
		return nil, errors.New("the spec has no networkName")
	}
	p := s.NetworkName
	r := &record{Name: p.Name}
	if p.DNS == nil {
		return r, nil
	}
	var err error
	if r.Server, err = dnsupdate.ParseServer(p.DNS.Server); err != nil {
		return nil, fmt.Errorf("networkName.dns.server: %w", err)
	}
	if _, err = dnsupdate.Addresses(p.Name, p.DNS.Zone, 0, nil); err != nil {
		return nil, fmt.Errorf("networkName.dns.zone: %w", err)
	}
	ttl := defaultTTL
	if p.DNS.TTL != nil {
		ttl = p.DNS.TTL.Duration
	}
	r.Zone, r.TTL, r.Required, r.Namespace = p.DNS.Zone, uint32(min(ttl/time.Second, 1<<31-1)), p.DNS.Required, namespace
	if p.DNS.TSIGSecretRef != nil {
		r.Secret = p.DNS.TSIGSecretRef.Name
	}
	return r, nil
}

// Online begins to register the name and returns at once; with dns.required it returns when the name is registered.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	rec, err := parameters(inst.Spec, inst.Resource.Namespace)
	if err != nil {
		return fmt.Errorf("%s: %w", inst.Resource, err)
	}
	if err := t.Terminate(ctx, inst); err != nil { // of an interrupted start, perhaps with another name
		return err
	}
	rec.Addresses = slices.DeleteFunc(slices.Clone(inst.Addresses), func(a netip.Addr) bool { return a.IsLinkLocalUnicast() })
	rec.Mark = dnsupdate.Mark{
		Cluster: inst.ClusterID, Group: inst.Group.UID, UID: inst.Resource.UID, Resource: inst.Resource.String(),
		Epoch: int64(inst.Epoch), Start: time.Now().UnixNano(),
	}
	if rec.Zone != "" && len(rec.Addresses) == 0 {
		return fmt.Errorf("%s depends on no IPAddress with an address that clients elsewhere could use: name one in spec.dependsOn", inst.Resource)
	}
	if err := inst.Save(rec); err != nil {
		return err
	}
	if err := inst.MayStart(); err != nil {
		return fmt.Errorf("registering %s: %w", rec.Name, err)
	}
	r := t.register(inst, rec)
	if r == nil || !rec.Required {
		return nil
	}
	inst.Report("registering %s at the DNS server %s", rec.Name, rec.Server)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		err := errors.Join(r.trouble(), ctx.Err())
		return errors.Join(fmt.Errorf("%s is not registered, and dns.required is set: %w", rec.Name, err), t.Terminate(context.WithoutCancel(ctx), inst))
	}
}

// Offline has the records removed a moment later, unless the next owner has written its own by then.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	return t.Terminate(ctx, inst)
}

// Terminate is the same: nothing of a name is on this host.
func (t *Type) Terminate(_ context.Context, inst *resourcetype.Instance) error {
	t.deregister(inst.Resource.UID)
	rec := &record{}
	found, err := inst.LoadData(rec)
	if err != nil {
		inst.Log.Error(err, "What was registered in DNS is not known; it stays there")
		return nil
	}
	if !found || rec.Zone == "" {
		return nil
	}
	t.removeLater(rec, inst.RunDir, inst.Log)
	if err := inst.Save(record{}); err != nil { // it is asked for again then, and finds nothing to do
		inst.Log.Error(err, "A removal from DNS is asked for, but not noted")
	}
	return nil
}

// LooksAlive never fails: it sees to it that the addresses which are online now are those that are registered.
func (t *Type) LooksAlive(_ context.Context, inst *resourcetype.Instance) error {
	r, err := t.ensure(inst)
	if err != nil || r == nil {
		return err
	}
	if now := r.present(); !slices.Equal(now, r.written()) {
		r.look()
	}
	return nil
}

// IsAlive has the server asked, in the background, whether the name still points where it should, and what does not corrected. It fails only
// with dns.required.
func (t *Type) IsAlive(_ context.Context, inst *resourcetype.Instance) error {
	r, err := t.ensure(inst)
	if err != nil || r == nil {
		return err
	}
	r.look()
	if err := r.trouble(); err != nil && r.rec.Required {
		return fmt.Errorf("%s is not registered, and dns.required is set: %w", r.rec.Name, err)
	}
	return nil
}

// Adopt goes on with the registration that the record names.
func (t *Type) Adopt(_ context.Context, inst *resourcetype.Instance) error {
	_, err := t.ensure(inst)
	return err
}

// Check implements resourcetype.Checker.
func (t *Type) Check(_ context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	if _, err := parameters(spec, ""); err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	return nil
}
