package watchdog

import (
	"errors"
	"sync"
	"time"
)

// Fake is a Device in memory, for tests: it counts, and says when it would have reset the host.
type Fake struct {
	// Now is its clock.
	Now func() time.Duration

	mu      sync.Mutex
	timeout time.Duration
	fed     time.Duration
	armed   bool
	fired   time.Duration
}

// NewFake returns a device that is not armed.
func NewFake(now func() time.Duration) *Fake { return &Fake{Now: now} }

// Open arms it, as [Open] does with a real one.
func (f *Fake) Open(_ string, timeout time.Duration) (Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	f.timeout, f.fed, f.armed = timeout, f.Now(), true
	return f, nil
}

// look finds out whether it has fired since; the caller holds mu.
func (f *Fake) look() {
	if f.armed && f.fired == 0 && f.Now() >= f.fed+f.timeout {
		f.fired = f.fed + f.timeout
	}
}

// Fired is when it would have reset the host; 0 when it would not have.
func (f *Fake) Fired() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.fired
}

// Armed says whether it counts.
func (f *Fake) Armed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.armed
}

// LastFed is when it was fed last.
func (f *Fake) LastFed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fed
}

// Identity implements Device.
func (f *Fake) Identity() string { return "fake" }

// Timeout implements Device.
func (f *Fake) Timeout() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.timeout
}

// SetTimeout implements Device.
func (f *Fake) SetTimeout(timeout time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timeout = timeout
	return nil
}

// Feed implements Device.
func (f *Fake) Feed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if !f.armed {
		return errors.New("the device is closed")
	}
	f.fed = f.Now()
	return nil
}

// Disarm implements Device.
func (f *Fake) Disarm() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	f.armed = false
	return nil
}

// Leave implements Device.
func (f *Fake) Leave() error { return nil }
