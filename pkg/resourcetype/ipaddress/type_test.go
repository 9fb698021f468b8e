package ipaddress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/addressguard/netpair"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func TestMain(m *testing.M) { netpair.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leasedGuard is a guard whose lease runs for a long time.
func leasedGuard() *addressguard.Fake {
	g := addressguard.NewFake(addressguard.BootTime)
	if err := g.Renew(addressguard.BootTime() + time.Hour); err != nil {
		panic(err)
	}
	return g
}

func instance(name, address string) *resourcetype.Instance {
	return &resourcetype.Instance{
		Type:     Name,
		Resource: resourcetype.Identity{UID: "uid-" + name, Namespace: "demo", Name: name},
		Spec:     json.RawMessage(fmt.Sprintf(`{"type":"IPAddress","ipAddress":{"network":"lan","address":%q}}`, address)),
		Networks: map[string]resourcetype.NetworkInfo{"lan": {CIDRs: []string{"10.9.0.0/24", "fd09::/64"}}},
	}
}

var families = map[string]struct{ address, second string }{
	"IPv4": {"10.9.0.50/24", "10.9.0.51/24"},
	"IPv6": {"fd09::50/64", "fd09::51/64"},
}

// listen collects the frames on the peer that claim the address.
func listen(t *testing.T, p *netpair.Pair, ip netip.Addr) *atomic.Int32 {
	t.Helper()
	kind := etherIPv6
	if ip.Is4() {
		kind = etherARP
	}
	var conn *packet.Conn
	must(t, p.In(func() (err error) {
		conn, err = packet.Listen(interfaceOf(p.PeerLink), packet.Raw, kind, nil)
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	var count atomic.Int32
	go func() {
		buf := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if a, err := parseARP(buf[:n]); err == nil && a.sender == ip {
				count.Add(1)
			}
			if m, _, err := parseND(buf[:n]); err == nil && m.kind == ndAdvertisement && m.target == ip && m.source == ip && m.to == allNodes {
				count.Add(1)
			}
		}
	}()
	return &count
}

// neighbour is what the peer thinks of the address.
func neighbour(t *testing.T, p *netpair.Pair, ip netip.Addr) net.HardwareAddr {
	t.Helper()
	list, err := p.Peer.NeighList(p.PeerLink.Attrs().Index, 0)
	must(t, err)
	for _, n := range list {
		if n.IP.Equal(ip.AsSlice()) {
			return n.HardwareAddr
		}
	}
	return nil
}

// TestLife adds an address, announces it so that a client with an old entry goes to the new owner at once, and removes it.
func TestLife(t *testing.T) {
	for name, tc := range families {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			ip := netip.MustParsePrefix(tc.address).Addr()
			guard := leasedGuard()
			typ, inst := New(guard), instance("a", tc.address)
			typ.timing.Announce = []time.Duration{20 * time.Millisecond, 60 * time.Millisecond}
			must(t, p.Peer.NeighSet(&netlink.Neigh{
				LinkIndex: p.PeerLink.Attrs().Index, IP: ip.AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 9, 9}, State: netlink.NUD_STALE,
			}))
			claims := listen(t, p, ip)
			begin := time.Now()
			must(t, typ.Online(t.Context(), inst))
			t.Logf("online in %v", time.Since(begin))
			if s := guard.State(ip); s != addressguard.Leased {
				t.Errorf("the guard says %q", s)
			}
			must(t, typ.LooksAlive(t.Context(), inst))
			must(t, New(guard).Adopt(t.Context(), inst))
			time.Sleep(100 * time.Millisecond)
			if got, want := neighbour(t, p, ip), p.Link.Attrs().HardwareAddr; got.String() != want.String() {
				t.Errorf("the peer goes to %v, want %v", got, want)
			}
			want := int32(3)
			if ip.Is4() {
				want *= 2 // as request and as reply
			}
			if n := claims.Load(); n != want {
				t.Errorf("%d announcements, want %d", n, want)
			}
			second := instance("b", tc.second)
			must(t, typ.Online(t.Context(), second))
			must(t, typ.Offline(t.Context(), inst))
			must(t, typ.Offline(t.Context(), inst))
			if guard.State(ip) != addressguard.Unmanaged || IsLocal(ip) {
				t.Errorf("the address is still there: guard %q, local %v", guard.State(ip), IsLocal(ip))
			}
			must(t, typ.LooksAlive(t.Context(), second))
			if typ.LooksAlive(t.Context(), inst) == nil || New(guard).Adopt(t.Context(), inst) == nil {
				t.Error("an address that is gone looks alive")
			}
			must(t, New(guard).Terminate(t.Context(), second))
			if found, err := find(netip.MustParsePrefix(tc.second).Addr()); err != nil || len(found) > 0 {
				t.Errorf("Terminate() left %v, %v", found, err)
			}
		})
	}
}

// TestConflict: an address that another machine has is not taken, and the machine is named.
func TestConflict(t *testing.T) {
	for name, tc := range families {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			p.AddPeerAddress(t, tc.address)
			guard := leasedGuard()
			typ, inst := New(guard), instance("a", tc.address)
			err := typ.Online(t.Context(), inst)
			var conflict *ConflictError
			if !errors.As(err, &conflict) || conflict.MAC.String() != p.PeerMAC.String() {
				t.Errorf("Online() = %v, want a conflict with %v", err, p.PeerMAC)
			}
			ip := netip.MustParsePrefix(tc.address).Addr()
			if guard.State(ip) != addressguard.Unmanaged || IsLocal(ip) {
				t.Error("something of the address is left")
			}
		})
	}
}

// TestRefused: whatever is wrong, nothing is left.
func TestRefused(t *testing.T) {
	tests := map[string]struct {
		address string
		change  func(t *testing.T, p *netpair.Pair, inst *resourcetype.Instance)
		want    string
	}{
		"not on the network": {address: "10.8.0.50/24", want: "is not on network lan"},
		"no such interface": {address: "10.77.0.50/24", want: "no interface of this host is on network lan", change: func(_ *testing.T, _ *netpair.Pair, inst *resourcetype.Instance) {
			inst.Networks["lan"] = resourcetype.NetworkInfo{CIDRs: []string{"10.77.0.0/24"}}
		}},
		"bad address": {address: "10.9.0.999/24", want: "ipAddress.address"},
		"no lease": {address: "10.9.0.50/24", want: "no quorum", change: func(_ *testing.T, _ *netpair.Pair, inst *resourcetype.Instance) {
			inst.MayAct = func() error { return errors.New("no quorum") }
		}},
		"lease ends before it is added": {address: "10.9.0.50/24", want: "no quorum", change: func(_ *testing.T, _ *netpair.Pair, inst *resourcetype.Instance) {
			asked := 0
			inst.MayAct = func() error {
				if asked++; asked > 1 {
					return errors.New("no quorum")
				}
				return nil
			}
		}},
		"of the host itself": {address: "10.9.0.1/24", want: "is on this host already"},
		"no carrier": {address: "10.9.0.50/24", want: "carrier", change: func(t *testing.T, p *netpair.Pair, _ *resourcetype.Instance) {
			must(t, p.Peer.LinkSetDown(p.PeerLink))
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			guard := leasedGuard()
			typ, inst := New(guard), instance("a", tc.address)
			if tc.change != nil {
				tc.change(t, p, inst)
			}
			err := typ.Online(t.Context(), inst)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			ip := netip.MustParseAddr("10.9.0.50")
			if found, err := find(ip); err != nil || len(found) > 0 || guard.State(ip) != addressguard.Unmanaged {
				t.Errorf("left: %v, guard %q, %v", found, guard.State(ip), err)
			}
			if !IsLocal(netip.MustParseAddr("10.9.0.1")) {
				t.Error("the host's own address is gone")
			}
		})
	}
}

// TestWaitsForLease: an address that has no lease yet is not online.
func TestWaitsForLease(t *testing.T) {
	netpair.New(t)
	guard := addressguard.NewFake(addressguard.BootTime)
	typ, inst := New(guard), instance("a", "10.9.0.50/24")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := typ.Online(ctx, inst); err == nil || !strings.Contains(err.Error(), "has no lease") {
		t.Errorf("Online() without a lease = %v", err)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		_ = guard.Renew(addressguard.BootTime() + time.Hour)
	}()
	must(t, typ.Online(t.Context(), inst))
	must(t, guard.Silence())
	if err := typ.LooksAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "lease") {
		t.Errorf("LooksAlive() of a silent address = %v", err)
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestNoLateAnnouncement: what is silent is not announced any more.
func TestNoLateAnnouncement(t *testing.T) {
	p := netpair.New(t)
	guard := leasedGuard()
	typ, inst := New(guard), instance("a", "10.9.0.50/24")
	typ.timing.Announce = []time.Duration{50 * time.Millisecond}
	claims := listen(t, p, netip.MustParseAddr("10.9.0.50"))
	must(t, typ.Online(t.Context(), inst))
	must(t, guard.Silence())
	time.Sleep(100 * time.Millisecond)
	if n := claims.Load(); n != 2 {
		t.Errorf("%d announcements, want only the first 2", n)
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestWatch sees the loss of the address and of the wire at once, and nothing else.
func TestWatch(t *testing.T) {
	for name, tc := range map[string]struct {
		address string
		harm    func(t *testing.T, p *netpair.Pair, ip netip.Addr)
		want    string
	}{
		"IPv4 address removed": {"10.9.0.50/24", func(t *testing.T, _ *netpair.Pair, ip netip.Addr) { must(t, remove(ip)) }, "no longer on q0"},
		"IPv6 address removed": {"fd09::50/64", func(t *testing.T, _ *netpair.Pair, ip netip.Addr) { must(t, remove(ip)) }, "no longer on q0"},
		"carrier lost":         {"10.9.0.50/24", func(t *testing.T, p *netpair.Pair, _ netip.Addr) { must(t, p.Peer.LinkSetDown(p.PeerLink)) }, "no carrier"},
		"interface down":       {"10.9.0.50/24", func(t *testing.T, p *netpair.Pair, _ netip.Addr) { must(t, netlink.LinkSetDown(p.Link)) }, "is down"},
	} {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			typ, inst := New(leasedGuard()), instance("a", tc.address)
			must(t, typ.Online(t.Context(), inst))
			failed, err := typ.Watch(t.Context(), inst)
			must(t, err)
			p.AddAddress(t, "10.9.0.77/24")
			must(t, remove(netip.MustParseAddr("10.9.0.77")))
			select {
			case err := <-failed:
				t.Fatalf("the watch says %v", err)
			case <-time.After(30 * time.Millisecond):
			}
			begin := time.Now()
			tc.harm(t, p, netip.MustParsePrefix(tc.address).Addr())
			select {
			case err := <-failed:
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("the watch says %v, want %q", err, tc.want)
				}
				if took := time.Since(begin); took > 200*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			case <-time.After(3 * time.Second):
				t.Error("the watch says nothing")
			}
			must(t, typ.Terminate(t.Context(), inst))
			if found, err := find(netip.MustParsePrefix(tc.address).Addr()); err != nil || len(found) > 0 {
				t.Errorf("left: %v, %v", found, err)
			}
		})
	}
}

// TestCrash: an address that an agent has added before it died is removed by the next Online, and only with a record.
func TestCrash(t *testing.T) {
	p := netpair.New(t)
	typ, inst := New(leasedGuard()), instance("a", "10.9.0.50/24")
	inst.Data = json.RawMessage(`{"address":"10.9.0.50/24","interface":"q0"}`)
	p.AddAddress(t, "10.9.0.50/24")
	must(t, typ.Online(t.Context(), inst))
	if found, err := find(netip.MustParseAddr("10.9.0.50")); err != nil || len(found) != 1 {
		t.Errorf("the address is there %d times, %v", len(found), err)
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestOwnNetwork: in a network in which the host has no address of its own, each address brings its network along, and removing one
// does not take the others with it.
func TestOwnNetwork(t *testing.T) {
	netpair.New(t)
	typ := New(leasedGuard())
	cidrs := map[string]resourcetype.NetworkInfo{"lan": {CIDRs: []string{"10.9.0.0/24", "10.66.0.0/24"}}}
	a, b := instance("a", "10.66.0.50/24"), instance("b", "10.66.0.51/24")
	a.Networks, b.Networks = cidrs, cidrs
	must(t, typ.Online(t.Context(), a))
	must(t, typ.Online(t.Context(), b))
	must(t, typ.Offline(t.Context(), a))
	must(t, typ.LooksAlive(t.Context(), b))
	must(t, typ.Offline(t.Context(), b))
}

// TestKernelGuard brings an address online under the real guard, and lets its lease end.
func TestKernelGuard(t *testing.T) {
	p := netpair.New(t)
	guard, err := addressguard.New(t.Context())
	must(t, err)
	defer func() { must(t, guard.Cleanup()) }()
	typ, inst := New(guard), instance("a", "10.9.0.50/24")
	must(t, guard.Renew(addressguard.BootTime()+250*time.Millisecond))
	must(t, typ.Online(t.Context(), inst))
	ask := func() bool {
		var conflict *ConflictError
		err := p.In(func() error {
			w, err := openWire(interfaceOf(p.PeerLink), netip.MustParseAddr("10.9.0.50"))
			if err != nil {
				return err
			}
			defer w.Close()
			return w.check(t.Context(), DefaultTiming())
		})
		return errors.As(err, &conflict)
	}
	if !ask() {
		t.Error("the address does not answer ARP under its lease")
	}
	time.Sleep(300 * time.Millisecond)
	if ask() {
		t.Error("the address answers ARP after its lease")
	}
	must(t, typ.Terminate(t.Context(), inst))
}

func TestCheck(t *testing.T) {
	for spec, want := range map[string]int{
		`{"ipAddress":{"network":"lan","address":"10.0.0.1/24"}}`:  0,
		`{"ipAddress":{"network":"lan","address":"10.0.0.1"}}`:     1,
		`{"ipAddress":{"network":"lan","address":"224.0.0.1/24"}}`: 1,
		`{}`: 1,
	} {
		if got := New(leasedGuard()).Check(t.Context(), json.RawMessage(spec)); len(got) != want {
			t.Errorf("Check(%s) = %v, want %d problems", spec, got, want)
		}
	}
}
