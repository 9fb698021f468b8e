package addressguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const (
	// minLease is the shortest lease worth setting; a timeout that the kernel rounds to nothing would never end.
	minLease = 20 * time.Millisecond
	// maxLate is how much later than computed a timeout may have been set before it is set again.
	maxLate = 20 * time.Millisecond
	// chunk is how many elements go into one message, whose attributes have 16-bit lengths.
	chunk = 400
)

// Kernel is the Guard of this network namespace. It is safe for concurrent use. Other processes may use one of their own at the
// same time (the guardian does, to remove addresses); only one renews.
type Kernel struct {
	now   func() time.Duration
	rules *ruleset

	mu    sync.Mutex
	until time.Duration
	state map[netip.Addr]State
}

// BootTime is CLOCK_BOOTTIME.
func BootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// The clock exists since Linux 2.6.39, and the address is valid.
		panic(fmt.Sprintf("reading CLOCK_BOOTTIME: %v", err))
	}
	return time.Duration(ts.Nano())
}

// New returns the guard of this network namespace. What an earlier process has put under guard stays so, without a gap; its
// leases go on. With nothing under guard it leaves nothing in the kernel, having tried whether the kernel can do it.
func New(ctx context.Context) (*Kernel, error) {
	k := &Kernel{now: BootTime, rules: newRuleset(), state: map[netip.Addr]State{}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.with(k.rules.put); err != nil {
		return nil, fmt.Errorf("putting the address guard into nftables: %w", err)
	}
	managed, leased, err := k.read()
	if err != nil {
		return nil, err
	}
	for ip := range managed {
		k.state[ip] = Silent
		if leased[ip] {
			k.state[ip] = Leased
		}
	}
	for ip := range leased {
		if !managed[ip] {
			if err := k.forget(ip, false); err != nil {
				return nil, err
			}
		}
	}
	if len(k.state) > 0 {
		return k, nil
	}
	return k, k.removeTables()
}

// State implements Guard. A lease that has ended since the last Renew is seen at the next one.
func (k *Kernel) State(ip netip.Addr) State {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state[ip.Unmap()]
	if s == Leased && k.until > 0 && k.now() > k.until {
		return Silent
	}
	return s
}

// Add implements Guard.
func (k *Kernel) Add(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state[ip] == Leased && k.until > k.now() {
		return nil
	}
	if k.state[ip] == Leased {
		// An element that is left of an earlier lease would make the new one a no-op. The other states have none.
		if err := k.forget(ip, false); err != nil {
			return err
		}
	}
	put := func(c *nftables.Conn) error {
		left := k.until - k.now()
		for _, p := range k.rules.of(ip) {
			if err := c.SetAddElements(p.managed, elements([]netip.Addr{ip}, 0)); err != nil {
				return err
			}
			if left < minLease {
				continue
			}
			if err := c.SetAddElements(p.leased, elements([]netip.Addr{ip}, left)); err != nil {
				return err
			}
		}
		return c.Flush()
	}
	start := k.now()
	err := k.with(put)
	if errors.Is(err, unix.ENOENT) {
		if err = k.with(k.rules.put); err == nil {
			err = k.with(put)
		}
	}
	if err != nil {
		return fmt.Errorf("putting %s under guard: %w", ip, err)
	}
	k.state[ip] = Waiting
	if k.until-start < minLease {
		return nil
	}
	k.state[ip] = Leased
	return k.correct(start)
}

// Remove implements Guard.
func (k *Kernel) Remove(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	k.mu.Lock()
	defer k.mu.Unlock()
	last, err := k.isLast(ip)
	if err != nil {
		return err
	}
	if last {
		err = k.removeTables()
	} else {
		err = k.forget(ip, true)
	}
	if err != nil {
		return err
	}
	delete(k.state, ip)
	return nil
}

// Renew implements Guard.
func (k *Kernel) Renew(until time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.renewAll(until)
}

// Resume implements Guard.
func (k *Kernel) Resume(until time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.sync(); err != nil {
		return err
	}
	for ip, s := range k.state {
		if s == Silent {
			k.state[ip] = Waiting
		}
	}
	return k.renewAll(until)
}

func (k *Kernel) renewAll(until time.Duration) error {
	k.until = until
	start := k.now()
	if len(k.state) == 0 {
		return nil
	}
	if until-start < minLease {
		return errors.Join(fmt.Errorf("%w: the renewal came too late", ErrSilent), k.silence())
	}
	err := k.renew()
	if errors.Is(err, unix.ENOENT) {
		// The transaction deletes the leases that it replaces, so it fails as a whole if one has ended: a lease is never revived,
		// however late a frozen process sends its renewal.
		if err = k.sync(); err == nil {
			err = k.renew()
		}
	}
	if err != nil {
		return fmt.Errorf("renewing the address leases: %w", err)
	}
	for ip, s := range k.state {
		if s == Waiting {
			k.state[ip] = Leased
		}
	}
	if err := k.correct(start); err != nil {
		return err
	}
	return k.silentError()
}

// correct makes good a renewal that took long, because its process stood still between reading the clock and the kernel's answer:
// the timeouts then run from a later moment than was meant.
func (k *Kernel) correct(start time.Duration) error {
	for range 3 {
		end := k.now()
		if end >= k.until {
			return errors.Join(fmt.Errorf("%w: the renewal came too late", ErrSilent), k.silence())
		}
		if end-start <= maxLate {
			return nil
		}
		start = end
		if err := k.renew(); err != nil {
			return errors.Join(fmt.Errorf("renewing the address leases: %w", err), k.silence())
		}
	}
	return nil
}

// Silence implements Guard.
func (k *Kernel) Silence() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.silence()
}

// Cleanup removes everything of the guard from the kernel, whatever is under guard.
func (k *Kernel) Cleanup() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.state)
	return k.removeTables()
}

func (k *Kernel) silence() error {
	k.until = 0
	for ip := range k.state {
		k.state[ip] = Silent
	}
	if len(k.state) == 0 {
		return nil
	}
	err := k.with(func(c *nftables.Conn) error {
		for _, p := range []pair{k.rules.inet4, k.rules.inet6, k.rules.arp4} {
			c.FlushSet(p.leased)
		}
		return c.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("silencing the addresses: %w", err)
	}
	return nil
}

// renew replaces the leases of all Leased addresses, and gives one to those that wait.
func (k *Kernel) renew() error {
	var old, all []netip.Addr
	for ip, s := range k.state {
		if s == Leased {
			old = append(old, ip)
		}
		if s != Silent {
			all = append(all, ip)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return k.with(func(c *nftables.Conn) error {
		if err := k.each(old, 0, c.SetDeleteElements); err != nil {
			return err
		}
		if err := k.each(all, k.until-k.now(), c.SetAddElements); err != nil {
			return err
		}
		return c.Flush()
	})
}

// each calls f for every leased set with its share of the addresses.
func (k *Kernel) each(ips []netip.Addr, timeout time.Duration, f func(*nftables.Set, []nftables.SetElement) error) error {
	for _, v4 := range []bool{true, false} {
		var family []netip.Addr
		for _, ip := range ips {
			if ip.Is4() == v4 {
				family = append(family, ip)
			}
		}
		for part := range slices.Chunk(family, chunk) {
			for _, p := range k.rules.of(part[0]) {
				if err := f(p.leased, elements(part, timeout)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func elements(ips []netip.Addr, timeout time.Duration) []nftables.SetElement {
	out := make([]nftables.SetElement, 0, len(ips))
	for _, ip := range ips {
		out = append(out, nftables.SetElement{Key: ip.AsSlice(), Timeout: timeout})
	}
	return out
}

func (k *Kernel) silentError() error {
	var silent []string
	for ip, s := range k.state {
		if s == Silent {
			silent = append(silent, ip.String())
		}
	}
	if len(silent) == 0 {
		return nil
	}
	slices.Sort(silent)
	return fmt.Errorf("%w: %v", ErrSilent, silent)
}
