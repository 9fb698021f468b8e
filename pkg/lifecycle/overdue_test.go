package lifecycle

import (
	"testing"
	"time"
)

// TestOverdueStop is O10: what was withdrawn and cannot be taken away even by force has its host fenced after deadlockTimeout, which no
// restart of the agent puts off. What stops in time, and what only fails to restart here, has not.
func TestOverdueStop(t *testing.T) {
	stuck := func() *world {
		w := online(t, demo()...)
		w.outcome = func(a Action) (time.Duration, string) {
			if a.UID == "app" && (a.Op == OpOffline || a.Op == OpTerminate) {
				return time.Millisecond, "it does not die"
			}
			return time.Millisecond, ""
		}
		return w
	}
	t.Run("withdrawn", func(t *testing.T) {
		w := stuck()
		w.step(withdraw(2))
		w.run(time.Second)
		r := w.m.Report()
		if r.FenceAt < w.now+4*time.Minute || r.FenceAt > w.now+5*time.Minute || len(r.Overdue) != 0 {
			w.failf("after a second: fence at %s, overdue %v", r.FenceAt, r.Overdue)
		}
		w.run(time.Minute)
		w.restart()
		w.run(r.FenceAt - w.now - time.Second)
		if got := w.m.Report(); got.FenceAt != r.FenceAt || len(got.Overdue) != 0 {
			w.failf("before the bound: %+v", got)
		}
		w.run(2 * time.Second)
		if got := w.m.Report(); len(got.Overdue) != 1 || got.Overdue[0].Resource != "app" || got.Released != 0 {
			w.failf("O10 after the bound: %+v", got)
		}
		w.outcome = nil
		w.run(2 * time.Second)
		if got := w.m.Report(); len(got.Overdue) != 0 || got.FenceAt != 0 || got.Released != 2 || got.ReleasedHow != ReleasedForced {
			w.failf("it went away after all: %+v", got)
		}
	})
	t.Run("its own failure, and the time counts from the withdrawal", func(t *testing.T) {
		w := stuck()
		w.unhealthy("app", ReasonHealthCheckFailed)
		w.run(time.Hour)
		if r := w.m.Report(); r.FenceAt != 0 || len(r.Overdue) != 0 || len(r.Stuck) != 1 {
			w.failf("nobody waits for it: %+v", r)
		}
		w.step(withdraw(2))
		w.run(time.Second)
		if r := w.m.Report(); r.FenceAt < w.now+4*time.Minute || len(r.Overdue) != 0 {
			w.failf("just withdrawn: %+v", r)
		}
	})
	t.Run("a loss of quorum has its own deadline", func(t *testing.T) {
		w := stuck()
		w.step(withdraw(2))
		w.run(time.Second)
		w.urgent = true
		w.step(Burn{Grace: w.now, Hard: w.now})
		w.run(time.Hour)
		if r := w.m.Report(); r.FenceAt != 0 || len(r.Overdue) != 0 {
			w.failf("%+v", r)
		}
	})
}

// TestOverdueDisk is O17: a disk whose reservation is lost and that stays in use has its host fenced selfFence.timeout and the time of one
// attempt after the loss was found.
func TestOverdueDisk(t *testing.T) {
	for name, tc := range map[string]struct {
		takes time.Duration
		err   string
		want  bool
	}{
		"the unmount hangs":   {24 * time.Hour, "hang", true},
		"the unmount fails":   {time.Millisecond, "busy", true},
		"it is taken away":    {time.Millisecond, "", false},
		"it takes its moment": {9 * time.Second, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := online(t, demo()...)
			w.step(Facts{Fencing: Fencing{SelfFence: time.Second}})
			w.outcome = func(a Action) (time.Duration, string) {
				if a.UID == "disk" && a.Op == OpTerminate {
					return tc.takes, tc.err
				}
				return time.Millisecond, ""
			}
			w.urgent = true
			w.unhealthy("disk", ReasonReservationLost)
			w.run(10*time.Second + 900*time.Millisecond)
			if r := w.m.Report(); len(r.Overdue) != 0 {
				w.failf("before the bound: %+v", r.Overdue)
			}
			w.run(200 * time.Millisecond)
			if r := w.m.Report(); (len(r.Overdue) == 1 && r.Overdue[0].Resource == "disk") != tc.want {
				w.failf("after the bound: %+v", r.Overdue)
			}
		})
	}
}
