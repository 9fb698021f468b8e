package heartbeat

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

// lan is two network namespaces with two cables between them: hb (IPv4) and lan (IPv6).
type lan struct {
	t     *testing.T
	hosts [2]netns.NsHandle
}

// newLan runs on a thread of its own, which the test keeps: namespaces belong to threads.
func newLan(t *testing.T) *lan {
	t.Helper()
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Set(origin); err == nil {
			runtime.UnlockOSThread()
		}
		origin.Close()
	})
	l := &lan{t: t}
	for i := range l.hosts {
		if l.hosts[i], err = netns.New(); err != nil {
			t.Fatalf("making a network namespace (the test runs as root): %v", err)
		}
		t.Cleanup(func() { l.hosts[i].Close() })
	}
	for host := range l.hosts {
		l.in(host, func() { l.up("lo") }) // without any address at all the kernel lets everything be bound
	}
	for cable := range 2 {
		l.in(0, func() {
			name, peer := fmt.Sprintf("c%da", cable), fmt.Sprintf("c%db", cable)
			link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer, PeerNamespace: netlink.NsFd(l.hosts[1])}
			l.must(netlink.LinkAdd(link))
			l.up(name)
		})
		l.in(1, func() { l.up(fmt.Sprintf("c%db", cable)) })
	}
	return l
}

func (l *lan) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lan) in(host int, f func()) {
	l.must(netns.Set(l.hosts[host]))
	f()
}

func (l *lan) link(name string) netlink.Link {
	link, err := netlink.LinkByName(name)
	l.must(err)
	return link
}

func (l *lan) up(name string) { l.must(netlink.LinkSetUp(l.link(name))) }

func (l *lan) address(host, cable int, cidr string) {
	l.in(host, func() {
		addr, err := netlink.ParseAddr(cidr)
		l.must(err)
		addr.Flags = 0x02 // no duplicate detection: the address is there at once
		l.must(netlink.AddrAdd(l.link(fmt.Sprintf("c%d%c", cable, 'a'+host)), addr))
	})
}

func config(self model.NodeID, keys ...[]byte) Config {
	peer := 3 - self
	// The silence is long: the machine of the test may be busy.
	return Config{ClusterID: 42, Self: self, Keys: keys, Silence: 20 * time.Second, Networks: []Network{
		{Name: "hb", Local: addr("10.99.1.%d", self), Peers: map[model.NodeID]netip.Addr{peer: addr("10.99.1.%d", peer)}},
		{Name: "lan", Local: addr("fd99::%d", self), Peers: map[model.NodeID]netip.Addr{peer: addr("fd99::%d", peer)}},
	}}
}

func start(l *lan, host int, cfg Config) *Transport {
	tr := NewTransport(bootTime, testr.New(l.t))
	l.in(host, func() { l.must(tr.Configure(cfg)) })
	l.t.Cleanup(tr.Close)
	return tr
}

func message(from model.NodeID, sequence uint64) *membership.Message {
	m := bare()
	m.From, m.Sequence = from, sequence
	return &m
}

// heard waits for n messages and returns their sequence numbers.
func heard(t *testing.T, tr *Transport, n int) []uint64 {
	t.Helper()
	var got []uint64
	deadline := time.After(2 * time.Second)
	for len(got) < n {
		select {
		case <-tr.Readable():
			tr.Drain(func(_ time.Duration, m *membership.Message) { got = append(got, m.Sequence) })
		case <-deadline:
			t.Fatalf("heard %v, want %d messages; %+v", got, n, tr.Stats())
		}
	}
	return got
}

func TestTransport(t *testing.T) {
	l := newLan(t)
	for host := range 2 {
		l.address(host, 0, fmt.Sprintf("10.99.1.%d/24", host+1))
		l.address(host, 1, fmt.Sprintf("fd99::%d/64", host+1))
	}
	a, b := start(l, 0, config(1, keyA)), start(l, 1, config(2, keyA))

	// Each message arrives on both networks.
	for sequence := range uint64(upAfter) {
		l.must(a.Send(message(1, sequence+1)))
	}
	heard(t, b, 2*upAfter)
	want := []Link{{Peer: 1, Network: "hb", Up: true}, {Peer: 1, Network: "lan", Up: true}}
	got := b.Links()
	for i := range got {
		if got[i].Received != upAfter || got[i].LastHeard == 0 {
			t.Errorf("figures %+v, want %d received", got[i].Figures, upAfter)
		}
		got[i].Figures = Figures{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	for _, link := range a.Links() {
		if link.Up {
			t.Errorf("%+v is up, though nothing was heard", link)
		}
	}

	// One cable cut: the other goes on, and sending fails nobody.
	l.in(0, func() { l.must(netlink.LinkSetDown(l.link("c0a"))) })
	l.must(a.Send(message(1, 10)))
	if got := heard(t, b, 1); len(got) != 1 {
		t.Errorf("heard %v over the cable that is left", got)
	}
}

// TestTransportDrops: forged, garbled, replayed and unknown datagrams are dropped and counted by reason.
func TestTransportDrops(t *testing.T) {
	l := newLan(t)
	for host := range 2 {
		l.address(host, 0, fmt.Sprintf("10.99.1.%d/24", host+1))
	}
	b := start(l, 1, config(2, keyA))
	var conn net.Conn
	l.in(0, func() {
		var err error
		conn, err = net.Dial("udp", fmt.Sprintf("10.99.1.2:%d", DefaultPort))
		l.must(err)
	})
	defer conn.Close()
	ours := codec(t, 42, keyA)
	future := datagram(&Codec{versions: Versions{Lowest: 8, Highest: 9}, ids: ours.ids}, 9, *message(1, 1))
	for _, datagram := range [][]byte{
		[]byte("hello"), sign(append(appendEnvelope(nil, 42, &future.Envelope), "what nobody knows yet"...), keyA),
		encode(t, codec(t, 43, keyA), 2, *message(1, 1)), encode(t, codec(t, 42, keyB), 2, *message(1, 1)),
		encode(t, ours, 2, *message(9, 1)), encode(t, ours, 2, *message(2, 1)), encode(t, ours, 2, *message(1, 5)),
		encode(t, ours, 2, *message(1, 5)), encode(t, ours, 1, *message(1, 4)), encode(t, ours, 1, *message(1, 6)),
	} {
		_, err := conn.Write(datagram)
		l.must(err)
	}
	if diff := cmp.Diff([]uint64{5, 6}, heard(t, b, 2)); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	want := map[string]uint64{
		"Garbled": 1, "OtherVersion": 1, "OtherCluster": 1, "Forged": 1, "Replayed": 2, "UnknownSender": 2, "Late": 0,
	}
	got := map[string]uint64{}
	for _, d := range b.Stats().Drops {
		got[d.Reason] = d.Count
		if d.Count == 0 {
			continue
		}
		if d.LastFrom != "10.99.1.1" || d.Network != "hb" || d.LastAt == 0 {
			t.Errorf("%+v does not tell where it came from", d)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

// TestTransportRoundTrip: two agents that beat learn how long the way between them is, on each network.
func TestTransportRoundTrip(t *testing.T) {
	l := newLan(t)
	for host := range 2 {
		l.address(host, 0, fmt.Sprintf("10.99.1.%d/24", host+1))
		l.address(host, 1, fmt.Sprintf("fd99::%d/64", host+1))
	}
	tr := []*Transport{start(l, 0, config(1, keyA)), start(l, 1, config(2, keyA))}
	var last [2]uint64
	for sequence := range uint64(20) {
		for i := range tr {
			m := message(model.NodeID(i+1), sequence+1)
			if last[i] > 0 {
				m.Heard = []membership.Heard{{ID: model.NodeID(2 - i), Incarnation: 1, Generation: 1, Sequence: last[i], Alive: true}}
			}
			l.must(tr[i].Send(m))
			time.Sleep(2 * time.Millisecond)
			tr[1-i].Drain(func(_ time.Duration, m *membership.Message) { last[1-i] = m.Sequence })
		}
	}
	for i := range tr {
		for _, link := range tr[i].Links() {
			t.Logf("%+v", link)
			if link.RoundTrip <= 0 || link.Received != 20 || link.Lost+link.Late > 0 {
				t.Errorf("side %d: %+v, want 20 datagrams and a round trip", i, link)
			}
		}
	}
}

// TestTransportVersions: agents of different builds speak the highest version that both understand, from the first exchange on;
// those without one refuse each other by name.
func TestTransportVersions(t *testing.T) {
	l := newLan(t)
	for host := range 2 {
		l.address(host, 0, fmt.Sprintf("10.99.1.%d/24", host+1))
	}
	for name, tc := range map[string]struct {
		a, b Versions
		want uint8
	}{
		"the same build":        {Supported, Supported, Supported.Highest},
		"an upgrade under way":  {Versions{1, 2}, Versions{2, 2}, 2},
		"one without envelope":  {Versions{1, 1}, Versions{1, 2}, 1},
		"nothing in common":     {Versions{1, 1}, Versions{2, 2}, 0},
		"nothing in common, 2":  {Versions{2, 2}, Versions{3, 3}, 0},
		"only the older common": {Versions{2, 2}, Versions{2, 3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			own, other := config(1, keyA), config(2, keyA)
			own.Versions, other.Versions = tc.a, tc.b
			own.Networks, other.Networks = own.Networks[:1], other.Networks[:1]
			a, b := start(l, 0, own), start(l, 1, other)
			defer a.Close()
			defer b.Close()
			var heard [2]int
			for sequence := range uint64(6) {
				for i, tr := range []*Transport{a, b} {
					if err := tr.Send(message(model.NodeID(i+1), sequence+1)); err != nil && tr.cfg.Versions.Highest <= Supported.Highest {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Millisecond)
				for i, tr := range []*Transport{a, b} {
					tr.Drain(func(time.Duration, *membership.Message) { heard[i]++ })
				}
			}
			for i, tr := range []*Transport{a, b} {
				peer := tr.Peers()[0]
				switch {
				case tc.want == 0 && (heard[i] > 0 || tr.Stats().Drop("OtherVersion").Count == 0):
					t.Errorf("side %d heard %d messages without a version in common; %+v", i, heard[i], tr.Stats())
				case tc.want != 0 && (heard[i] < 5 || peer.Version != tc.want):
					t.Errorf("side %d heard %d of 6 messages and speaks version %d, want %d", i, heard[i], peer.Version, tc.want)
				}
			}
			if tc.want == 0 && tc.a.Lowest > legacyVersion && !a.Peers()[0].Incompatible() {
				t.Errorf("%+v is not called incompatible", a.Peers()[0])
			}
		})
	}
}

// TestTransportLateAddress: a network whose address appears after the start is joined when it does.
func TestTransportLateAddress(t *testing.T) {
	l := newLan(t)
	l.address(0, 0, "10.99.1.1/24")
	a, b := start(l, 0, config(1, keyA)), start(l, 1, config(2, keyA))
	if diff := cmp.Diff(map[string]bool{"hb": false, "lan": false}, b.Listening()); diff != "" {
		t.Errorf("listening (-want +got):\n%s", diff)
	}
	l.address(1, 0, "10.99.1.2/24")
	time.Sleep(bindRetry)
	l.in(1, b.Maintain)
	if !b.Listening()["hb"] {
		t.Fatal("the network is not listened on although its address is there")
	}
	l.must(a.Send(message(1, 1)))
	heard(t, b, 1)
}

// TestTransportDrainsFirst: what arrived while nobody looked is all there before the next timer (freeze and thaw).
func TestTransportDrainsFirst(t *testing.T) {
	l := newLan(t)
	for host := range 2 {
		l.address(host, 0, fmt.Sprintf("10.99.1.%d/24", host+1))
	}
	a, b := start(l, 0, config(1, keyA)), start(l, 1, config(2, keyA))
	for sequence := range uint64(50) {
		l.must(a.Send(message(1, sequence+1)))
	}
	time.Sleep(50 * time.Millisecond)
	n := 0
	b.Drain(func(time.Duration, *membership.Message) { n++ })
	if n != 50 {
		t.Errorf("one Drain gave %d of 50 datagrams", n)
	}
}
