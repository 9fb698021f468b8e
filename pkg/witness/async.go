package witness

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Guard bounds how many calls to witnesses may hang in the kernel at a time, over all witnesses that a host has had. Each hanging
// call keeps a thread until the kernel lets it go.
type Guard struct {
	slots chan struct{}
}

// NewGuard returns a Guard for at most limit hanging calls.
func NewGuard(limit int) *Guard { return &Guard{slots: make(chan struct{}, limit)} }

func (g *Guard) enter() bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g *Guard) leave() { <-g.slots }

// Async calls a Device without ever blocking the caller. One call is outstanding at a time, and stays so until it has really
// returned, even if its ctx ended long before: so a late effect of one call never falls into the time of the next.
type Async struct {
	guard *Guard
	name  string
	open  func(ctx context.Context) (Device, error)

	mu     sync.Mutex
	busy   bool
	closed bool

	// device belongs to the outstanding call, or to whoever holds mu while there is none.
	device Device
}

// NewAsync returns an Async of the device that open opens: within the first call, since opening may hang as well, and again in the
// call after one that ended in ErrAbsent, or failed to open.
func NewAsync(guard *Guard, name string, open func(ctx context.Context) (Device, error)) *Async {
	return &Async{guard: guard, name: name, open: open}
}

// Name is for messages.
func (a *Async) Name() string { return a.name }

// Do starts a call and returns at once. done is called exactly once, in another goroutine, when the call has returned or ctx has
// ended, whichever comes first; in the latter case with ErrUnreachable, and what the call finds out later is dropped. While an
// earlier call has not returned, done gets ErrHung.
func (a *Async) Do(ctx context.Context, call func(context.Context, Device) error, done func(error)) {
	if err := a.begin(); err != nil {
		go done(err)
		return
	}
	result := make(chan error, 1)
	go func() {
		err := a.run(ctx, call)
		a.end()
		result <- err
	}()
	go func() {
		select {
		case err := <-result:
			done(err)
		case <-ctx.Done():
			select {
			case err := <-result: // both at once: the answer counts
				done(err)
			default:
				done(fmt.Errorf("%w: %s: %w", ErrUnreachable, a.name, context.Cause(ctx)))
			}
		}
	}()
}

// Hung reports whether a call is outstanding.
func (a *Async) Hung() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busy
}

// Close closes the device once the outstanding call, if any, has returned. It does not wait for that.
func (a *Async) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	if !a.busy {
		a.discard()
	}
}

func (a *Async) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return fmt.Errorf("%w: %s is closed", ErrUnreachable, a.name)
	case a.busy:
		return fmt.Errorf("%w: %s", ErrHung, a.name)
	case !a.guard.enter():
		return fmt.Errorf("%w: %s: calls to earlier witnesses hang as well", ErrHung, a.name)
	}
	a.busy = true
	return nil
}

func (a *Async) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = false
	a.guard.leave()
	if a.closed {
		a.discard()
	}
}

func (a *Async) run(ctx context.Context, call func(context.Context, Device) error) error {
	if a.device == nil {
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		a.device = d
	}
	err := call(ctx, a.device)
	if errors.Is(err, ErrAbsent) {
		return errors.Join(err, a.forget())
	}
	return err
}

func (a *Async) forget() error {
	d := a.device
	a.device = nil
	return d.Close()
}

// discard closes the device in a goroutine of its own, since closing may hang as well. The caller holds mu.
func (a *Async) discard() {
	d := a.device
	a.device = nil
	if d != nil {
		go func() { _ = d.Close() }()
	}
}
