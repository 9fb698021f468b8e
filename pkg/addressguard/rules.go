package addressguard

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName names our tables; nothing else on the host uses it.
const tableName = "quorate"

// Offsets in the headers that the rules look at.
const (
	ip4Source, ip4Destination = 12, 16
	ip6Source, ip6Destination = 8, 24
	// In an ARP message for Ethernet and IPv4.
	arpFormat, arpSender, arpTarget = 2, 14, 24
	// In ICMPv6 neighbour discovery.
	ndTarget        = 8
	ndSolicitation  = 135
	ndAdvertisement = 136
)

// Hooks of the ARP family (linux/netfilter_arp.h).
const arpIn, arpOut = 0, 1

// ruleset is our tables, as they are put into the kernel. There is one managed and one leased set for each kind of key and each
// table, since a set belongs to one table.
type ruleset struct {
	inet, arp *nftables.Table
	// managed and leased, by table and size of the address.
	inet4, inet6, arp4 pair
}

// pair is the two sets of one kind of address in one table.
type pair struct {
	managed, leased *nftables.Set
}

func newRuleset() *ruleset {
	r := &ruleset{
		inet: &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet},
		arp:  &nftables.Table{Name: tableName, Family: nftables.TableFamilyARP},
	}
	r.inet4 = newPair(r.inet, "4", nftables.TypeIPAddr, 1)
	r.inet6 = newPair(r.inet, "6", nftables.TypeIP6Addr, 3)
	r.arp4 = newPair(r.arp, "4", nftables.TypeIPAddr, 5)
	return r
}

func newPair(table *nftables.Table, suffix string, key nftables.SetDatatype, id uint32) pair {
	return pair{
		managed: &nftables.Set{Table: table, Name: "managed" + suffix, ID: id, KeyType: key, KeyByteOrder: binaryutil.BigEndian},
		leased: &nftables.Set{
			Table: table, Name: "leased" + suffix, ID: id + 1, KeyType: key, KeyByteOrder: binaryutil.BigEndian, HasTimeout: true,
		},
	}
}

// of returns the sets that an address belongs to.
func (r *ruleset) of(ip netip.Addr) []pair {
	if ip.Is4() {
		return []pair{r.inet4, r.arp4}
	}
	return []pair{r.inet6}
}

// put creates or renews everything in one transaction; sets keep their elements.
func (r *ruleset) put(c *nftables.Conn) error {
	c.AddTable(r.inet)
	c.AddTable(r.arp)
	for _, p := range []pair{r.inet4, r.inet6, r.arp4} {
		if err := c.AddSet(p.managed, nil); err != nil {
			return err
		}
		if err := c.AddSet(p.leased, nil); err != nil {
			return err
		}
	}
	// Before connection tracking and address translation on the way in, after them on the way out: what is on the wire counts.
	r.chain(c, r.inet, "in", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		r.inet4.drop(ipVersion(unix.NFPROTO_IPV4), network(ip4Destination, 4)),
		r.inet6.drop(ipVersion(unix.NFPROTO_IPV6), network(ip6Destination, 16)),
		r.inet6.drop(neighbour(ndSolicitation), transport(ndTarget, 16)))
	r.chain(c, r.inet, "out", nftables.ChainHookPostrouting, nftables.ChainPriorityConntrackHelper,
		r.inet4.drop(ipVersion(unix.NFPROTO_IPV4), network(ip4Source, 4)),
		r.inet6.drop(ipVersion(unix.NFPROTO_IPV6), network(ip6Source, 16)),
		r.inet6.drop(neighbour(ndAdvertisement), transport(ndTarget, 16)))
	r.chain(c, r.arp, "in", nftables.ChainHookRef(arpIn), nftables.ChainPriorityFilter, r.arp4.drop(arpIsIPv4(), network(arpTarget, 4)))
	r.chain(c, r.arp, "out", nftables.ChainHookRef(arpOut), nftables.ChainPriorityFilter, r.arp4.drop(arpIsIPv4(), network(arpSender, 4)))
	return c.Flush()
}

func (r *ruleset) remove(c *nftables.Conn, table *nftables.Table) error {
	c.DelTable(table)
	return c.Flush()
}

func (r *ruleset) chain(
	c *nftables.Conn, table *nftables.Table, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...[]expr.Any,
) {
	chain := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority})
	c.FlushChain(chain)
	for _, exprs := range rules {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
}

// drop is the rule "if the address is managed and not leased, drop".
func (p pair) drop(match, load []expr.Any) []expr.Any {
	rule := append(append([]expr.Any{}, match...), load...)
	return append(rule,
		&expr.Lookup{SourceRegister: 1, SetName: p.managed.Name, SetID: p.managed.ID},
		&expr.Lookup{SourceRegister: 1, SetName: p.leased.Name, SetID: p.leased.ID, Invert: true},
		&expr.Verdict{Kind: expr.VerdictDrop})
}

func network(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

func transport(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}}
}

func ipVersion(family byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
}

func neighbour(kind byte) []expr.Any {
	return append(ipVersion(unix.NFPROTO_IPV6),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}})
}

// arpIsIPv4 matches protocol 0x0800 with addresses of 6 and 4 bytes.
func arpIsIPv4() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: arpFormat, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0x08, 0x00, 6, 4}},
	}
}
