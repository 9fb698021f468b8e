package ipaddress

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	// firstTable is the first routing table of source routes, and tables how many there are: far from the numbers that people choose.
	firstTable, tables = 0x51550000, 0x10000
	// rulePriority is before the main table's 32766, and leaves room before it for rules of the host.
	rulePriority = 20000
)

// extras are what an address may have beside itself.
type extras struct {
	// table and gateway are those of its source routes; 0 for none.
	table   int
	gateway netip.Addr
	clear   bool
}

// extrasOf reads the spec and finds the gateway, and a table that nothing else uses.
func extrasOf(inst *resourcetype.Instance, at place, want netip.Prefix) (extras, error) {
	var s v1alpha1.ResourceSpec
	if err := json.Unmarshal(inst.Spec, &s); err != nil || s.IPAddress == nil {
		return extras{}, err
	}
	x := extras{clear: s.IPAddress.ConnectionTracking == v1alpha1.ConnectionTrackingClear}
	if s.IPAddress.SourceRoutes == nil {
		return x, nil
	}
	var named []string
	if g := s.IPAddress.SourceRoutes.Gateway; g != "" {
		named = []string{g}
	} else {
		named = inst.Networks[s.IPAddress.Network].Gateways
	}
	var err error
	if x.gateway, err = gatewayOf(named, at, want); err != nil {
		return extras{}, fmt.Errorf("source routes of %s: network %s: %w", want.Addr(), s.IPAddress.Network, err)
	}
	x.table, err = freeTable(want.Addr())
	return x, err
}

// gatewayOf is the first of those that are named, or of the host's own, that the address can go by.
func gatewayOf(named []string, at place, want netip.Prefix) (netip.Addr, error) {
	var all []netip.Addr
	for _, n := range named {
		ip, err := netip.ParseAddr(n)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("gateway: %w", err)
		}
		all = append(all, ip)
	}
	if len(named) == 0 {
		all = Gateways(at.link.Attrs().Index)
	}
	for _, ip := range all {
		if ip.Is4() == want.Addr().Is4() && ip != want.Addr() && (want.Masked().Contains(ip) || ip.IsLinkLocalUnicast()) {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no gateway is known in %s: set sourceRoutes.gateway, or gateways of the Cluster's network", want.Masked())
}

// freeTable is the same one for an address each time, unless a rule of somebody else leads to it.
func freeTable(ip netip.Addr) (int, error) {
	rules, err := netlink.RuleList(familyOf(ip))
	if err != nil {
		return 0, fmt.Errorf("listing the routing rules of this host: %w", err)
	}
	h := fnv.New32a()
	_, _ = h.Write(ip.AsSlice())
	for n := range tables {
		table := firstTable + (int(h.Sum32())+n)%tables
		if !slices.ContainsFunc(rules, func(r netlink.Rule) bool { return r.Table == table && !sentFrom(&r, ip) }) {
			return table, nil
		}
	}
	return 0, errors.New("no routing table is free")
}

func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func host(ip netip.Addr) *net.IPNet {
	return &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())}
}

func sentFrom(r *netlink.Rule, ip netip.Addr) bool {
	return r.Src != nil && r.Src.IP.Equal(ip.AsSlice()) && r.Src.String() == host(ip).String()
}

// prepare makes what the address needs before clients come.
func (x *extras) prepare(at place, want netip.Prefix) error {
	if x.clear {
		if err := forgetConnections(want.Addr()); err != nil {
			return err
		}
	}
	if x.table == 0 {
		return nil
	}
	ip, index, network := want.Addr(), at.link.Attrs().Index, want.Masked()
	local := &net.IPNet{IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), ip.BitLen())}
	anywhere := &net.IPNet{IP: make(net.IP, ip.BitLen()/8), Mask: net.CIDRMask(0, ip.BitLen())}
	for _, r := range []netlink.Route{
		{Family: familyOf(ip), Table: x.table, LinkIndex: index, Dst: local, Scope: netlink.SCOPE_LINK},
		{Family: familyOf(ip), Table: x.table, LinkIndex: index, Dst: anywhere, Gw: x.gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)},
	} {
		if err := netlink.RouteReplace(&r); err != nil {
			return fmt.Errorf("adding the route %s of %s: %w", r.Dst, ip, err)
		}
	}
	if err := netlink.RuleAdd(ruleOf(ip, x.table)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("adding the routing rule of %s: %w", ip, err)
	}
	return nil
}

func ruleOf(ip netip.Addr, table int) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Src, r.Table, r.Priority = familyOf(ip), host(ip), table, rulePriority
	return r
}

// tidy removes what prepare has made, from the record alone; an address with another spec by now is tidied by the old one.
func tidy(inst *resourcetype.Instance, r *record) error {
	ip := r.Address.Addr()
	if r.Table != 0 {
		if err := netlink.RuleDel(ruleOf(ip, r.Table)); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing the routing rule of %s: %w", ip, err)
		}
		routes, err := netlink.RouteListFiltered(familyOf(ip), &netlink.Route{Table: r.Table}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return fmt.Errorf("listing the source routes of %s: %w", ip, err)
		}
		for _, route := range routes {
			if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("removing the route %s of %s: %w", route.Dst, ip, err)
			}
		}
	}
	var s v1alpha1.ResourceSpec
	if json.Unmarshal(inst.Spec, &s) == nil && s.IPAddress != nil && s.IPAddress.ConnectionTracking == v1alpha1.ConnectionTrackingClear {
		if err := forgetConnections(ip); err != nil {
			inst.Log.Info("Entries of connections are left behind", "address", ip.String(), "reason", err.Error()) // it serves nobody any more
		}
	}
	return nil
}

// sourceRouted says whether the rule and the default route are there still.
func sourceRouted(r *record) error {
	ip := r.Address.Addr()
	rules, err := netlink.RuleList(familyOf(ip))
	if err != nil {
		return fmt.Errorf("listing the routing rules of this host: %w", err)
	}
	if !slices.ContainsFunc(rules, func(rule netlink.Rule) bool { return rule.Table == r.Table && sentFrom(&rule, ip) }) {
		return fmt.Errorf("the routing rule of %s is gone (from %s lookup %d)", ip, ip, r.Table)
	}
	routes, err := netlink.RouteListFiltered(familyOf(ip), &netlink.Route{Table: r.Table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("listing the source routes of %s: %w", ip, err)
	}
	if !slices.ContainsFunc(routes, func(route netlink.Route) bool { return len(route.Gw) > 0 }) {
		return fmt.Errorf("the default route of %s is gone from table %d", ip, r.Table)
	}
	return nil
}

// forgetConnections deletes the kernel's entries of connections from and to the address.
func forgetConnections(ip netip.Addr) error {
	family := netlink.InetFamily(familyOf(ip))
	var filters []netlink.CustomConntrackFilter
	for _, side := range []netlink.ConntrackFilterType{
		netlink.ConntrackOrigSrcIP, netlink.ConntrackOrigDstIP, netlink.ConntrackReplySrcIP, netlink.ConntrackReplyDstIP,
	} {
		f := &netlink.ConntrackFilter{}
		if err := f.AddIP(side, ip.AsSlice()); err != nil {
			return fmt.Errorf("connectionTracking: %w", err)
		}
		filters = append(filters, f)
	}
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filters...)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // an interrupted one has found what was there at its beginning
		return fmt.Errorf("connectionTracking: this kernel cannot clear entries of connections of %s (module nf_conntrack_netlink): load it, or leave out connectionTracking: %w", ip, err)
	}
	return nil
}
