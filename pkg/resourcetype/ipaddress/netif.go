package ipaddress

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// forever is an infinite lifetime of an address.
const forever = 0xffffffff

// place is where an address goes.
type place struct {
	link netlink.Link
	// covered says that the interface has another address in whose prefix this one lies.
	covered bool
}

// choose finds the interface on the address's network: one with an address in a prefix that holds the address, else one with any
// address of the network.
func choose(network string, cidrs []string, want netip.Prefix) (place, error) {
	prefixes, err := prefixesOf(network, cidrs, want)
	if err != nil {
		return place{}, err
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return place{}, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	best, second, covered := 0, 0, false
	for _, a := range addrs {
		own, ok := prefixOf(&a)
		if ok && own.Addr() == want.Addr() {
			return place{}, fmt.Errorf("address %s is on this host already, and not by this resource: remove it there", want.Addr())
		}
		// Another address of the cluster says nothing: it goes away.
		if !ok || own.IsSingleIP() {
			continue
		}
		switch onNetwork, holds := covers(prefixes, own.Addr(), want.Addr()); {
		case !onNetwork:
		case !holds:
			second = cmp.Or(second, a.LinkIndex)
		case best == 0 || !covered && own.Masked().Contains(want.Addr()):
			best, covered = a.LinkIndex, own.Masked().Contains(want.Addr())
		}
	}
	index := cmp.Or(best, second)
	if index == 0 {
		return place{}, fmt.Errorf("no interface of this host is on network %s (%s): give one an address there", network, strings.Join(cidrs, ", "))
	}
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return place{}, fmt.Errorf("looking at interface %d: %w", index, err)
	}
	return place{link: link, covered: covered}, nil
}

// prefixesOf reads the network's prefixes, one of which must hold the address. A network that is not known is taken to be the
// address's own.
func prefixesOf(network string, cidrs []string, want netip.Prefix) ([]netip.Prefix, error) {
	if len(cidrs) == 0 {
		return []netip.Prefix{want.Masked()}, nil
	}
	prefixes := make([]netip.Prefix, 0, len(cidrs))
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("network %s has a bad prefix: %w", network, err)
		}
		prefixes = append(prefixes, p.Masked())
	}
	if !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(want.Addr()) }) {
		return nil, fmt.Errorf("address %s is not on network %s, whose prefixes are %s", want, network, strings.Join(cidrs, ", "))
	}
	return prefixes, nil
}

// covers reports whether own is on the network, and whether in a prefix that holds the wanted address too.
func covers(prefixes []netip.Prefix, own, want netip.Addr) (onNetwork, holds bool) {
	for _, p := range prefixes {
		if p.Contains(own) {
			onNetwork, holds = true, holds || p.Contains(want)
		}
	}
	return onNetwork, holds
}

func prefixOf(a *netlink.Addr) (netip.Prefix, bool) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok || a.Mask == nil {
		return netip.Prefix{}, false
	}
	bits, _ := a.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), bits), true
}

// IsLocal reports whether the address is on any interface of this host. The kernel answers from its routes, however many addresses
// there are.
func IsLocal(ip netip.Addr) bool {
	routes, err := netlink.RouteGet(ip.AsSlice())
	return err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Type == unix.RTN_LOCAL })
}

// find returns where the address is on this host.
func find(ip netip.Addr) ([]netlink.Addr, error) {
	family := netlink.FAMILY_V6
	if ip.Is4() {
		family = netlink.FAMILY_V4
	}
	all, err := netlink.AddrList(nil, family)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	return slices.DeleteFunc(all, func(a netlink.Addr) bool {
		own, ok := prefixOf(&a)
		return !ok || own.Addr() != ip
	}), nil
}

// add puts the address on the interface. If the interface has an address of the same network, this one is added without its
// network: then the kernel does not tie the life of other addresses to it, and does not choose it for connections of the host.
func add(at place, want netip.Prefix) error {
	ip, bits := want.Addr(), want.Bits()
	if at.covered {
		bits = ip.BitLen()
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, ip.BitLen())}}
	if ip.Is6() {
		// The kernel's own duplicate check takes a second or more; ours is done.
		a.Flags = unix.IFA_F_NODAD
		a.ValidLft, a.PreferedLft = forever, forever
		if at.covered {
			a.PreferedLft = 0
		}
	}
	if err := netlink.AddrReplace(at.link, a); err != nil {
		return fmt.Errorf("adding %s to %s: %w", want, at.link.Attrs().Name, err)
	}
	return nil
}

// remove takes the address from every interface of this host.
func remove(ip netip.Addr) error {
	// Its route would not do to tell whether it is there: that goes when the interface is down, and comes back with it.
	found, err := find(ip)
	if err != nil {
		return err
	}
	for _, a := range found {
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			var gone netlink.LinkNotFoundError
			if errors.As(err, &gone) {
				continue
			}
			return fmt.Errorf("looking at interface %d: %w", a.LinkIndex, err)
		}
		a.Label, a.Broadcast = "", nil
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("removing %s from %s: %w", ip, link.Attrs().Name, err)
		}
	}
	return nil
}

// carrier tells whether the network's interface is up and has a wire to somebody; the error is a *resourcetype.NetworkLostError.
func carrier(network string, link netlink.Link) error {
	attrs := link.Attrs()
	switch {
	case attrs.Flags&net.FlagUp == 0:
		return &resourcetype.NetworkLostError{Network: network, Message: fmt.Sprintf("interface %s is down", attrs.Name)}
	case attrs.RawFlags&unix.IFF_RUNNING == 0, attrs.OperState == netlink.OperDown, attrs.OperState == netlink.OperLowerLayerDown:
		return &resourcetype.NetworkLostError{Network: network, Message: fmt.Sprintf("interface %s has no carrier", attrs.Name)}
	}
	return nil
}

// Gateways are the routers that the host's main table names for routes over an interface, default routes and others.
func Gateways(index int) []netip.Addr {
	var all []netip.Addr
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil // what is not known is not asked for
	}
	for _, r := range routes {
		if ip, ok := netip.AddrFromSlice(r.Gw); ok && r.LinkIndex == index && !slices.Contains(all, ip.Unmap()) {
			all = append(all, ip.Unmap())
		}
	}
	return all
}
