package addressguard_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/addressguard/netpair"
)

func TestMain(m *testing.M) { netpair.Main(m) }

func newGuard(t *testing.T) *addressguard.Kernel {
	t.Helper()
	k, err := addressguard.New(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if err := k.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client asks an echo server on the guarded address from the peer.
type client struct {
	t    *testing.T
	pair *netpair.Pair
	ip   netip.Addr
	conn *net.UDPConn
}

// newClient adds the address to this host, with an echo server on it.
func newClient(t *testing.T, p *netpair.Pair, prefix string) *client {
	t.Helper()
	ip := netip.MustParsePrefix(prefix).Addr()
	p.AddAddress(t, prefix)
	server, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 7)))
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				continue
			}
			_, _ = server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	c := &client{t: t, pair: p, ip: ip}
	must(t, p.In(func() (err error) {
		c.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 7)))
		return err
	}))
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// ask reports whether the address answers within the time.
func (c *client) ask(wait time.Duration) bool {
	c.t.Helper()
	question := fmt.Sprint(time.Now().UnixNano())
	if err := c.conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return false
	}
	if _, err := c.conn.Write([]byte(question)); err != nil {
		return false
	}
	buf := make([]byte, 64)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return false
		}
		if string(buf[:n]) == question {
			return true
		}
	}
}

// forget makes the peer ask for the hardware address anew, by ARP or neighbour solicitation.
func (c *client) forget() {
	c.t.Helper()
	list, err := c.pair.Peer.NeighList(c.pair.PeerLink.Attrs().Index, 0)
	must(c.t, err)
	for _, n := range list {
		if n.IP.Equal(c.ip.AsSlice()) {
			must(c.t, c.pair.Peer.NeighDel(&n))
		}
	}
}

// resolved reports whether the peer knows the hardware address.
func (c *client) resolved() bool {
	c.t.Helper()
	list, err := c.pair.Peer.NeighList(c.pair.PeerLink.Attrs().Index, 0)
	must(c.t, err)
	for _, n := range list {
		if n.IP.Equal(c.ip.AsSlice()) && n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
			return true
		}
	}
	return false
}

var families = map[string]string{"IPv4": "10.9.0.50/24", "IPv6": "fd09::50/64"}

// TestLeaseO13 lets leases end with nobody doing anything about it: then neither packets nor ARP and neighbour discovery get out.
func TestLeaseO13(t *testing.T) {
	for name, prefix := range families {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			k := newGuard(t)
			ip := netip.MustParsePrefix(prefix).Addr()
			must(t, k.Add(ip))
			c := newClient(t, p, prefix)
			if c.ask(50*time.Millisecond) || k.State(ip) != addressguard.Waiting {
				t.Errorf("the address answers before its first lease (%s)", k.State(ip))
			}
			if c.resolved() {
				t.Error("the peer learnt the hardware address before the first lease")
			}
			c.forget()
			end := addressguard.BootTime() + 300*time.Millisecond
			must(t, k.Renew(end))
			if !c.ask(200*time.Millisecond) || !c.resolved() {
				t.Fatal("the address does not answer under its lease")
			}
			last := addressguard.BootTime()
			for missed := 0; missed < 5; {
				asked := addressguard.BootTime()
				if c.ask(15 * time.Millisecond) {
					last, missed = asked, 0
				} else {
					missed++
				}
			}
			// The kernel counts in ticks of up to 10 ms, and the test machine may be busy.
			if late := last - end; late < -60*time.Millisecond || late > 20*time.Millisecond {
				t.Errorf("the last question that was answered was asked %v after the end of the lease", late)
			}
			time.Sleep(20 * time.Millisecond)
			c.forget()
			if c.ask(50*time.Millisecond) || c.resolved() {
				t.Error("a silent address tells its hardware address")
			}
			if err := k.Renew(addressguard.BootTime() + time.Second); !errors.Is(err, addressguard.ErrSilent) {
				t.Errorf("renewing an ended lease: %v, want ErrSilent", err)
			}
			if c.ask(20*time.Millisecond) || k.State(ip) != addressguard.Silent {
				t.Errorf("an ended lease was revived (%s)", k.State(ip))
			}
			// A new life: added again, it passes at once under the lease that was set last.
			must(t, k.Add(ip))
			c.forget()
			if !c.ask(200*time.Millisecond) || k.State(ip) != addressguard.Leased {
				t.Errorf("the address does not answer after it was added again (%s)", k.State(ip))
			}
			must(t, k.Silence())
			if c.ask(20*time.Millisecond) || k.State(ip) != addressguard.Silent {
				t.Errorf("the address answers after Silence (%s)", k.State(ip))
			}
			must(t, k.Resume(addressguard.BootTime()+2*time.Second))
			if !c.ask(200*time.Millisecond) || k.State(ip) != addressguard.Leased {
				t.Errorf("the address does not answer under a lease that begins anew (%s)", k.State(ip))
			}
			must(t, k.Remove(ip))
			c.forget()
			if !c.ask(200 * time.Millisecond) {
				t.Error("an address without guard does not answer")
			}
		})
	}
}

// TestRenewWithoutGap renews fifty times under a client that asks every 5 ms; every question must be answered.
func TestRenewWithoutGap(t *testing.T) {
	for name, prefix := range families {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			k := newGuard(t)
			must(t, k.Renew(addressguard.BootTime()+2*time.Second))
			must(t, k.Add(netip.MustParsePrefix(prefix).Addr()))
			c := newClient(t, p, prefix)
			if !c.ask(200 * time.Millisecond) {
				t.Fatal("the address does not answer")
			}
			var stop atomic.Bool
			lost, asked := 0, 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				for !stop.Load() {
					asked++
					if !c.ask(100 * time.Millisecond) {
						lost++
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			var slowest time.Duration
			for range 50 {
				start := addressguard.BootTime()
				must(t, k.Renew(start+2*time.Second))
				slowest = max(slowest, addressguard.BootTime()-start)
				time.Sleep(10 * time.Millisecond)
			}
			stop.Store(true)
			<-done
			if lost > 0 {
				t.Errorf("%d of %d questions were lost during 50 renewals", lost, asked)
			}
			t.Logf("%d questions, slowest renewal %v", asked, slowest)
		})
	}
}

// TestAdopt: a guard made anew, as by a restarted agent, takes over what runs, without a gap and without a new lease.
func TestAdopt(t *testing.T) {
	p := netpair.New(t)
	first := newGuard(t)
	live, dead := netip.MustParseAddr("10.9.0.50"), netip.MustParseAddr("10.9.0.51")
	must(t, first.Add(dead))
	must(t, first.Renew(addressguard.BootTime()+30*time.Millisecond))
	time.Sleep(50 * time.Millisecond)
	if err := first.Renew(addressguard.BootTime() + time.Second); !errors.Is(err, addressguard.ErrSilent) {
		t.Fatal(err)
	}
	must(t, first.Add(live))
	c := newClient(t, p, "10.9.0.50/24")
	if !c.ask(200 * time.Millisecond) {
		t.Fatal("the address does not answer")
	}
	second, err := addressguard.New(t.Context())
	must(t, err)
	if !c.ask(50 * time.Millisecond) {
		t.Error("a second guard makes a gap")
	}
	if s := second.State(live); s != addressguard.Leased {
		t.Errorf("the leased address is %q after adoption", s)
	}
	if s := second.State(dead); s != addressguard.Silent {
		t.Errorf("the silent address is %q after adoption", s)
	}
	if err := second.Renew(addressguard.BootTime() + time.Second); !errors.Is(err, addressguard.ErrSilent) {
		t.Errorf("Renew() = %v, want the dead address to be named", err)
	}
	if !c.ask(50 * time.Millisecond) {
		t.Error("the adopted address does not answer")
	}
	// The guardian removes an address behind the agent's back; the agent's next renewal says so and goes on with the rest.
	must(t, second.Remove(live))
	must(t, second.Remove(dead))
	must(t, second.Remove(netip.MustParseAddr("10.9.0.99")))
	if err := first.Renew(addressguard.BootTime() + time.Second); !errors.Is(err, addressguard.ErrSilent) {
		t.Errorf("Renew() = %v after another guard removed the addresses", err)
	}
}

// TestLeavesNothing: with nothing under guard there is no table.
func TestLeavesNothing(t *testing.T) {
	netpair.New(t)
	tables := func() int {
		c, err := nftables.New()
		must(t, err)
		list, err := c.ListTables()
		must(t, err)
		return len(list)
	}
	k := newGuard(t)
	if n := tables(); n != 0 {
		t.Errorf("%d tables after New", n)
	}
	ip := netip.MustParseAddr("fd09::50")
	must(t, k.Add(ip))
	if n := tables(); n != 2 {
		t.Errorf("%d tables with an address, want 2", n)
	}
	must(t, k.Remove(ip))
	if n := tables(); n != 0 {
		t.Errorf("%d tables after the last address is gone", n)
	}
	must(t, k.Silence())
	must(t, k.Renew(addressguard.BootTime()+time.Second))
	must(t, k.Add(ip))
}

// TestMany renews a thousand addresses at once.
func TestMany(t *testing.T) {
	netpair.New(t)
	k := newGuard(t)
	base := netip.MustParseAddr("10.200.0.0")
	begin := time.Now()
	for range 1000 {
		base = base.Next()
		must(t, k.Add(base))
	}
	t.Logf("1000 addresses added in %v", time.Since(begin))
	for range 3 {
		start := time.Now()
		must(t, k.Renew(addressguard.BootTime()+time.Minute))
		t.Logf("1000 addresses renewed in %v", time.Since(start))
	}
	if s := k.State(base); s != addressguard.Leased {
		t.Errorf("the last address is %s", s)
	}
}
