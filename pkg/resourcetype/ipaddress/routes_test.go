package ipaddress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/addressguard/netpair"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func with(name, address, more string) *resourcetype.Instance {
	inst := instance(name, address)
	inst.Spec = json.RawMessage(fmt.Sprintf(`{"type":"IPAddress","ipAddress":{"network":"lan","address":%q,%s}}`, address, more))
	return inst
}

// wayOut is the gateway by which a packet from the address to far away leaves; nil when there is no way.
func wayOut(t *testing.T, from, to string) net.IP {
	t.Helper()
	routes, err := netlink.RouteGetWithOptions(net.ParseIP(to), &netlink.RouteGetOptions{SrcAddr: net.ParseIP(from)})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || err == nil && len(routes) == 0 {
		return nil
	}
	must(t, err)
	return routes[0].Gw
}

// leftOf counts what is left of source routes on this host.
func leftOf(t *testing.T, family int) int {
	t.Helper()
	rules, err := netlink.RuleList(family)
	must(t, err)
	count := 0
	for _, r := range rules {
		if r.Table >= firstTable && r.Table < firstTable+tables {
			count++
		}
	}
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	must(t, err)
	return count + len(slices.DeleteFunc(routes, func(r netlink.Route) bool { return r.Table < firstTable || r.Table >= firstTable+tables }))
}

// TestSourceRoutes: what is sent from the address leaves by its own gateway, nothing else does, and nothing of it is left afterwards.
func TestSourceRoutes(t *testing.T) {
	for name, tc := range map[string]struct{ address, second, gateway, own, far string }{
		"IPv4": {"10.9.0.50/24", "10.9.0.51/24", "10.9.0.2", "10.9.0.1", "192.0.2.9"},
		"IPv6": {"fd09::50/64", "fd09::51/64", "fd09::2", "fd09::1", "2001:db8::9"},
	} {
		t.Run(name, func(t *testing.T) {
			netpair.New(t)
			ip := netip.MustParsePrefix(tc.address).Addr()
			guard := leasedGuard()
			typ, inst := New(guard), with("a", tc.address, `"sourceRoutes":{"gateway":"`+tc.gateway+`"}`)
			second := with("b", tc.second, `"sourceRoutes":{}`)
			second.Networks["lan"] = resourcetype.NetworkInfo{CIDRs: second.Networks["lan"].CIDRs, Gateways: []string{"10.9.0.2", "fd09::2"}}
			must(t, typ.Online(t.Context(), inst))
			must(t, typ.Online(t.Context(), second))
			if n := leftOf(t, familyOf(ip)); n != 6 {
				t.Errorf("%d rules and routes of two addresses, want a rule and two routes of each", n)
			}
			for _, from := range []string{ip.String(), netip.MustParsePrefix(tc.second).Addr().String()} {
				if gw := wayOut(t, from, tc.far); !gw.Equal(net.ParseIP(tc.gateway)) {
					t.Errorf("what %s sends goes to %v, want %s", from, gw, tc.gateway)
				}
			}
			if gw := wayOut(t, tc.own, tc.far); gw != nil {
				t.Errorf("what the host sends goes to %v", gw)
			}
			must(t, New(guard).Adopt(t.Context(), inst))
			must(t, typ.IsAlive(t.Context(), inst))
			must(t, typ.Offline(t.Context(), second))
			must(t, typ.IsAlive(t.Context(), inst))
			var r record
			_, err := inst.LoadData(&r)
			must(t, err)
			must(t, netlink.RuleDel(ruleOf(ip, r.Table)))
			if err := typ.IsAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "routing rule") {
				t.Errorf("IsAlive() without its rule = %v", err)
			}
			// As after the agent's death: from the record alone, and twice.
			must(t, typ.Online(t.Context(), inst))
			must(t, New(guard).Terminate(t.Context(), inst))
			must(t, New(guard).Terminate(t.Context(), inst))
			if n := leftOf(t, familyOf(ip)); n != 0 {
				t.Errorf("%d rules and routes are left", n)
			}
		})
	}
}

// TestSourceRoutesRefused: without a gateway that the address can go by nothing is begun; one that is taken leaves nothing.
func TestSourceRoutesRefused(t *testing.T) {
	p := netpair.New(t)
	p.AddPeerAddress(t, "10.9.0.60/24")
	for name, tc := range map[string]struct{ address, more, want string }{
		"no gateway is known":         {"10.9.0.50/24", `"sourceRoutes":{}`, "no gateway is known in 10.9.0.0/24"},
		"a gateway of another family": {"10.9.0.50/24", `"sourceRoutes":{"gateway":"fd09::2"}`, "no gateway is known"},
		"a gateway elsewhere":         {"10.9.0.50/24", `"sourceRoutes":{"gateway":"10.8.0.1"}`, "no gateway is known"},
		"the address itself":          {"10.9.0.50/24", `"sourceRoutes":{"gateway":"10.9.0.50"}`, "no gateway is known"},
		"an address in use":           {"10.9.0.60/24", `"sourceRoutes":{"gateway":"10.9.0.2"}`, "10.9.0.60"},
	} {
		t.Run(name, func(t *testing.T) {
			err := New(leasedGuard()).Online(t.Context(), with("a", tc.address, tc.more))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			if n := leftOf(t, netlink.FAMILY_V4); n != 0 {
				t.Errorf("%d rules and routes are left", n)
			}
		})
	}
}

// TestGateways: the routers of the host's own routes over the interface.
func TestGateways(t *testing.T) {
	p := netpair.New(t)
	index := p.Link.Attrs().Index
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: net.ParseIP("10.9.0.2"), Dst: &net.IPNet{IP: net.IP{192, 0, 2, 0}, Mask: net.CIDRMask(24, 32)}}))
	if got := Gateways(index); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.9.0.2")}) {
		t.Errorf("Gateways() = %v", got)
	}
	if got := Gateways(index + 1000); len(got) != 0 {
		t.Errorf("Gateways() of another interface = %v", got)
	}
	inst := with("a", "10.9.0.50/24", `"sourceRoutes":{}`)
	typ := New(leasedGuard())
	must(t, typ.Online(t.Context(), inst))
	if gw := wayOut(t, "10.9.0.50", "198.51.100.1"); !gw.Equal(net.ParseIP("10.9.0.2")) {
		t.Errorf("it goes to %v", gw)
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestConnectionTracking: entries of the address are gone when it comes and when it goes, and those of others stay.
func TestConnectionTracking(t *testing.T) {
	netpair.New(t)
	flows := func() []string {
		list, err := netlink.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4)
		must(t, err)
		var all []string
		for _, f := range list {
			all = append(all, f.Forward.SrcIP.String()+">"+f.Forward.DstIP.String())
		}
		slices.Sort(all)
		return all
	}
	track := func(from, to string) {
		must(t, netlink.ConntrackCreate(netlink.ConntrackTable, netlink.FAMILY_V4, &netlink.ConntrackFlow{
			FamilyType: unix.AF_INET, TimeOut: 600,
			Forward: netlink.IPTuple{SrcIP: net.ParseIP(from).To4(), DstIP: net.ParseIP(to).To4(), SrcPort: 4000, DstPort: 80, Protocol: unix.IPPROTO_UDP},
			Reverse: netlink.IPTuple{SrcIP: net.ParseIP(to).To4(), DstIP: net.ParseIP(from).To4(), SrcPort: 80, DstPort: 4000, Protocol: unix.IPPROTO_UDP},
		}))
	}
	if _, err := netlink.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4); err != nil {
		t.Skipf("this kernel lists no entries of connections: %v", err)
	}
	three := func() {
		track("10.9.0.2", "10.9.0.50")
		track("10.9.0.50", "10.9.0.2")
		track("10.9.0.2", "10.9.0.1")
	}
	three()
	typ, inst := New(leasedGuard()), with("a", "10.9.0.50/24", `"connectionTracking":"Clear"`)
	must(t, typ.Online(t.Context(), inst))
	if got := flows(); !slices.Equal(got, []string{"10.9.0.2>10.9.0.1"}) {
		t.Errorf("after Online: %v", got)
	}
	track("10.9.0.2", "10.9.0.50")
	must(t, typ.Offline(t.Context(), inst))
	if got := flows(); !slices.Equal(got, []string{"10.9.0.2>10.9.0.1"}) {
		t.Errorf("after Offline: %v", got)
	}
}
