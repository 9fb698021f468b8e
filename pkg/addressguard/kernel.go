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
	// open says that the gates are in the kernel; they close by themselves, which the next renewal finds out.
	open bool
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
	found, err := k.read()
	if err != nil {
		return nil, err
	}
	k.open = found.open
	for ip := range found.managed {
		k.state[ip] = Silent
		if found.passes(ip) {
			k.state[ip] = Leased
		}
	}
	for ip := range found.silent {
		if !found.managed[ip] {
			if err := k.forget(ip); err != nil {
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

// Add implements Guard. What this process knows of the address is not relied on: another process may have removed it.
func (k *Kernel) Add(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	k.mu.Lock()
	defer k.mu.Unlock()
	start, before := k.now(), k.state[ip]
	leased := k.until-start >= minLease
	k.state[ip] = Waiting // so that opening the gates does not silence it
	opened, err := k.put(ip, leased)
	if err != nil {
		if k.state[ip] = before; before == Unmanaged {
			delete(k.state, ip)
		}
		return fmt.Errorf("putting %s under guard: %w", ip, err)
	}
	if !leased {
		return nil
	}
	k.state[ip] = Leased
	if !opened {
		return nil
	}
	return k.correct(start)
}

// put puts an address under guard, for which it makes the tables if they are not there, and opens the gates if they are to be and are not.
func (k *Kernel) put(ip netip.Addr, leased bool) (opened bool, err error) {
	transaction := func(c *nftables.Conn) error {
		opened = leased && !k.open
		for _, f := range k.rules.of(ip) {
			// Deleting what is not there would fail, so it is added first.
			err := errors.Join(c.SetAddElements(f.managed, elements(ip)),
				c.SetAddElements(f.silent, elements(ip)), c.SetDeleteElements(f.silent, elements(ip)))
			if err != nil {
				return err
			}
		}
		if opened {
			if err := k.openGates(c); err != nil {
				return err
			}
		}
		return c.Flush()
	}
	err = k.with(transaction)
	if errors.Is(err, unix.ENOENT) {
		k.open = false
		if err = k.with(k.rules.put); err == nil {
			err = k.with(transaction)
		}
	}
	k.open = k.open || opened && err == nil
	return opened, err
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
		err = k.forget(ip)
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
	k.open = false // opening them anew forgets who was silent
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
		// The transaction deletes the elements that it replaces, so it fails as a whole if the lease has ended: it is never revived, however
		// late a frozen process sends its renewal.
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
		for _, gate := range k.rules.gates() {
			c.FlushSet(gate)
		}
		return c.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("silencing the addresses: %w", err)
	}
	k.open = false
	return nil
}

// renew has the open gates close later, or opens them for all that is not silent.
func (k *Kernel) renew() error {
	if !k.open {
		return k.reopen()
	}
	return k.with(func(c *nftables.Conn) error {
		for _, gate := range k.rules.gates() {
			if err := c.SetDeleteElements(gate, gateElement(0)); err != nil {
				return err
			}
			if err := c.SetAddElements(gate, gateElement(k.until-k.now())); err != nil {
				return err
			}
		}
		return c.Flush()
	})
}

func (k *Kernel) reopen() error {
	for _, s := range k.state {
		if s == Silent {
			continue
		}
		err := k.with(func(c *nftables.Conn) error {
			if err := k.openGates(c); err != nil {
				return err
			}
			return c.Flush()
		})
		k.open = err == nil
		return err
	}
	return nil // there is nothing to let pass
}

// openGates adds to a transaction what opens the gates until the end of the lease, and keeps silent what is.
func (k *Kernel) openGates(c *nftables.Conn) error {
	silent := map[bool][]netip.Addr{} // by whether they are IPv4
	for ip, s := range k.state {
		if s == Silent {
			silent[ip.Is4()] = append(silent[ip.Is4()], ip)
		}
	}
	for _, f := range k.rules.families() {
		c.FlushSet(f.silent)
	}
	for _, ips := range silent {
		for part := range slices.Chunk(ips, chunk) {
			for _, f := range k.rules.of(part[0]) {
				if err := c.SetAddElements(f.silent, elements(part...)); err != nil {
					return err
				}
			}
		}
	}
	for _, gate := range k.rules.gates() {
		c.FlushSet(gate)
		if err := c.SetAddElements(gate, gateElement(k.until-k.now())); err != nil {
			return err
		}
	}
	return nil
}

func gateElement(timeout time.Duration) []nftables.SetElement {
	return []nftables.SetElement{{Key: gateKey, Timeout: timeout}}
}

func elements(ips ...netip.Addr) []nftables.SetElement {
	out := make([]nftables.SetElement, 0, len(ips))
	for _, ip := range ips {
		out = append(out, nftables.SetElement{Key: ip.AsSlice()})
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
