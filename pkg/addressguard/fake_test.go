package addressguard_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/addressguard"
)

// TestFake holds the fake to what the kernel does.
func TestFake(t *testing.T) {
	now := time.Second
	f := addressguard.NewFake(func() time.Duration { return now })
	ip := netip.MustParseAddr("10.0.0.1")
	want := func(state addressguard.State) {
		t.Helper()
		if got := f.State(ip); got != state {
			t.Errorf("state %q, want %q", got, state)
		}
	}
	want(addressguard.Unmanaged)
	must(t, f.Add(ip))
	want(addressguard.Waiting)
	must(t, f.Renew(2*time.Second))
	want(addressguard.Leased)
	now = 2 * time.Second
	want(addressguard.Silent)
	if err := f.Renew(3 * time.Second); !errors.Is(err, addressguard.ErrSilent) {
		t.Errorf("Renew() = %v, want ErrSilent", err)
	}
	want(addressguard.Silent)
	must(t, f.Add(ip))
	want(addressguard.Leased)
	must(t, f.Silence())
	want(addressguard.Silent)
	must(t, f.Resume(3*time.Second))
	want(addressguard.Leased)
	must(t, f.Remove(ip))
	want(addressguard.Unmanaged)
}
