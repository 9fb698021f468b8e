package lifecycle

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

var allOnline = map[string]string{"disk": "Online", "ip": "Online", "app": "Online"}

func TestAdoptionIsQuiet(t *testing.T) {
	w := online(t, demo()...)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.UID == "disk" {
			return 500 * time.Millisecond, "" // the process is adopted long before what it depends on
		}
		return time.Millisecond, ""
	}
	w.restart()
	w.expect(allOnline)
	w.run(100 * time.Millisecond)
	w.step(run(1, demo()...)) // the assignment comes again while it is being adopted
	w.expect(allOnline)
	w.run(time.Second)
	w.expect(allOnline)
	if w.starts("app") != 1 || w.starts("disk") != 1 || w.m.Report().Running != 1 || w.m.Report().Proven != 1 {
		w.failf("the adoption was not quiet: %+v", w.m.Report())
	}
}

func TestFailedAdoptionCountsAsAFailure(t *testing.T) {
	w := online(t, demo()...)
	w.run(time.Minute)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpAdopt && a.UID == "app" {
			return time.Millisecond, "it has ended"
		}
		return time.Millisecond, ""
	}
	w.restart()
	w.run(time.Second)
	w.expect(allOnline)
	if r := w.m.find("app"); len(r.Restarts) != 1 || w.starts("app") != 2 || w.starts("disk") != 1 {
		w.failf("%+v", r.SavedResource)
	}
}

// TestHalfStoppedIsTakenDown: the agent died while it stopped the process, and the move was cancelled meanwhile.
func TestHalfStoppedIsTakenDown(t *testing.T) {
	w := online(t, demo()...)
	w.outcome = func(Action) (time.Duration, string) { return time.Minute, "" }
	w.step(withdraw(2))
	w.outcome = nil
	w.restart()
	w.step(run(3, demo()...))
	w.run(time.Second)
	w.expect(allOnline)
	if w.starts("app") != 2 || w.starts("disk") != 1 {
		w.failf("a process that was being stopped was taken for one that is online")
	}
}

func TestLateOnlineWhileItIsBeingTerminated(t *testing.T) {
	m := New(0)
	actions := m.Step(1, run(1, res("app", KindProcess)))
	onlineSerial := actions[0].Serial
	m.Step(2, withdraw(2))
	first := m.Step(2+cancelGrace, Tick{})
	m.Step(3+cancelGrace, Result{UID: "app", Serial: onlineSerial})
	second := m.Step(4+cancelGrace, Result{UID: "app", Serial: first[0].Serial})
	if len(second) != 1 || second[0].Op != OpTerminate {
		t.Fatalf("the kill may have been too early for what came late: %+v", second)
	}
	m.Step(5+cancelGrace, Result{UID: "app", Serial: second[0].Serial})
	if r := m.Report(); r.Released != 2 {
		t.Fatalf("%+v", r)
	}
}

// TestHoldingOnProvesNoMore is rule O19: a disk that was found free proves nothing later either.
func TestHoldingOnProvesNoMore(t *testing.T) {
	w := newWorld(t)
	w.reserve = Reservation{Enforced: true}
	w.step(run(1, demo()...))
	w.run(time.Second)
	w.reserve = Reservation{Enforced: true, Proof: true}
	w.step(Apply{Desired{Run: true, Epoch: 2, Unproven: []model.Owner{owner(2, 5)}, Resources: demo()}})
	w.run(time.Second)
	if r := w.m.Report(); w.held["disk"] != 2 || r.Proven != 0 || len(r.Proofs) != 0 {
		w.failf("%+v", r)
	}
	w.expect(allOnline) // and it goes on running
}

func TestRestartsAreCountedPerOwnership(t *testing.T) {
	w := online(t, res("app", KindProcess))
	for epoch := range model.Epoch(3) {
		w.step(run(epoch+2, res("app", KindProcess)))
		for range 3 {
			w.run(time.Second)
			w.unhealthy("app", ReasonExited)
		}
	}
	w.run(time.Second)
	w.expect(map[string]string{"app": "Online"}) // A13
}

// TestSavedSurvivesJSON: what is kept comes back the same, with resources that were being removed.
func TestSavedSurvivesJSON(t *testing.T) {
	w := online(t, demo()...)
	w.outcome = func(Action) (time.Duration, string) { return time.Minute, "" }
	w.step(run(1, demo()[:2]...)) // the process is removed and is slow to stop
	type both struct {
		Group     SavedGroup
		Resources map[string]SavedResource
	}
	group, resources := w.m.Saved()
	raw, err := json.Marshal(both{group, resources})
	if err != nil {
		t.Fatal(err)
	}
	var back both
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(both{group, resources}, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(back.Group.Removed) != 1 || back.Group.Removed[0].Name != "app" {
		t.Fatalf("removed are %+v", back.Group.Removed)
	}
	w.outcome = nil
	w.m, w.jobs, w.watched = Restore(back.Group, back.Resources), nil, map[string]uint64{}
	w.step(Tick{})
	w.step(withdraw(2))
	w.run(time.Second)
	if w.m.Report().Released != 2 || w.present["app"] {
		w.failf("%+v", w.m.Report())
	}
}

// TestRestartsAtTheEndOfThePeriod: a restart that is exactly the period ago counts no more (A12).
func TestRestartsAtTheEndOfThePeriod(t *testing.T) {
	r := Restart{Policy: RestartAlways, Threshold: 1, Period: time.Minute}
	if _, again := r.InPlace([]time.Duration{time.Second}, time.Minute+time.Second); !again {
		t.Error("exactly the period ago counts")
	}
	if _, again := r.InPlace([]time.Duration{time.Second}, time.Minute+time.Second-1); again {
		t.Error("just within the period does not count")
	}
}
