package addressguard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

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

// forget deletes an address from all sets. It may be in none.
func (k *Kernel) forget(ip netip.Addr) error {
	var managed, silent []*nftables.Set
	for _, f := range k.rules.of(ip) {
		managed, silent = append(managed, f.managed), append(silent, f.silent)
	}
	all := slices.Concat(managed, silent)
	// Usually it is in those of its state; a transaction that fails costs the kernel much more time.
	guess := managed
	if k.state[ip] == Silent && k.open {
		guess = all
	}
	err := k.deleteFrom(ip, guess...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, set := range all {
		if err := k.deleteFrom(ip, set); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (k *Kernel) deleteFrom(ip netip.Addr, sets ...*nftables.Set) error {
	err := k.with(func(c *nftables.Conn) error {
		for _, set := range sets {
			if err := c.SetDeleteElements(set, elements(ip)); err != nil {
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
	found, err := k.read()
	if err != nil {
		return err
	}
	k.open = found.open
	for ip, s := range k.state {
		if s == Leased && !found.passes(ip) {
			k.state[ip] = Silent
		}
	}
	return nil
}

// contents are what the kernel has.
type contents struct {
	managed, silent map[netip.Addr]bool
	// open says that both gates are.
	open bool
}

func (c *contents) passes(ip netip.Addr) bool { return c.open && c.managed[ip] && !c.silent[ip] }

// read lists what the kernel has. An IPv4 address is silent if its ARP is, too.
func (k *Kernel) read() (*contents, error) {
	found := &contents{managed: map[netip.Addr]bool{}, silent: map[netip.Addr]bool{}, open: true}
	for _, f := range k.rules.families() {
		for set, into := range map[*nftables.Set]map[netip.Addr]bool{f.managed: found.managed, f.silent: found.silent} {
			elems, err := k.readSet(set)
			if err != nil {
				return nil, err
			}
			for _, e := range elems {
				if ip, ok := netip.AddrFromSlice(e.Key); ok {
					into[ip] = true
				}
			}
		}
	}
	for _, gate := range k.rules.gates() {
		elems, err := k.readSet(gate)
		if err != nil {
			return nil, err
		}
		found.open = found.open && len(elems) > 0
	}
	return found, nil
}

// readSet returns the elements of a set. A table that is not there has none.
func (k *Kernel) readSet(set *nftables.Set) (elems []nftables.SetElement, err error) {
	err = k.with(func(c *nftables.Conn) error {
		if elems, err = c.GetSetElements(set); err != nil {
			// The library does not wrap what the kernel says.
			if found, e := k.exists(c, set.Table); e == nil && !found {
				return nil
			}
			return fmt.Errorf("reading the set %s of the address guard: %w", set.Name, err)
		}
		return nil
	})
	return elems, err
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
	found, err := k.read()
	if err != nil {
		return false, err
	}
	delete(found.managed, ip)
	return len(found.managed) == 0, nil
}

// removeTables leaves nothing in the kernel.
func (k *Kernel) removeTables() error {
	k.open = false
	for _, table := range []*nftables.Table{k.rules.inet, k.rules.arp} {
		err := k.with(func(c *nftables.Conn) error { return k.rules.remove(c, table) })
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing the table %s of the address guard: %w", table.Name, err)
		}
	}
	return nil
}
