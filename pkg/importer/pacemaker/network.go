package pacemaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
)

// network is one of the Cluster's networks as it takes shape.
type network struct {
	name    string
	cidrs   []netip.Prefix
	role    v1alpha1.NetworkRole
	guessed bool // the prefix lengths
}

// Bounds of the API.
const (
	maxNetworks = 16
	maxCIDRs    = 8
)

// placeholders are addresses that RFC 5737 sets apart for documents: nobody has them, so nothing works by accident.
var placeholders = netip.MustParsePrefix("192.0.2.0/24")

// addresses finds the addresses of a node: given, or in corosync.conf, or placeholders.
func (im *importer) addresses(n *node, index int) []v1alpha1.NodeAddress {
	var list []v1alpha1.NodeAddress
	if given := im.opts.Addresses[n.name]; len(given) > 0 {
		for i, p := range given {
			list = append(list, im.onNetwork(fmt.Sprintf("net%d", i), p, false))
		}
		return list
	}
	rings := im.corosync.rings(n)
	for _, ring := range slices.Sorted(maps.Keys(rings)) {
		a, err := netip.ParseAddr(rings[ring])
		if err != nil || !a.IsGlobalUnicast() || a.Zone() != "" {
			im.report.add(Todo, n.at, "give the address with --address, or write it into the Node", "corosync.conf has the name %q for %s of node %s, not an address", rings[ring], ring, n.name)
			continue
		}
		length := 24
		if a.Is6() {
			length = 64
		}
		list = append(list, im.onNetwork(ring, netip.PrefixFrom(a, length), true))
	}
	if len(list) > 0 {
		return list
	}
	a := placeholders.Addr()
	for range index%250 + 1 {
		a = a.Next()
	}
	im.report.add(Todo, n.at, "import again with --corosync corosync.conf or --address "+n.name+"=ADDRESS/LENGTH, or write it into the Node",
		"the CIB has no address of node %s: the manifest has %s, which is nobody's", n.name, a)
	return []v1alpha1.NodeAddress{im.onNetwork("lan", netip.PrefixFrom(a, placeholders.Bits()), true)}
}

// onNetwork puts a node's address on the network of a name, which grows by the address's range.
func (im *importer) onNetwork(name string, p netip.Prefix, guessed bool) v1alpha1.NodeAddress {
	n := im.network(name)
	if n == nil {
		n = &network{name: name, role: v1alpha1.NetworkInternal}
		im.networks = append(im.networks, n)
	}
	n.guessed = n.guessed || guessed
	if !n.contains(p.Addr()) {
		n.add(p.Masked())
	}
	return v1alpha1.NodeAddress{Network: name, Address: p.Addr().String()}
}

func (im *importer) network(name string) *network {
	i := slices.IndexFunc(im.networks, func(n *network) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return im.networks[i]
}

// add adds a range. When there is no room for one more, the ranges become one that is wide enough for all.
func (n *network) add(p netip.Prefix) {
	n.cidrs = slices.DeleteFunc(n.cidrs, func(old netip.Prefix) bool { return p.Overlaps(old) && p.Bits() <= old.Bits() })
	if len(n.cidrs) < maxCIDRs {
		n.cidrs = append(n.cidrs, p)
		return
	}
	i := slices.IndexFunc(n.cidrs, func(old netip.Prefix) bool { return old.Addr().Is4() == p.Addr().Is4() })
	if i < 0 {
		i = 0
	}
	wide := n.cidrs[i]
	for wide.Bits() > 0 && !wide.Contains(p.Addr()) {
		wide = netip.PrefixFrom(wide.Addr(), wide.Bits()-1).Masked()
	}
	n.cidrs = append(slices.Delete(n.cidrs, i, i+1), wide)
}

func (n *network) contains(a netip.Addr) bool {
	return slices.ContainsFunc(n.cidrs, func(p netip.Prefix) bool { return p.Contains(a) })
}

// serve finds the network for an address of clients, or makes one. length is 0 when the CIB does not say it. It returns the network's
// name and the address with its prefix length.
func (im *importer) serve(e *element, a netip.Addr, length int) (string, netip.Prefix, bool) {
	for _, n := range im.networks {
		for i, p := range n.cidrs {
			whole := length > 0 && n.guessed && length <= a.BitLen() && netip.PrefixFrom(a, length).Overlaps(p) && length < a.BitLen()
			if !p.Contains(a) && !whole {
				continue
			}
			if whole { // what the address says of its network is better than a guess
				n.cidrs[i] = netip.PrefixFrom(a, length).Masked()
				n.cidrs, n.guessed = slices.Compact(n.cidrs), len(n.cidrs) > 1
			} else if length == 0 {
				length = p.Bits()
			}
			if n.role == v1alpha1.NetworkInternal {
				n.role = v1alpha1.NetworkInternalAndClient
			}
			return n.name, netip.PrefixFrom(a, length), true
		}
	}
	if len(im.networks) == maxNetworks {
		im.report.add(NotImported, e, "add it by hand to one of the Cluster's networks", "the address %s is on a network of its own, and a Cluster has %d at most", a, maxNetworks)
		return "", netip.Prefix{}, false
	}
	if length == 0 {
		length = map[bool]int{true: 24, false: 64}[a.Is4()]
		im.report.add(Todo, e, "set the prefix length of the network's range and of the address", "the CIB has no prefix length (cidr_netmask) for %s: the manifest has /%d", a, length)
	}
	n := &network{name: "clients", role: v1alpha1.NetworkClient, cidrs: []netip.Prefix{netip.PrefixFrom(a, length).Masked()}}
	for i := 2; im.network(n.name) != nil; i++ {
		n.name = fmt.Sprintf("clients-%d", i)
	}
	im.networks = append(im.networks, n)
	return n.name, netip.PrefixFrom(a, length), true
}

// reportGuesses names the networks whose ranges neither the CIB nor corosync.conf tells.
func (im *importer) reportGuesses() {
	for _, n := range im.networks {
		if n.guessed && !n.contains(placeholders.Addr()) {
			im.report.add(Todo, nil, "check cidrs of network "+n.name+" in the Cluster", "the prefix lengths of network %s are guessed: %s", n.name, prefixes(n.cidrs))
		}
	}
}
