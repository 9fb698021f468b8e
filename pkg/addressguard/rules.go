package addressguard

import (
	"net/netip"
	"slices"

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

// gateKey is the one key that a gate may have.
var gateKey = binaryutil.NativeEndian.PutUint32(1)

// ruleset is our tables, as they are put into the kernel. A managed address is silent unless its table's gate is open; an element of the gate
// opens it, and goes away by itself when the lease ends. So a renewal touches two elements, however many addresses there are. What has once been
// silent because a lease has ended stays so while others begin a new lease: it is in the silent set, too.
type ruleset struct {
	inet, arp *nftables.Table
	// managed and silent, by table and size of the address, since a set belongs to one table.
	inet4, inet6, arp4 family
	inetGate, arpGate  *nftables.Set
}

// family is the two sets of one kind of address in one table, and the table's gate.
type family struct {
	managed, silent, gate *nftables.Set
}

func newRuleset() *ruleset {
	r := &ruleset{
		inet: &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet},
		arp:  &nftables.Table{Name: tableName, Family: nftables.TableFamilyARP},
	}
	r.inetGate, r.arpGate = newGate(r.inet, 1), newGate(r.arp, 2)
	r.inet4 = newFamily(r.inet, r.inetGate, "4", nftables.TypeIPAddr, 3)
	r.inet6 = newFamily(r.inet, r.inetGate, "6", nftables.TypeIP6Addr, 5)
	r.arp4 = newFamily(r.arp, r.arpGate, "4", nftables.TypeIPAddr, 7)
	return r
}

func newGate(table *nftables.Table, id uint32) *nftables.Set {
	return &nftables.Set{Table: table, Name: "gate", ID: id, KeyType: nftables.TypeMark, HasTimeout: true}
}

func newFamily(table *nftables.Table, gate *nftables.Set, suffix string, key nftables.SetDatatype, id uint32) family {
	set := func(name string, id uint32) *nftables.Set {
		return &nftables.Set{Table: table, Name: name + suffix, ID: id, KeyType: key, KeyByteOrder: binaryutil.BigEndian}
	}
	return family{managed: set("managed", id), silent: set("silent", id+1), gate: gate}
}

func (r *ruleset) families() []family { return []family{r.inet4, r.inet6, r.arp4} }

func (r *ruleset) gates() []*nftables.Set { return []*nftables.Set{r.inetGate, r.arpGate} }

// of returns the sets that an address belongs to.
func (r *ruleset) of(ip netip.Addr) []family {
	if ip.Is4() {
		return []family{r.inet4, r.arp4}
	}
	return []family{r.inet6}
}

// put creates or renews everything in one transaction; sets keep their elements.
func (r *ruleset) put(c *nftables.Conn) error {
	c.AddTable(r.inet)
	c.AddTable(r.arp)
	sets := r.gates()
	for _, f := range r.families() {
		sets = append(sets, f.managed, f.silent)
	}
	for _, set := range sets {
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
	}
	// Before connection tracking and address translation on the way in, after them on the way out: what is on the wire counts.
	r.chain(c, r.inet, "in", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		r.inet4.drops(ipVersion(unix.NFPROTO_IPV4), network(ip4Destination, 4)),
		r.inet6.drops(ipVersion(unix.NFPROTO_IPV6), network(ip6Destination, 16)),
		r.inet6.drops(neighbour(ndSolicitation), transport(ndTarget, 16)))
	r.chain(c, r.inet, "out", nftables.ChainHookPostrouting, nftables.ChainPriorityConntrackHelper,
		r.inet4.drops(ipVersion(unix.NFPROTO_IPV4), network(ip4Source, 4)),
		r.inet6.drops(ipVersion(unix.NFPROTO_IPV6), network(ip6Source, 16)),
		r.inet6.drops(neighbour(ndAdvertisement), transport(ndTarget, 16)))
	r.chain(c, r.arp, "in", nftables.ChainHookRef(arpIn), nftables.ChainPriorityFilter, r.arp4.drops(arpIsIPv4(), network(arpTarget, 4)))
	r.chain(c, r.arp, "out", nftables.ChainHookRef(arpOut), nftables.ChainPriorityFilter, r.arp4.drops(arpIsIPv4(), network(arpSender, 4)))
	return c.Flush()
}

func (r *ruleset) remove(c *nftables.Conn, table *nftables.Table) error {
	c.DelTable(table)
	return c.Flush()
}

func (r *ruleset) chain(
	c *nftables.Conn, table *nftables.Table, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...[][]expr.Any,
) {
	chain := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority})
	c.FlushChain(chain)
	for _, exprs := range slices.Concat(rules...) {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
}

// drops are the rules "if the address is managed and the gate is closed, drop" and "if the address is silent, drop".
func (f family) drops(match, load []expr.Any) [][]expr.Any {
	in := func(set *nftables.Set, invert bool) expr.Any {
		return &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, Invert: invert}
	}
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	return [][]expr.Any{
		slices.Concat(match, load, []expr.Any{in(f.managed, false), &expr.Immediate{Register: 1, Data: gateKey}, in(f.gate, true), drop}),
		slices.Concat(match, load, []expr.Any{in(f.silent, false), drop}),
	}
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
