package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/resourcetype/ipaddress"
)

// inside is the name of a Bridged container's interface.
const inside = "eth0"

// cable is how a Bridged container is connected.
type cable struct {
	bridge  netlink.Link
	address netip.Prefix
	gateway netip.Addr // invalid when the network has none
	// link is the name of the host's end.
	link string
	mac  net.HardwareAddr
}

// linkName and hardwareAddress are made from the resource's UID: the address is the same on every node, so that a group that moves
// surprises no switch and no neighbour (a locally administered unicast address, RFC 7042 2.1).
func linkName(uid string) string {
	sum := sha256.Sum256([]byte("link " + uid))
	return "qc" + hex.EncodeToString(sum[:6])
}

func hardwareAddress(uid string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("mac " + uid))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// planCable finds the bridge, and whether another machine has the address.
func planCable(ctx context.Context, uid, bridge, address string) (*cable, error) {
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return nil, fmt.Errorf("container.address: %w", err)
	}
	c := &cable{address: prefix, link: linkName(uid), mac: hardwareAddress(uid)}
	if c.bridge, err = findBridge(bridge, prefix); err != nil {
		return nil, err
	}
	a := c.bridge.Attrs()
	ifi := &net.Interface{Index: a.Index, MTU: a.MTU, Name: a.Name, HardwareAddr: a.HardwareAddr, Flags: a.Flags}
	if err := ipaddress.InUse(ctx, ifi, prefix.Addr()); err != nil {
		return nil, fmt.Errorf("the container's address is in use: %w", err)
	}
	c.gateway, err = gatewayOf(c.bridge, prefix)
	return c, err
}

func findBridge(name string, want netip.Prefix) (netlink.Link, error) {
	if name != "" {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return nil, fmt.Errorf("container.bridge: looking for %s: %w", name, err)
		}
		if link.Type() != "bridge" {
			return nil, fmt.Errorf("container.bridge: %s is a %s, not a bridge", name, link.Type())
		}
		return link, up(link)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok || a.Mask == nil {
			continue
		}
		if ip.Unmap() == want.Addr() {
			return nil, fmt.Errorf("address %s is this host's own: a Bridged container needs one that nobody else has", ip)
		}
		bits, _ := a.Mask.Size()
		if !netip.PrefixFrom(ip.Unmap(), bits).Masked().Contains(want.Addr()) {
			continue
		}
		if link, err := netlink.LinkByIndex(a.LinkIndex); err == nil && link.Type() == "bridge" {
			return link, up(link)
		}
	}
	return nil, fmt.Errorf("no bridge of this host has an address in the network of %s: make one with the interface of that network as its port "+
		"(ip link add br0 type bridge; ip link set IFACE master br0, and the host's address on br0), or name one in container.bridge", want)
}

func up(link netlink.Link) error {
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("bridge %s is down", link.Attrs().Name)
	}
	return nil
}

// gatewayOf is the host's own way out of the network, if it has one there.
func gatewayOf(bridge netlink.Link, want netip.Prefix) (netip.Addr, error) {
	family := netlink.FAMILY_V6
	if want.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	routes, err := netlink.RouteList(bridge, family)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("listing the routes of this host: %w", err)
	}
	for _, r := range routes {
		gateway, ok := netip.AddrFromSlice(r.Gw)
		if whole := r.Dst == nil || r.Dst.IP.IsUnspecified(); ok && whole && want.Masked().Contains(gateway.Unmap()) {
			return gateway.Unmap(), nil
		}
	}
	return netip.Addr{}, nil
}

// connect gives the process's network namespace, which must be its own, the other end of a cable to the bridge. Both ends go when the
// namespace does.
func (c *cable) connect(pid int) error {
	if err := unplug(c.link); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex = c.link, c.bridge.Attrs().MTU, c.bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: inside, PeerHardwareAddr: c.mac, PeerNamespace: netlink.NsPid(pid), PeerMTU: uint32(attrs.MTU)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("connecting the container to %s: %w", c.bridge.Attrs().Name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("connecting the container to %s: %w", c.bridge.Attrs().Name, err)
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("finding the container's network: %w", err)
	}
	defer func() { _ = ns.Close() }()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("entering the container's network: %w", err)
	}
	defer handle.Close()
	return c.configure(handle)
}

// configure gives the container's interface its address.
func (c *cable) configure(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("the container's loopback interface: %w", err)
	}
	link, err := h.LinkByName(inside)
	if err != nil {
		return fmt.Errorf("the container's interface: %w", err)
	}
	ip := c.address.Addr()
	address := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(c.address.Bits(), ip.BitLen())}}
	if ip.Is6() {
		address.Flags = unix.IFA_F_NODAD // the check is done
	}
	if err := h.AddrAdd(link, address); err != nil {
		return fmt.Errorf("adding %s to the container: %w", c.address, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("the container's interface: %w", err)
	}
	if !c.gateway.IsValid() {
		return nil
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: c.gateway.AsSlice()}); err != nil {
		return fmt.Errorf("the container's route by %s: %w", c.gateway, err)
	}
	return nil
}

// unplug removes the host's end, and with it the other. One that is not there is no error.
func unplug(name string) error {
	if name == "" {
		return nil
	}
	link, err := netlink.LinkByName(name)
	var gone netlink.LinkNotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing the container's interface %s: %w", name, err)
	}
	return nil
}

// plugged says that the host's end is there and its bridge still has it.
func plugged(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("the container's interface %s: %w", name, err)
	}
	if link.Attrs().MasterIndex == 0 {
		return fmt.Errorf("the container's interface %s is connected to no bridge any more", name)
	}
	return nil
}

// announcer opens a socket inside the container's network.
func (c *cable) announcer(pid int) (a *ipaddress.Announcer, err error) {
	err = inNetwork(pid, func() error {
		ifi, err := net.InterfaceByName(inside)
		if err != nil {
			return fmt.Errorf("the container's interface: %w", err)
		}
		a, err = ipaddress.NewAnnouncer(ifi, c.address.Addr())
		return err
	})
	return a, err
}

// dialer dials inside the network of a process.
func dialer(pid int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		// Only an address is sure to be dialled by this very thread.
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return nil, fmt.Errorf("the check of a Bridged container must name an address, not the name %q: %w", host, err)
		}
		err = inNetwork(pid, func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// inNetwork runs f on a thread in the process's network namespace. A thread that cannot come back ends.
func inNetwork(pid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			own, err := netns.Get()
			if err != nil {
				return fmt.Errorf("finding this host's network: %w", err)
			}
			defer func() { _ = own.Close() }()
			other, err := netns.GetFromPid(pid)
			if err != nil {
				return fmt.Errorf("finding the container's network: %w", err)
			}
			defer func() { _ = other.Close() }()
			if err := netns.Set(other); err != nil {
				return fmt.Errorf("entering the container's network: %w", err)
			}
			result := f()
			if netns.Set(own) == nil {
				runtime.UnlockOSThread()
			}
			return result
		}()
	}()
	return <-done
}
