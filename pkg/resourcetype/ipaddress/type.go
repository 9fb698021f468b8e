package ipaddress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeIPAddress)

// serveWait is how long a new address may wait for its first lease, and for the kernel.
const serveWait = 2 * time.Second

// Type is the resource type IPAddress.
type Type struct {
	guard  addressguard.Guard
	timing Timing
	hub    hub

	mu sync.Mutex
	// announcers stop the repeated announcements, by the resource's UID.
	announcers map[string]context.CancelFunc
}

// New returns the type with a guard for its addresses.
func New(guard addressguard.Guard) *Type {
	return &Type{guard: guard, timing: DefaultTiming(), announcers: map[string]context.CancelFunc{}}
}

var (
	_ resourcetype.Type      = (*Type)(nil)
	_ resourcetype.Guarded   = (*Type)(nil)
	_ resourcetype.AllSeeing = (*Type)(nil)
	_ resourcetype.Checker   = (*Type)(nil)

	_ resourcetype.Networked = (*Type)(nil)
)

// record is what the run state keeps of an instance, saved before the address is added: an address without a record is not ours.
type record struct {
	Address   netip.Prefix `json:"address"`
	Interface string       `json:"interface"`
	// Table is that of its source routes; 0 when it has none.
	Table int `json:"table,omitempty"`
}

func params(spec json.RawMessage) (network string, address netip.Prefix, err error) {
	var s v1alpha1.ResourceSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return "", netip.Prefix{}, fmt.Errorf("reading the spec: %w", err)
	}
	if s.IPAddress == nil {
		return "", netip.Prefix{}, errors.New("the spec has no ipAddress")
	}
	address, err = netip.ParsePrefix(s.IPAddress.Address)
	if err != nil {
		return "", netip.Prefix{}, fmt.Errorf("ipAddress.address: %w", err)
	}
	if ip := address.Addr(); ip.Is4In6() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() {
		return "", netip.Prefix{}, fmt.Errorf("ipAddress.address %s is not a unicast address", address)
	}
	return s.IPAddress.Network, address, nil
}

// Guarded implements resourcetype.Guarded.
func (t *Type) Guarded() {}

// ClientNetwork implements resourcetype.Networked.
func (t *Type) ClientNetwork(spec json.RawMessage) string {
	var s v1alpha1.ResourceSpec
	if json.Unmarshal(spec, &s) != nil || s.IPAddress == nil || s.IPAddress.WhenIsolated == v1alpha1.IsolationIgnore {
		return ""
	}
	return s.IPAddress.Network
}

// Online adds the address, under guard, if no other machine has it.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	network, want, err := params(inst.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", inst.Resource, err)
	}
	if err := t.Terminate(ctx, inst); err != nil {
		return err
	}
	ip := want.Addr()
	at, err := choose(network, inst.Networks[network].CIDRs, want)
	if err != nil {
		return err
	}
	if err := carrier(network, at.link); err != nil {
		return err
	}
	more, err := extrasOf(inst, at, want)
	if err != nil {
		return err
	}
	if err := inst.Save(record{Address: want, Interface: at.link.Attrs().Name, Table: more.table}); err != nil {
		return err
	}
	if err := inst.MayStart(); err != nil {
		return fmt.Errorf("adding %s: %w", ip, err)
	}
	if err = more.prepare(at, want); err == nil {
		err = t.bringUp(ctx, inst, at, want)
	}
	if err != nil {
		return errors.Join(err, t.Terminate(context.WithoutCancel(ctx), inst))
	}
	return nil
}

func (t *Type) bringUp(ctx context.Context, inst *resourcetype.Instance, at place, want netip.Prefix) error {
	ip := want.Addr()
	ifi := interfaceOf(at.link)
	var w *wire
	if hasWire(ifi) {
		var err error
		if w, err = openWire(ifi, ip); err != nil {
			return err
		}
		if err := w.check(ctx, t.timing); err != nil {
			w.Close()
			return err
		}
	}
	closeWire := func() {
		if w != nil {
			w.Close()
		}
	}
	if err := t.guard.Add(ip); err != nil {
		closeWire()
		return err
	}
	err := inst.MayStart()
	if err == nil {
		err = add(at, want)
	}
	if err == nil {
		err = t.waitUntilServed(ctx, ip)
	}
	if err == nil && w != nil {
		err = t.mayAnnounce(inst, ip)
	}
	if err == nil && w != nil {
		err = w.announce()
	}
	if err != nil || w == nil {
		closeWire()
		return err
	}
	t.repeat(inst, w)
	return nil
}

// interfaceOf describes a link without asking the kernel once more.
func interfaceOf(link netlink.Link) *net.Interface {
	a := link.Attrs()
	return &net.Interface{Index: a.Index, MTU: a.MTU, Name: a.Name, HardwareAddr: a.HardwareAddr, Flags: a.Flags}
}

// waitUntilServed waits until the guard lets the address pass, and until the kernel serves it, which for IPv6 comes a moment after it
// was added.
func (t *Type) waitUntilServed(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, serveWait)
	defer cancel()
	for {
		waiting, local := t.guard.State(ip) == addressguard.Waiting, IsLocal(ip)
		if !waiting && local {
			return nil
		}
		select {
		case <-ctx.Done():
			if waiting {
				return fmt.Errorf("address %s has no lease: %w", ip, ctx.Err())
			}
			return fmt.Errorf("address %s was added, but the kernel does not serve it: %w", ip, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// mayAnnounce is asked right before each announcement: one that is sent late, by a host that was frozen, would take the address from
// its new owner.
func (t *Type) mayAnnounce(inst *resourcetype.Instance, ip netip.Addr) error {
	if s := t.guard.State(ip); s != addressguard.Leased {
		return fmt.Errorf("address %s has no lease (%s)", ip, s)
	}
	return inst.MayStart()
}

// repeat announces the address a few times more, and closes the wire.
func (t *Type) repeat(inst *resourcetype.Instance, w *wire) {
	ctx, cancel := context.WithCancel(context.Background())
	t.mu.Lock()
	t.announcers[inst.Resource.UID] = cancel
	t.mu.Unlock()
	a := &Announcer{wire: w, timing: t.timing}
	go func() {
		defer cancel()
		defer a.Close()
		a.repeat(ctx, func() error { return t.mayAnnounce(inst, w.ip) }, func(err error) bool {
			inst.Log.Info("Announcing an address again", "address", w.ip.String(), "reason", err.Error())
			return true
		})
	}()
}

func (t *Type) stopAnnouncing(inst *resourcetype.Instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel := t.announcers[inst.Resource.UID]; cancel != nil {
		cancel()
		delete(t.announcers, inst.Resource.UID)
	}
}

// Offline removes the address, then its guard.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	return t.Terminate(ctx, inst)
}

// Terminate removes the address that the record names, wherever it is on this host, then its guard.
func (t *Type) Terminate(_ context.Context, inst *resourcetype.Instance) error {
	t.stopAnnouncing(inst)
	var r record
	found, err := inst.LoadData(&r)
	if err != nil || !found || !r.Address.IsValid() {
		return err
	}
	if err := remove(r.Address.Addr()); err != nil {
		return err
	}
	if err := tidy(inst, &r); err != nil {
		return err
	}
	return t.guard.Remove(r.Address.Addr())
}

// LooksAlive says that the address is on an interface with a carrier and that the guard lets it pass.
func (t *Type) LooksAlive(_ context.Context, inst *resourcetype.Instance) error {
	ip, err := present(inst)
	if err == nil && !t.leased(ip) {
		err = fmt.Errorf("address %s is not under a lease any more (%s)", ip, t.guard.State(ip))
	}
	return err
}

// present says that the address is on an interface with a carrier.
func present(inst *resourcetype.Instance) (netip.Addr, error) {
	var r record
	if found, err := inst.LoadData(&r); err != nil || !found {
		return netip.Addr{}, errors.Join(err, errors.New("the address was not added"))
	}
	ip := r.Address.Addr()
	link, err := netlink.LinkByName(r.Interface)
	if err != nil {
		return ip, fmt.Errorf("looking at interface %s: %w", r.Interface, err)
	}
	network, _, err := params(inst.Spec)
	if err != nil {
		return ip, err
	}
	if err := carrier(network, link); err != nil {
		return ip, err
	}
	if !IsLocal(ip) {
		return ip, fmt.Errorf("address %s is no longer on %s", ip, r.Interface)
	}
	return ip, nil
}

// leased says that the guard lets the address pass, or will with the next renewal.
func (t *Type) leased(ip netip.Addr) bool {
	s := t.guard.State(ip)
	return s == addressguard.Leased || s == addressguard.Waiting
}

// IsAlive looks at its routes, too; there is nobody to ask about an address.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.LooksAlive(ctx, inst); err != nil {
		return err
	}
	var r record
	if _, err := inst.LoadData(&r); err != nil || r.Table == 0 {
		return err
	}
	return sourceRouted(&r)
}

// Adopt takes the address over as it is; its guard has been adopted with all others.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	return t.LooksAlive(ctx, inst)
}

// Check implements resourcetype.Checker.
func (t *Type) Check(_ context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	if _, _, err := params(spec); err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	return nil
}
