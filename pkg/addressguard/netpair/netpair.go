// Package netpair gives tests two hosts: the test binary, moved into a network namespace of its own, and a peer at the other end of
// a virtual cable. Nothing of the machine's own network is touched, and all of it is gone when the test binary ends.
package netpair

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// marker tells the test binary that it runs in its own network namespace.
const marker = "QUORATE_TEST_NETPAIR"

// Addresses of this host and of the peer.
const (
	Local4 = "10.9.0.1/24"
	Local6 = "fd09::1/64"
	Peer4  = "10.9.0.2/24"
	Peer6  = "fd09::2/64"
)

// Main is called by TestMain: it runs the tests in a new network namespace. It needs root.
func Main(m *testing.M) {
	if os.Getenv(marker) != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "setting up the loopback interface:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "running the tests in a network namespace (needs root):", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Pair is the cable and the host at its other end.
type Pair struct {
	// Link is this host's end; PeerLink the index of the other.
	Link     netlink.Link
	PeerLink netlink.Link
	// PeerMAC is the hardware address at the other end.
	PeerMAC net.HardwareAddr
	// Peer speaks to the other host's kernel.
	Peer  *netlink.Handle
	netns int
}

// New makes the peer and the cable, with both addresses of both families ready to use.
func New(t *testing.T) *Pair {
	t.Helper()
	p := &Pair{}
	fatal := func(what string, err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("%s: %v", what, err)
		}
	}
	var err error
	p.netns, err = newNamespace()
	fatal("making the peer's namespace", err)
	t.Cleanup(func() { _ = unix.Close(p.netns) })
	// Without the duplicate check of link-local addresses, which takes a second or two, IPv6 works from the start.
	fatal("leaving out the duplicate check", noDuplicateCheck())
	fatal("leaving out the peer's duplicate check", p.In(noDuplicateCheck))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "q0"
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "q1", PeerNamespace: netlink.NsFd(p.netns)}
	fatal("making the cable", netlink.LinkAdd(veth))
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	p.Link, err = netlink.LinkByName("q0")
	fatal("finding this end", err)
	fatal("starting this end", netlink.LinkSetUp(p.Link))
	fatal("entering the peer", p.In(func() (err error) {
		p.Peer, err = netlink.NewHandle()
		return err
	}))
	t.Cleanup(p.Peer.Close)
	p.PeerLink, err = p.Peer.LinkByName("q1")
	fatal("finding the peer's end", err)
	p.PeerMAC = p.PeerLink.Attrs().HardwareAddr
	fatal("starting the peer's end", p.Peer.LinkSetUp(p.PeerLink))
	for _, a := range []string{Local4, Local6} {
		p.AddAddress(t, a)
	}
	for _, a := range []string{Peer4, Peer6} {
		p.AddPeerAddress(t, a)
	}
	return p
}

// address parses a prefix whose IPv6 duplicate check is left out, so that it can be used at once.
func address(s string) *netlink.Addr {
	prefix := netip.MustParsePrefix(s)
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}}
	if prefix.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// In runs f on the peer. Sockets that f opens stay there.
func (p *Pair) In(f func() error) error {
	result := make(chan error)
	go func() {
		// The thread is not unlocked, so it ends with the goroutine and is never used for anything else.
		runtime.LockOSThread()
		if err := unix.Setns(p.netns, unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("entering the peer's namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

func newNamespace() (int, error) {
	type answer struct {
		fd  int
		err error
	}
	result := make(chan answer)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- answer{err: err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		result <- answer{fd, err}
	}()
	a := <-result
	return a.fd, a.err
}

// AddPeerAddress gives the peer another address.
func (p *Pair) AddPeerAddress(t *testing.T, prefix string) {
	t.Helper()
	if err := p.Peer.AddrReplace(p.PeerLink, address(prefix)); err != nil {
		t.Fatal(err)
	}
	waitUntilServed(t, prefix, p.Peer.RouteGet)
}

// AddAddress gives this host another address.
func (p *Pair) AddAddress(t *testing.T, prefix string) {
	t.Helper()
	if err := netlink.AddrReplace(p.Link, address(prefix)); err != nil {
		t.Fatal(err)
	}
	waitUntilServed(t, prefix, netlink.RouteGet)
}

// waitUntilServed waits for the kernel, which begins to serve an IPv6 address a moment after it was added.
func waitUntilServed(t *testing.T, prefix string, route func(net.IP) ([]netlink.Route, error)) {
	t.Helper()
	ip := netip.MustParsePrefix(prefix).Addr().AsSlice()
	for range 1000 {
		routes, err := route(ip)
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("the kernel does not serve %s", prefix)
}

func noDuplicateCheck() error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
}
