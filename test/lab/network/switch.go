// Package network is the lab's cabling: a bridge for each network in the daemon's own network namespace, a veth pair from each to
// every host, and faults between pairs of hosts as nftables rules on the bridges.
package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Network is one of the lab's networks.
type Network struct {
	// Name is the name in Cluster.spec.networks; interfaces on hosts are called so with a 0 behind.
	Name string
	// IPv4 and IPv6 are the first parts of addresses, to which a host's number is added: "10.77.1.", "fd77:2::". IPv6 may be empty.
	IPv4, IPv6 string
	// Internal says that heartbeats run here.
	Internal bool
}

// Networks are the lab's networks.
func Networks() []Network {
	return []Network{
		{Name: "hb", IPv4: "10.77.1.", Internal: true},
		{Name: "lan", IPv4: "10.77.2.", IPv6: "fd77:2::", Internal: true},
		{Name: Management, IPv4: managementIPv4},
	}
}

// Management is the network of the API servers.
const (
	Management     = "mgmt"
	managementIPv4 = "10.77.3."
)

// Addresses returns the addresses with prefix length of the host of a number on the network.
func (n Network) Addresses(number int) []string {
	addresses := []string{fmt.Sprintf("%s%d/24", n.IPv4, number)}
	if n.IPv6 != "" {
		addresses = append(addresses, fmt.Sprintf("%s%d/64", n.IPv6, number))
	}
	return addresses
}

// ManagementAddress is the address of the host of a number on the management network.
func ManagementAddress(number int) string { return fmt.Sprintf("%s%d", managementIPv4, number) }

// Interface is the name of a host's interface on the network.
func (n Network) Interface() string { return n.Name + "0" }

// hardwareAddress is that of a host's interface: always the same, as a real host keeps its network card over a power cut.
func (n Network) hardwareAddress(number int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x51, n.Name[0], n.Name[1], 0, byte(number)}
}

func (n Network) bridge() string { return "br-" + n.Name }

// Switch is the set of bridges in this process's network namespace. Methods are safe for concurrent use.
type Switch struct {
	mu     sync.Mutex
	ports  map[string]map[string]string // by host, network: the port's interface name
	next   int
	faults map[link]Fault
	out    map[Cable]bool
}

// Cable is a host's to a network.
type Cable struct {
	Host    string `json:"host"`
	Network string `json:"network"`
}

// NewSwitch makes the bridges. The switch itself has the address .254 on the management network, from which the lab reaches the API
// server and into which it forwards.
func NewSwitch() (*Switch, error) {
	if err := setUp("lo"); err != nil {
		return nil, fmt.Errorf("switch: %w", err)
	}
	for _, n := range Networks() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.bridge()
		// Without snooping, multicast (IPv6 neighbour discovery) reaches everyone from the first packet.
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: new(false)}
		if err := netlink.LinkAdd(bridge); err != nil {
			return nil, fmt.Errorf("make bridge %s: %w", n.bridge(), err)
		}
		if n.Name == Management {
			if err := addAddress(nil, n.bridge(), n.IPv4+"254/24"); err != nil {
				return nil, err
			}
		}
		if err := setUp(n.bridge()); err != nil {
			return nil, fmt.Errorf("bridge %s: %w", n.bridge(), err)
		}
	}
	s := &Switch{ports: map[string]map[string]string{}, faults: map[link]Fault{}, out: map[Cable]bool{}}
	return s, s.applyFaults()
}

func setUp(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// Connect cables a host, whose network namespace is that of process pid, to the named networks with the number that its addresses
// end in.
func (s *Switch) Connect(host string, pid, number int, networks ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("network of host %s: %w", host, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("network of host %s: %w", host, err)
	}
	defer handle.Close()
	lo, err := handle.LinkByName("lo")
	if err == nil {
		err = handle.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("network of host %s: %w", host, err)
	}
	s.ports[host] = map[string]string{}
	for _, n := range Networks() {
		for _, wanted := range networks {
			if n.Name != wanted {
				continue
			}
			if err := s.plug(host, n, ns, handle, number); err != nil {
				return fmt.Errorf("connect host %s to network %s: %w", host, n.Name, err)
			}
		}
	}
	return s.applyFaults()
}

// plug makes one veth pair. Caller holds the lock.
func (s *Switch) plug(host string, n Network, ns netns.NsHandle, handle *netlink.Handle, number int) error {
	s.next++
	port := fmt.Sprintf("p%d-%s", s.next, n.Name)
	bridge, err := netlink.LinkByName(n.bridge())
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = port, bridge.Attrs().Index
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: n.Interface(), PeerNamespace: netlink.NsFd(int(ns)), PeerHardwareAddr: n.hardwareAddress(number),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	s.ports[host][n.Name] = port
	for _, address := range n.Addresses(number) {
		if err := addAddress(handle, n.Interface(), address); err != nil {
			return err
		}
	}
	inside, err := handle.LinkByName(n.Interface())
	if err != nil {
		return err
	}
	if err := handle.LinkSetUp(inside); err != nil {
		return err
	}
	if s.out[Cable{host, n.Name}] {
		return nil
	}
	return setUp(port)
}

// Pull pulls a host's cable to a network, or plugs it in again. A pulled cable stays so over a power cut.
func (s *Switch) Pull(c Cable, out bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.out, c)
	if out {
		s.out[c] = true
	}
	port := s.ports[c.Host][c.Network]
	if port == "" {
		return nil // the host is down
	}
	l, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("cable of %s to %s: %w", c.Host, c.Network, err)
	}
	if out {
		return netlink.LinkSetDown(l)
	}
	return netlink.LinkSetUp(l)
}

// Pulled lists the cables that are pulled, in order.
func (s *Switch) Pulled() []Cable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.out), func(a, b Cable) int {
		return strings.Compare(a.Host+" "+a.Network, b.Host+" "+b.Network)
	})
}

// addAddress adds an address without duplicate address detection, so that it can be used at once. A nil handle is this process's
// own namespace.
func addAddress(handle *netlink.Handle, name, address string) error {
	if handle == nil {
		own, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer own.Close()
		handle = own
	}
	l, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if parsed.IP.To4() == nil {
		parsed.Flags = unix.IFA_F_NODAD
	} else {
		parsed.Broadcast = net.IPv4(parsed.IP.To4()[0], parsed.IP.To4()[1], parsed.IP.To4()[2], 255)
	}
	if err := handle.AddrAdd(l, parsed); err != nil {
		return fmt.Errorf("add %s to %s: %w", address, name, err)
	}
	return nil
}

// LinksDown pulls every cable of a host.
func (s *Switch) LinksDown(host string) error {
	return s.eachPort(host, netlink.LinkSetDown)
}

// Disconnect removes the host's cables, both ends. What is left of its network namespace keeps nothing of the switch.
func (s *Switch) Disconnect(host string) error {
	err := s.eachPort(host, netlink.LinkDel)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, host)
	return errors.Join(err, s.applyFaults())
}

func (s *Switch) eachPort(host string, do func(netlink.Link) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, port := range s.ports[host] {
		l, err := netlink.LinkByName(port)
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			continue
		}
		if err == nil {
			err = do(l)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("port %s of host %s: %w", port, host, err))
		}
	}
	return errors.Join(errs...)
}

// HostsFile is the content of /etc/hosts for hosts with the given numbers: each name means the host's address on the lan, or on the
// management network for a host that has no lan.
func HostsFile(numbers map[string]int, managementOnly string) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for name, number := range numbers {
		prefix := "10.77.2."
		if name == managementOnly {
			prefix = managementIPv4
		}
		fmt.Fprintf(&b, "%s%d %s\n", prefix, number, name)
	}
	return b.String()
}

// KeepFirewallsOut keeps iptables-style hooks away from bridged packets where the kernel has them, because a machine's
// firewall must not reach into the lab.
func KeepFirewallsOut() {
	for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"} {
		_ = os.WriteFile("/proc/sys/net/bridge/"+name, []byte("0"), 0) // absent without br_netfilter, which is as good
	}
}
