package ipaddress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// InUse asks on the interface, in 25 ms, whether another machine has the address; errors.As finds *ConflictError. It is for addresses
// that others than the kernel of this host will serve.
func InUse(ctx context.Context, ifi *net.Interface, ip netip.Addr) error {
	if !hasWire(ifi) {
		return nil
	}
	w, err := openWire(ifi, ip)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.check(ctx, DefaultTiming())
}

// Announcer tells the machines on a wire who has an address now.
type Announcer struct {
	wire   *wire
	timing Timing
}

// NewAnnouncer opens a socket on the interface, in the network namespace of the calling thread; later calls may come from any.
func NewAnnouncer(ifi *net.Interface, ip netip.Addr) (*Announcer, error) {
	w, err := openWire(ifi, ip)
	if err != nil {
		return nil, err
	}
	return &Announcer{wire: w, timing: DefaultTiming()}, nil
}

// Close gives the socket back.
func (a *Announcer) Close() { a.wire.Close() }

// Announce tells it once.
func (a *Announcer) Announce() error { return a.wire.announce() }

// Repeat tells it a few times more, for those that missed it, and returns after 10 s, when ctx ends, or when may says no.
func (a *Announcer) Repeat(ctx context.Context, may func() error) {
	a.repeat(ctx, may, func(error) bool { return false })
}

// repeat is Repeat that asks failed whether to go on after an announcement that could not be sent.
func (a *Announcer) repeat(ctx context.Context, may func() error, failed func(error) bool) {
	start := time.Now()
	for _, after := range a.timing.Announce {
		timer := time.NewTimer(time.Until(start.Add(after)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if may() != nil || ctx.Err() != nil {
			return
		}
		if err := a.Announce(); err != nil && !failed(err) {
			return
		}
	}
}
