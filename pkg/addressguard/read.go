package addressguard

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// with runs f on a connection of its own: one that has seen a failed transaction is not used again.
func (k *Kernel) with(f func(*nftables.Conn) error) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("connecting to nftables: %w", err)
	}
	return f(c)
}

// forget deletes an address from the leased sets, and from the managed ones too if all is set. It may be in none.
func (k *Kernel) forget(ip netip.Addr, all bool) error {
	var sets []*nftables.Set
	for _, p := range k.rules.of(ip) {
		if all {
			sets = append(sets, p.managed)
		}
		sets = append(sets, p.leased)
	}
	// Usually it is in all of them; a transaction that fails costs the kernel much more time.
	err := k.deleteFrom(ip, sets...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, set := range sets {
		if err := k.deleteFrom(ip, set); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (k *Kernel) deleteFrom(ip netip.Addr, sets ...*nftables.Set) error {
	err := k.with(func(c *nftables.Conn) error {
		for _, set := range sets {
			if err := c.SetDeleteElements(set, elements([]netip.Addr{ip}, 0)); err != nil {
				return err
			}
		}
		return c.Flush()
	})
	if err != nil {
		return fmt.Errorf("taking %s from the guard: %w", ip, err)
	}
	return nil
}

// sync finds out which leases have ended.
func (k *Kernel) sync() error {
	_, leased, err := k.read()
	if err != nil {
		return err
	}
	for ip, s := range k.state {
		if s == Leased && !leased[ip] {
			k.state[ip] = Silent
		}
	}
	return nil
}

// read lists what is managed and what is leased in the kernel. An IPv4 address is leased only if its ARP is, too.
func (k *Kernel) read() (managed, leased map[netip.Addr]bool, err error) {
	managed, leased = map[netip.Addr]bool{}, map[netip.Addr]bool{}
	arp := map[netip.Addr]bool{}
	for _, part := range []struct {
		set  *nftables.Set
		into map[netip.Addr]bool
	}{
		{k.rules.inet4.managed, managed}, {k.rules.arp4.managed, managed}, {k.rules.inet6.managed, managed},
		{k.rules.inet4.leased, leased}, {k.rules.inet6.leased, leased}, {k.rules.arp4.leased, arp},
	} {
		if err := k.readSet(part.set, part.into); err != nil {
			return nil, nil, err
		}
	}
	for ip := range leased {
		if ip.Is4() && !arp[ip] {
			delete(leased, ip)
		}
	}
	return managed, leased, nil
}

func (k *Kernel) readSet(set *nftables.Set, into map[netip.Addr]bool) error {
	return k.with(func(c *nftables.Conn) error {
		elems, err := c.GetSetElements(set)
		if err != nil {
			// The library does not wrap what the kernel says. A table that is not there has no elements.
			if found, e := k.exists(c, set.Table); e == nil && !found {
				return nil
			}
			return fmt.Errorf("reading the set %s of the address guard: %w", set.Name, err)
		}
		for _, e := range elems {
			if ip, ok := netip.AddrFromSlice(e.Key); ok {
				into[ip] = true
			}
		}
		return nil
	})
}

func (k *Kernel) exists(c *nftables.Conn, table *nftables.Table) (bool, error) {
	tables, err := c.ListTablesOfFamily(table.Family)
	if err != nil {
		return false, fmt.Errorf("listing nftables tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == table.Name {
			return true, nil
		}
	}
	return false, nil
}

// isLast reports whether nothing but ip is under guard, in this process's memory and in the kernel, where another process may have
// added something meanwhile.
func (k *Kernel) isLast(ip netip.Addr) (bool, error) {
	if _, found := k.state[ip]; len(k.state) > 1 || len(k.state) == 1 && !found {
		return false, nil
	}
	managed, _, err := k.read()
	if err != nil {
		return false, err
	}
	delete(managed, ip)
	return len(managed) == 0, nil
}

// removeTables leaves nothing in the kernel.
func (k *Kernel) removeTables() error {
	for _, table := range []*nftables.Table{k.rules.inet, k.rules.arp} {
		err := k.with(func(c *nftables.Conn) error { return k.rules.remove(c, table) })
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing the table %s of the address guard: %w", table.Name, err)
		}
	}
	return nil
}
