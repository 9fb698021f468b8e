package addressguard_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/addressguard/netpair"
)

var pairs = map[string][2]string{"IPv4": {"10.9.0.50/24", "10.9.0.51/24"}, "IPv6": {"fd09::50/64", "fd09::51/64"}}

func addr(prefix string) netip.Addr { return netip.MustParsePrefix(prefix).Addr() }

// TestOthersStaySilent: when one of two addresses whose lease has ended begins a new one, the other stays silent, through renewals too, until a
// new lease begins for all.
func TestOthersStaySilent(t *testing.T) {
	for name, prefixes := range pairs {
		t.Run(name, func(t *testing.T) {
			p := netpair.New(t)
			k := newGuard(t)
			back, lost := addr(prefixes[0]), addr(prefixes[1])
			must(t, k.Renew(addressguard.BootTime()+200*time.Millisecond))
			must(t, k.Add(back))
			must(t, k.Add(lost))
			one, other := newClient(t, p, prefixes[0]), newClient(t, p, prefixes[1])
			if !one.ask(100*time.Millisecond) || !other.ask(100*time.Millisecond) {
				t.Fatal("they do not answer under their lease")
			}
			time.Sleep(250 * time.Millisecond)
			if err := k.Renew(addressguard.BootTime() + 5*time.Second); !errors.Is(err, addressguard.ErrSilent) {
				t.Errorf("renewing ended leases: %v", err)
			}
			must(t, k.Add(back))
			for range 2 {
				if !one.ask(200*time.Millisecond) || k.State(back) != addressguard.Leased {
					t.Errorf("the address that was added again is %s", k.State(back))
				}
				other.forget()
				if other.ask(50*time.Millisecond) || k.State(lost) != addressguard.Silent {
					t.Errorf("the other one answers, or is %s", k.State(lost))
				}
				if err := k.Renew(addressguard.BootTime() + 5*time.Second); !errors.Is(err, addressguard.ErrSilent) {
					t.Errorf("a renewal does not name the silent one: %v", err)
				}
			}
			must(t, k.Resume(addressguard.BootTime()+5*time.Second))
			other.forget() // its last search is under way
			if !one.ask(200*time.Millisecond) || !other.ask(200*time.Millisecond) {
				t.Error("they do not answer under a lease that begins anew")
			}
			must(t, k.Remove(lost))
			must(t, k.Remove(back))
		})
	}
}

// TestRemovedByAnother: an address that another process has taken from under guard, with the tables or without, is under it again once it is
// added again.
func TestRemovedByAnother(t *testing.T) {
	for name, prefixes := range pairs {
		for _, last := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				p := netpair.New(t)
				k := newGuard(t)
				ip := addr(prefixes[0])
				must(t, k.Renew(addressguard.BootTime()+5*time.Second))
				must(t, k.Add(ip))
				if !last {
					must(t, k.Add(addr(prefixes[1])))
				}
				guardian, err := addressguard.New(t.Context())
				must(t, err)
				must(t, guardian.Remove(ip))
				must(t, k.Add(ip))
				c := newClient(t, p, prefixes[0])
				if !c.ask(200*time.Millisecond) || k.State(ip) != addressguard.Leased {
					t.Errorf("it does not answer (%s)", k.State(ip))
				}
				must(t, k.Renew(addressguard.BootTime()+5*time.Second))
				if !c.ask(200 * time.Millisecond) {
					t.Error("it does not answer after a renewal")
				}
				must(t, k.Silence())
				c.forget()
				if c.ask(50 * time.Millisecond) {
					t.Error("it answers without a lease: it is not under guard")
				}
			})
		}
	}
}
