package ipaddress

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/addressguard/netpair"
)

// TestWatchSeesTheLeaseGo: an address that is silent while its node may act has failed; one whose node may not act waits.
func TestWatchSeesTheLeaseGo(t *testing.T) {
	netpair.New(t)
	guard := leasedGuard()
	typ, inst := New(guard), instance("a", "10.9.0.50/24")
	must(t, typ.Online(t.Context(), inst))
	var denied atomic.Bool
	denied.Store(true)
	inst.MayAct = func() error {
		if denied.Load() {
			return errors.New("no quorum")
		}
		return nil
	}
	failed, err := typ.Watch(t.Context(), inst)
	must(t, err)
	must(t, guard.Silence())
	select {
	case err := <-failed:
		t.Fatalf("without a lease of the node the watch says %v", err)
	case <-time.After(2*guardInterval + guardInterval/2):
	}
	denied.Store(false)
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "lease") {
			t.Errorf("the watch says %v", err)
		}
	case <-time.After(5 * guardInterval):
		t.Error("the watch says nothing")
	}
	must(t, typ.Terminate(t.Context(), inst))
}

// TestWatchSurvivesItsSubscription: when the kernel had more to tell than the socket held, what was missed is found.
func TestWatchSurvivesItsSubscription(t *testing.T) {
	netpair.New(t)
	typ, inst := New(leasedGuard()), instance("a", "10.9.0.50/24")
	must(t, typ.Online(t.Context(), inst))
	failed, err := typ.Watch(t.Context(), inst)
	must(t, err)
	typ.hub.mu.Lock()
	stop := typ.hub.stop
	typ.hub.stop = make(chan struct{}) // nobody hears the old one any more
	typ.hub.mu.Unlock()
	close(stop)
	time.Sleep(50 * time.Millisecond)
	must(t, remove(netip.MustParseAddr("10.9.0.50")))
	select {
	case err := <-failed:
		t.Fatalf("it was heard: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	typ.hub.mu.Lock()
	stop = typ.hub.stop
	typ.hub.mu.Unlock()
	typ.hub.ended(stop)
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "no longer on") {
			t.Errorf("the watch says %v", err)
		}
	case <-time.After(3 * time.Second):
		t.Error("the watch says nothing")
	}
}
