package lifecycle

import (
	"testing"
	"time"
)

// TestBurnIsDue: the times at which a stop becomes forced are waited for, whatever else happens.
func TestBurnIsDue(t *testing.T) {
	w := newWorld(t)
	b := Burn{Grace: w.now + time.Second, Hard: w.now + 2*time.Second}
	w.step(run(1))
	w.step(b)
	for _, want := range []time.Duration{b.Grace, b.Hard} {
		if at, ok := w.m.Deadline(); !ok || at != want {
			t.Errorf("the next look is due at %s (%v), want %s", at, ok, want)
		}
		w.now = want
		w.step(Tick{})
	}
}

// TestHowItWasReleased: that something was ended by force is told with the release of that ownership, and of no other.
func TestHowItWasReleased(t *testing.T) {
	app := res("app", KindProcess)
	w := online(t, app)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpOffline {
			return time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	w.step(Burn{Grace: w.now + 600*time.Millisecond, Hard: w.now + 850*time.Millisecond})
	w.run(time.Second)
	if w.present["app"] {
		w.failf("the process is still there")
	}
	w.restart() // the next life
	w.step(withdraw(2))
	w.run(time.Second)
	if r := w.m.Report(); r.Released != 2 || r.ReleasedHow != ReleasedForced {
		w.failf("released %d, %s", r.Released, r.ReleasedHow)
	}
	w.outcome = nil
	w.step(run(3, app))
	w.run(time.Second)
	w.step(withdraw(4))
	w.run(time.Second)
	if r := w.m.Report(); r.Released != 4 || r.ReleasedHow != ReleasedGraceful {
		w.failf("released %d, %s", r.Released, r.ReleasedHow)
	}
}

// TestWatchedAnew: a resource whose intervals change is watched by the new ones, and by them only.
func TestWatchedAnew(t *testing.T) {
	app := res("app", KindProcess)
	w := online(t, app)
	first := w.watched["app"]
	app.Timing.LooksAlive += time.Second
	w.step(run(1, app))
	second, ok := w.watched["app"]
	if !ok || second == first {
		t.Errorf("watched by #%d, then by #%d", first, second)
	}
	w.step(run(1, app))
	if again := w.watched["app"]; again != second {
		t.Errorf("watched anew by #%d although nothing changed", again)
	}
}
