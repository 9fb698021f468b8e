package addressguard

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// State is what the guard does with an address.
type State string

// States of an address.
const (
	// Unmanaged addresses pass.
	Unmanaged State = ""
	// Waiting addresses are silent until the next Renew.
	Waiting State = "Waiting"
	// Leased addresses pass until the lease ends.
	Leased State = "Leased"
	// Silent addresses have lost their lease, for good.
	Silent State = "Silent"
)

// ErrSilent says that some addresses have lost their lease before it was renewed. They stay silent until they are added again.
var ErrSilent = errors.New("the lease of addresses has ended")

// Guard silences addresses when the lease ends. Times are CLOCK_BOOTTIME, as a duration since boot.
type Guard interface {
	// Add puts an address under guard, before it is added to an interface. It passes at once if the lease that Renew has set last
	// still runs, else from the next Renew on. Adding a Silent address gives it a new lease.
	Add(ip netip.Addr) error
	// Remove takes the guard away, after the address has left its interface. An unknown address is no error.
	Remove(ip netip.Addr) error
	// Renew lets all addresses pass until the given moment, but those whose lease has ended: then it renews the others and
	// returns ErrSilent.
	Renew(until time.Duration) error
	// Resume is Renew for a lease that begins anew before anything was stopped, as when a challenge for the witness is won (rule R8):
	// it lets the Silent addresses pass again, too.
	Resume(until time.Duration) error
	// Silence ends the lease of every address now.
	Silence() error
	State(ip netip.Addr) State
}

// Fake is a Guard in memory, for tests.
type Fake struct {
	// Now is the clock; nil stands still at 0.
	Now func() time.Duration

	mu    sync.Mutex
	until time.Duration
	// leases by address; a zero lease waits, a negative one is silent.
	leases map[netip.Addr]time.Duration
}

// NewFake returns a Fake that goes by the clock.
func NewFake(now func() time.Duration) *Fake {
	return &Fake{Now: now, leases: map[netip.Addr]time.Duration{}}
}

func (f *Fake) now() time.Duration {
	if f.Now == nil {
		return 0
	}
	return f.Now()
}

// Add implements Guard.
func (f *Fake) Add(ip netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lease, found := f.leases[ip]; found && lease > f.now() {
		return nil
	}
	f.leases[ip] = 0
	if f.until > f.now() {
		f.leases[ip] = f.until
	}
	return nil
}

// Remove implements Guard.
func (f *Fake) Remove(ip netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.leases, ip)
	return nil
}

// Renew implements Guard.
func (f *Fake) Renew(until time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
	var err error
	for ip, lease := range f.leases {
		if lease != 0 && lease <= f.now() {
			f.leases[ip] = -1
			err = ErrSilent
			continue
		}
		f.leases[ip] = until
	}
	return err
}

// Resume implements Guard.
func (f *Fake) Resume(until time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
	for ip := range f.leases {
		f.leases[ip] = until
	}
	return nil
}

// Silence implements Guard.
func (f *Fake) Silence() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = 0
	for ip := range f.leases {
		f.leases[ip] = -1
	}
	return nil
}

// State implements Guard.
func (f *Fake) State(ip netip.Addr) State {
	f.mu.Lock()
	defer f.mu.Unlock()
	lease, found := f.leases[ip]
	switch {
	case !found:
		return Unmanaged
	case lease == 0:
		return Waiting
	case lease <= f.now():
		return Silent
	}
	return Leased
}
