package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

func (w *world) message(name string) string {
	for _, r := range w.m.Report().Resources {
		if r.Name == name {
			return r.Message
		}
	}
	return ""
}

func (w *world) want(states map[string]string) {
	w.t.Helper()
	got := w.states()
	for name, want := range states {
		if got[name] != want {
			w.failf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// after makes calls of the op on the resource take so long and end so; others succeed at once.
func after(op Op, uid string, d time.Duration, err string) func(Action) (time.Duration, string) {
	return func(a Action) (time.Duration, string) {
		if a.Op == op && a.UID == uid {
			return d, err
		}
		return time.Millisecond, ""
	}
}

// TestStaleDisk is O20 as it is told: the disk says what was found on it, the others that it was found, and nothing of them runs.
func TestStaleDisk(t *testing.T) {
	stale := func(a Action, r *Result) {
		if a.Op == OpReserve {
			r.Err, r.Stale, r.Floor = "key of node b, epoch 9", true, 9
		}
	}
	t.Run("at the first acquisition", func(t *testing.T) {
		w := newWorld(t)
		w.answer = stale
		w.step(run(3, demo()...))
		w.run(time.Minute)
		w.want(map[string]string{"disk": "Offline/StaleEpoch", "app": "Offline/StaleEpoch"})
		if w.message("disk") != "key of node b, epoch 9" || !strings.HasPrefix(w.message("app"), "a disk of the group carries a higher epoch") {
			w.failf("disk: %s; app: %s", w.message("disk"), w.message("app"))
		}
		if r := w.m.Report(); r.Floor != 9 {
			w.failf("floor %d", r.Floor)
		}
	})
	t.Run("in use", func(t *testing.T) {
		w := online(t, demo()...)
		w.answer = stale
		var first Op
		w.outcome = func(a Action) (time.Duration, string) {
			if first == "" && a.UID == "disk" && a.Op != OpReserve {
				first = a.Op
			}
			return time.Millisecond, ""
		}
		w.urgent = true
		w.step(run(3, demo()...))
		w.run(time.Minute)
		if first != OpTerminate || w.present["disk"] || w.present["app"] {
			w.failf("the disk was first answered with %q; on the host %v", first, w.present)
		}
	})
	t.Run("at the last epoch", func(t *testing.T) {
		w := newWorld(t)
		w.answer = func(a Action, r *Result) {
			if a.Op == OpReserve {
				r.Err, r.Stale, r.Floor = "somebody else's", true, model.MaxEpoch
			}
		}
		w.step(run(model.MaxEpoch, demo()...))
		w.run(time.Second)
		if r := w.m.Report(); r.Floor != model.MaxEpoch {
			w.failf("floor %d", r.Floor)
		}
	})
}

// TestReserveDenied: a lease that does not allow a reservation now is no failure of the disk; it is tried again shortly.
func TestReserveDenied(t *testing.T) {
	w := newWorld(t)
	tries := 0
	w.answer = func(a Action, r *Result) {
		if a.Op == OpReserve {
			if tries++; tries <= 3 {
				r.Err, r.Denied = "no lease", true
			}
		}
	}
	w.step(run(1, demo()...))
	w.run(2 * time.Millisecond)
	w.want(map[string]string{"disk": "OnlinePending/WaitingForLease"})
	w.run(110 * time.Millisecond)
	if tries != 3 {
		w.failf("%d tries in a tenth of a second", tries)
	}
	w.run(time.Second)
	w.want(map[string]string{"disk": "Online", "app": "Online"})
	if r := w.m.Report(); r.Resources[0].Restarts != 0 {
		w.failf("counted as a failure: %+v", r.Resources[0])
	}
}

// TestStartDenied: the same of a start; once it was allowed, nobody waits for the lease any more.
func TestStartDenied(t *testing.T) {
	w := newWorld(t)
	denied := 0
	w.answer = func(a Action, r *Result) {
		if a.Op == OpOnline && a.UID == "ip" {
			if denied++; denied == 1 {
				r.Err, r.Denied = "no lease", true
			}
		}
	}
	w.step(run(1, demo()...))
	w.run(4 * time.Millisecond)
	w.want(map[string]string{"ip": "OnlinePending/WaitingForLease"})
	w.run(time.Second)
	w.want(map[string]string{"ip": "Online", "app": "Online"})
	if r := w.m.Report(); r.Resources[1].Restarts != 0 {
		w.failf("counted as a failure: %+v", r.Resources[1])
	}
	w.step(withdraw(2))
	w.run(time.Second)
	w.outcome = after(OpReserve, "disk", time.Second, "")
	w.step(run(3, demo()...))
	w.run(time.Millisecond)
	w.want(map[string]string{"ip": "OnlinePending/WaitingForDisks"})
}

// TestReserveNotWantedAnyMore: an acquisition that was cancelled and fails has not failed.
func TestReserveNotWantedAnyMore(t *testing.T) {
	w := newWorld(t)
	w.outcome = after(OpReserve, "disk", time.Second, "")
	w.answer = func(a Action, r *Result) {
		if a.Op == OpReserve {
			r.Err = "context canceled"
		}
	}
	specs := demo()
	w.step(run(1, specs...))
	specs[0].Online = false
	w.step(run(1, specs...))
	w.run(1500 * time.Millisecond)
	w.answer, w.outcome = nil, nil
	specs[0].Online = true
	w.step(run(1, specs...))
	w.run(20 * time.Millisecond)
	if r := w.m.Report().Resources[0]; r.State != model.ResourceOnline || r.Restarts != 0 {
		w.failf("%+v", r)
	}
}

// TestKeyOfADiskInUse is O17: a change of the key that fails, or hangs, while the disk is in use means fenced: it is shut down at once,
// which counts as its failure.
func TestKeyOfADiskInUse(t *testing.T) {
	for what, took := range map[string]time.Duration{"conflict": time.Millisecond, "hang": 24 * time.Hour} {
		t.Run(what, func(t *testing.T) {
			w := online(t, demo()...)
			w.urgent = true
			var done []Op
			w.outcome = func(a Action) (time.Duration, string) {
				if done = append(done, a.Op); len(done) == 1 {
					return took, what
				}
				return time.Millisecond, ""
			}
			w.step(run(2, demo()...))
			w.run(4 * time.Minute)
			if len(done) < 2 || done[0] != OpReserve || done[1] != OpTerminate {
				w.failf("done about it: %v", done)
			}
			if r := w.m.Report().Resources[0]; r.Restarts != 1 {
				w.failf("not counted: %+v", r)
			}
			w.want(map[string]string{"disk": "Online", "app": "Online"})
		})
	}
}

// TestWellAgain: what has come online has nothing to explain any more.
func TestWellAgain(t *testing.T) {
	w := newWorld(t)
	failures := 2
	w.answer = func(a Action, r *Result) {
		if a.Op == OpOnline && failures > 0 {
			failures--
			r.Err = "refused"
		}
	}
	w.step(run(1, res("app", KindProcess)))
	w.run(10 * time.Second)
	w.want(map[string]string{"app": "Online"})
	_, resources := w.m.Saved()
	if s := resources["app"]; s.FailReason != ReasonNone || s.FailMessage != "" || s.RestartAt != 0 || len(s.Restarts) != 2 {
		w.failf("%+v", s)
	}
}

// TestStopThatFails tells what the stop said while the resource is being taken away by force, and calls the release forced.
func TestStopThatFails(t *testing.T) {
	w := online(t, res("app", KindProcess))
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpTerminate {
			return time.Second, ""
		}
		return time.Millisecond, "target is busy"
	}
	w.step(withdraw(2))
	w.run(110 * time.Millisecond)
	if w.want(map[string]string{"app": "OfflinePending/Terminating"}); w.message("app") != "target is busy" {
		w.failf("message %q", w.message("app"))
	}
	w.run(2 * time.Second)
	if r := w.m.Report(); r.ReleasedHow != ReleasedForced {
		w.failf("%+v", r)
	}
}

// TestKillThatFails: a release is forced as well when only the force had to be used twice.
func TestKillThatFails(t *testing.T) {
	w := online(t, res("app", KindProcess))
	kills := 0
	w.answer = func(a Action, r *Result) {
		if a.Op == OpTerminate {
			if kills++; kills == 1 {
				r.Err = "still there"
			}
		}
	}
	w.unhealthy("app", ReasonExited)
	w.step(withdraw(2))
	w.run(5 * time.Second)
	if r := w.m.Report(); r.Released != 2 || r.ReleasedHow != ReleasedForced {
		w.failf("%+v", r)
	}
}

// TestKillThatHangs: a resource that takes several attempts to be taken away has failed once; and when it has gone at last, nothing of
// that counts against the next stop (O10).
func TestKillThatHangs(t *testing.T) {
	w := online(t, res("app", KindProcess))
	kills := 0
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpTerminate {
			if kills++; kills <= 3 {
				return 24 * time.Hour, "hang"
			}
		}
		return time.Millisecond, ""
	}
	w.unhealthy("app", ReasonExited)
	w.run(30 * time.Second)
	if r := w.m.Report(); len(r.Stuck) != 1 || r.Resources[0].Restarts != 1 {
		w.failf("%+v", r)
	}
	w.run(time.Minute)
	if r := w.m.Report().Resources[0]; r.State != model.ResourceOnline || r.Restarts != 1 {
		w.failf("%+v", r)
	}
	w.outcome = after(OpOffline, "app", time.Hour, "")
	w.step(withdraw(2))
	w.run(time.Second)
	if r := w.m.Report(); r.FenceAt != 0 || len(r.Stuck) != 0 {
		w.failf("%+v", r)
	}
}

// TestAdoption: what ran before the agent died has been online since then; what had only begun to start begins again without having
// failed; what is gone has failed.
func TestAdoption(t *testing.T) {
	w := online(t, res("app", KindProcess))
	since := w.m.Report().Resources[0].OnlineSince
	w.run(time.Minute)
	w.restart()
	w.run(time.Second)
	if r := w.m.Report().Resources[0]; since == 0 || r.OnlineSince != since || r.State != model.ResourceOnline {
		w.failf("%+v, online since %s", r, since)
	}
	w.answer = func(a Action, r *Result) {
		if a.Op == OpAdopt {
			r.Err = "it does not run"
		}
	}
	w.restart()
	w.run(time.Second)
	if r := w.m.Report().Resources[0]; r.Restarts != 1 {
		w.failf("%+v", r)
	}

	w = newWorld(t)
	w.outcome = after(OpOnline, "app", time.Hour, "")
	w.step(run(1, res("app", KindProcess)))
	w.answer = func(a Action, r *Result) {
		if a.Op == OpAdopt {
			r.Err = "half started"
		}
	}
	w.restart()
	w.outcome = nil
	w.run(time.Second)
	if r := w.m.Report().Resources[0]; r.State != model.ResourceOnline || r.Restarts != 0 {
		w.failf("%+v", r)
	}
}

// TestChecksThatAreOver: the word of health checks counts once, and only that of those under way, of what is online.
func TestChecksThatAreOver(t *testing.T) {
	w := online(t, res("app", KindProcess), res("slow", KindProcess, On("app")))
	serial := w.watched["app"]
	for _, in := range []Unhealthy{
		{UID: "nobody", Serial: serial, Reason: ReasonExited}, {UID: "app", Serial: serial + 50, Reason: ReasonExited}, {UID: "app", Reason: ReasonExited},
	} {
		w.step(in)
		w.want(map[string]string{"app": "Online"})
	}
	w.outcome = after(OpOffline, "slow", time.Minute, "")
	w.step(Unhealthy{UID: "app", Serial: serial, Reason: ReasonExited, Message: "once"})
	if _, watched := w.watched["app"]; watched {
		w.failf("it is still looked after: %v", w.watched)
	}
	w.step(Unhealthy{UID: "app", Serial: serial, Reason: ReasonExited, Message: "twice"})
	if r := w.m.Report().Resources[0]; r.Restarts != 1 {
		w.failf("%+v", r)
	}
}

// TestNoFailureOfWhatStops: what is being stopped, or has left the spec, or belongs to a group that is leaving, does not fail.
func TestNoFailureOfWhatStops(t *testing.T) {
	specs := []Resource{res("app", KindProcess), res("other", KindProcess)}
	offline := slices.Clone(specs)
	offline[0].Online = false
	for what, in := range map[string]Input{"unwanted": run(1, offline...), "removed": run(1, specs[1]), "withdrawn": withdraw(2)} {
		t.Run(what, func(t *testing.T) {
			w := online(t, specs...)
			w.outcome = after(OpOffline, "app", 24*time.Hour, "hang")
			w.step(in)
			w.run(4 * time.Minute)
			if w.present["app"] {
				w.failf("it is still there: %v", w.states())
			}
			w.outcome = nil
			w.step(run(3, specs...))
			w.run(10 * time.Second)
			for _, r := range w.m.Report().Resources {
				if r.Restarts != 0 || r.State != model.ResourceOnline {
					w.failf("%+v", r)
				}
			}
		})
	}
}

// TestTimeoutIsTold: the message of a call without progress says for how long, and what it said last.
func TestTimeoutIsTold(t *testing.T) {
	w := newWorld(t)
	w.outcome = after(OpOnline, "app", 24*time.Hour, "hang")
	w.step(run(1, res("app", KindProcess)))
	w.run(time.Minute)
	w.step(Progress{UID: "app", Serial: w.m.find("app").op.serial, Message: "replaying the log"})
	if w.message("app") != "replaying the log" {
		w.failf("message %q", w.message("app"))
	}
	w.run(3*time.Minute + 50*time.Millisecond)
	if got, want := w.m.find("app").FailMessage, "Online: no progress for 3m0s, last: replaying the log"; got != want {
		w.failf("%q, want %q", got, want)
	}

	w = newWorld(t)
	w.outcome = after(OpOnline, "app", 24*time.Hour, "hang")
	w.step(run(1, res("app", KindProcess)))
	w.run(3*time.Minute + 50*time.Millisecond)
	if got, want := w.m.find("app").FailMessage, "Online: no progress for 3m0s"; got != want {
		w.failf("%q, want %q", got, want)
	}
}
