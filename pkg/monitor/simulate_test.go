package monitor

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
)

// told has the app's token be the given one.
func told(token string) GroupDesired {
	d := desired(1, true)
	for i := range d.Resources {
		if d.Resources[i].Resource.Name == "app" {
			d.Resources[i].FailToken = token
		}
	}
	return d
}

// TestSimulatedFailure: a token fails a healthy resource once, whatever restarts in between; the one that it was started with does nothing.
func TestSimulatedFailure(t *testing.T) {
	b := newBed(t)
	b.apply(told("old"))
	b.eventually("online", isOnline)
	time.Sleep(15 * time.Millisecond)
	if _, starts := b.host.count("app"); starts != 1 {
		t.Fatalf("the token that it was started with has failed it: %d starts", starts)
	}
	again := func(starts int) func(GroupReport) bool {
		return func(r GroupReport) bool {
			_, n := b.host.count("app")
			return n == starts && isOnline(r)
		}
	}
	b.apply(told("now"))
	b.eventually("restarted", again(2))
	b.mu.Lock()
	seen := slices.ContainsFunc(b.reports, func(r GroupReport) bool {
		return slices.ContainsFunc(r.Resources, func(x lifecycle.ResourceReport) bool { return x.Restarts == 1 && x.Name == "app" })
	})
	b.mu.Unlock()
	if !seen {
		t.Error("the restart was not counted")
	}
	b.apply(told("now"))
	b.apply(told(""))
	b.crash()
	b.adopt(1)
	b.eventually("adopted", isOnline)
	b.apply(told(""))
	b.apply(told("later"))
	b.eventually("restarted by a new token", again(3))
	b.crash()
	b.adopt(1)
	b.eventually("adopted", isOnline)
	b.apply(told("later"))
	time.Sleep(30 * time.Millisecond)
	if _, starts := b.host.count("app"); starts != 3 {
		t.Errorf("a token acts once, also over a restart of the agent: %d starts", starts)
	}
	if _, starts := b.host.count("disk"); starts != 1 {
		t.Errorf("the disk was started %d times", starts)
	}
}
