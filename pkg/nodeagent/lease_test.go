package nodeagent

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/addressguard"
)

// TestAddressesGoOn: addresses are silent while the node is suspended, and answer again when it wins the challenge before anything was
// stopped (R8).
func TestAddressesGoOn(t *testing.T) {
	b := newBench(t)
	l, ip := b.keeper.lease, netip.MustParseAddr("10.0.0.1")
	guard := addressguard.NewFake(func() time.Duration { return time.Second })
	if err := guard.Add(ip); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.addresses(ctx, guard, func() time.Duration { return 0 })
	}()
	defer func() { cancel(); <-done }()
	s := b.keeper.core.standing().Status
	until := func(want addressguard.State) {
		t.Helper()
		for range 2000 {
			if guard.State(ip) == want {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("the address is %s, not %s", guard.State(ip), want)
	}
	s.Keeping, s.KeepingUntil = true, 9*time.Second
	l.renew(&s)
	until(addressguard.Leased)
	s.Keeping, s.KeepingUntil, s.Suspended, s.StopAt = false, 0, true, 10*time.Second
	l.renew(&s)
	until(addressguard.Silent)
	s.Keeping, s.KeepingUntil, s.Suspended, s.StopAt = true, 11*time.Second, false, 0
	l.renew(&s)
	until(addressguard.Leased)
}
