package monitor

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// seeing is a type whose watch sees all that LooksAlive would.
type seeing struct{ fakeType }

func (seeing) SeesAll(*resourcetype.Instance) bool { return true }

// TestWhatIsWatchedIsNotPolled: no LooksAlive while the watch lives, IsAlive all the same, and the polls begin when the watch ends.
func TestWhatIsWatchedIsNotPolled(t *testing.T) {
	b := newBed(t)
	b.types.Register("Seeing", seeing{fakeType{b.host}})
	d := desired(1, true)
	d.Resources[2].Type = "Seeing"
	b.apply(d)
	b.eventually("online", isOnline)
	b.await("IsAlive app")
	b.await("LooksAlive ip")
	time.Sleep(100 * time.Millisecond) // five polls
	if slices.Contains(b.host.log(), "LooksAlive app") {
		t.Fatalf("what is watched was polled: %v", b.host.log())
	}
	b.host.set(func() { close(b.host.exits["app"]) })
	b.await("LooksAlive app")
	if r := b.report(); !isOnline(r) {
		t.Errorf("the end of a watch is no failure: %+v", r)
	}
}

// await waits for a call.
func (b *bed) await(call string) {
	b.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !slices.Contains(b.host.log(), call); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s was not called: %v", call, b.host.log())
		}
	}
}
