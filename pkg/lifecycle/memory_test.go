package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// TestAgentDiesTwice: what had left the spec is stopped after any number of agents, and is on record once; what was only being looked at
// when the second one died is on record as what it was.
func TestAgentDiesTwice(t *testing.T) {
	w := online(t, res("a", KindProcess), res("b", KindAddress))
	w.outcome = func(a Action) (time.Duration, string) {
		if a.UID == "b" {
			return 24 * time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	w.step(run(1, res("a", KindProcess)))
	for range 3 {
		w.restart()
		group, resources := w.m.Saved()
		if len(group.Removed) != 1 || group.Removed[0].UID != "b" || group.Removed[0].Kind != KindAddress {
			w.failf("removed: %+v", group.Removed)
		}
		if resources["a"].Phase != PhaseOnline {
			w.failf("a is on record as %q", resources["a"].Phase)
		}
	}
	w.outcome = nil
	w.run(10 * time.Minute)
	if group, _ := w.m.Saved(); len(group.Removed) != 0 || w.present["b"] || !w.present["a"] {
		w.failf("at the end: removed %+v, on the host %v", group.Removed, w.present)
	}
}

// TestAgentDiesWhileItStarts: a start that another agent had begun is on record as a start until it is known what became of it.
func TestAgentDiesWhileItStarts(t *testing.T) {
	w := newWorld(t)
	w.outcome = func(Action) (time.Duration, string) { return time.Hour, "" }
	w.step(run(1, res("a", KindProcess)))
	w.restart()
	w.restart()
	if _, resources := w.m.Saved(); resources["a"].Phase != PhaseOnlining {
		w.failf("a is on record as %q", resources["a"].Phase)
	}
}

// TestGarbledRecord: resources whose dependencies form a ring, and one that no spec names, are still taken away.
func TestGarbledRecord(t *testing.T) {
	w := newWorld(t)
	ring := []Resource{res("a", KindProcess, On("b")), res("b", KindProcess, On("a"))}
	up := SavedResource{Phase: PhaseOnline, OnlineSince: time.Second, Fingerprint: "1"}
	w.m = Restore(SavedGroup{Desired: Desired{Run: true, Epoch: 3, Resources: ring}, RunEpoch: 3}, map[string]SavedResource{"a": up, "b": up, "c": up})
	w.present = map[string]bool{"a": true, "b": true, "c": true}
	w.step(Tick{})
	w.run(time.Second)
	if w.present["c"] || !w.present["a"] {
		w.failf("on the host: %v", w.present)
	}
	w.step(withdraw(4))
	w.run(time.Minute)
	if r := w.m.Report(); r.Released != 4 || w.present["a"] || w.present["b"] {
		w.failf("released %d, on the host %v", r.Released, w.present)
	}
}

// TestEpochsAtTheirEnds: the largest epoch is obeyed, and becomes the floor; none, and one past the largest, cannot be.
func TestEpochsAtTheirEnds(t *testing.T) {
	w := newWorld(t)
	for _, e := range []model.Epoch{0, model.MaxEpoch + 1} {
		if err := w.m.Refuses(run(e).Desired); err == nil || !strings.Contains(err.Error(), "cannot be") {
			t.Errorf("epoch %d: %v", e, err)
		}
	}
	w.step(run(model.MaxEpoch, res("a", KindProcess)))
	w.run(time.Second)
	if r := w.m.Report(); r.Running != model.MaxEpoch || r.Floor != model.MaxEpoch {
		w.failf("%+v", r)
	}
}

// TestWordsOfACallThatIsOver: progress of a call that is not the one under way, or of nothing that is known, puts no timeout off.
func TestWordsOfACallThatIsOver(t *testing.T) {
	w := newWorld(t)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpOnline {
			return 24 * time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	w.step(run(1, res("a", KindProcess), res("idle", KindProcess, On("a"))))
	serial := w.m.find("a").op.serial
	for range 4 {
		w.run(time.Minute - time.Second)
		for _, p := range []Progress{{UID: "a", Serial: serial + 7}, {UID: "idle", Serial: serial}, {UID: "unknown", Serial: serial}} {
			w.step(p)
		}
	}
	if w.m.Report().Resources[0].Restarts == 0 {
		w.failf("the start never timed out: %v", w.states())
	}
}

// TestForcedOnce: how one withdrawal was answered says nothing of the next.
func TestForcedOnce(t *testing.T) {
	w := online(t, res("a", KindProcess), res("slow", KindProcess))
	w.outcome = func(a Action) (time.Duration, string) {
		switch {
		case a.UID == "a" && a.Op == OpOffline:
			return time.Millisecond, "refused"
		case a.UID == "slow":
			return time.Minute, ""
		}
		return time.Millisecond, ""
	}
	w.step(withdraw(2))
	w.run(time.Second)
	w.outcome = nil
	w.step(run(3, res("a", KindProcess), res("slow", KindProcess)))
	w.run(5 * time.Minute)
	w.step(withdraw(4))
	w.run(time.Minute)
	if r := w.m.Report(); r.Released != 4 || r.ReleasedHow != ReleasedGraceful {
		w.failf("%+v", r)
	}
}

// TestFailoverIsNotWantedAnyMore: who repairs the spec of what has failed, wants it offline, or removes it, takes the wish for a failover
// back; an edit of something else does not.
func TestFailoverIsNotWantedAnyMore(t *testing.T) {
	app, other := res("app", KindProcess), res("other", KindProcess)
	repaired, offline, edited := app, app, other
	repaired.Fingerprint, offline.Online, edited.Fingerprint = "2", false, "2"
	for what, c := range map[string]struct {
		specs []Resource
		want  bool
	}{
		"nothing":        {[]Resource{app, other}, true},
		"another one":    {[]Resource{app, edited}, true},
		"repaired":       {[]Resource{repaired, other}, false},
		"wanted offline": {[]Resource{offline, other}, false},
		"removed":        {[]Resource{other}, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := online(t, app, other)
			for range 10 {
				w.unhealthy("app", ReasonExited)
				w.run(2 * time.Second)
			}
			if f := w.m.Report().Failover; f == nil || f.Resource != "app" {
				w.failf("no failover is wanted: %+v", f)
			}
			w.step(run(1, c.specs...))
			if got := w.m.Report().Failover != nil; got != c.want {
				w.failf("a failover is wanted: %v, want %v", got, c.want)
			}
		})
	}
}

// TestProtected is what rule O13 lets a process start for beside its own proof: a disk that was preempted, an address that its old host
// silences. An address that only time has proven does not protect what uses it, nor does a dependency on nothing.
func TestProtected(t *testing.T) {
	guarded := Facts{Self: member(1, 1), Views: (*Views)(nil).Install(view(7, 0, member(1, 1))), Fencing: Fencing{
		SelfFence: time.Minute, GuardsAddresses: map[model.NodeID]bool{2: true},
	}}
	unguarded := guarded
	unguarded.GuardsAddresses = nil
	off := res("disk", KindDisk)
	off.Online = false
	exposed := res("app", KindProcess, On("disk"), On("ip"))
	exposed.Exposed = true
	for what, c := range map[string]struct {
		facts Facts
		specs []Resource
		want  []string // what runs after a second
	}{
		"a disk":                       {guarded, []Resource{res("disk", KindDisk), res("app", KindProcess, On("disk"))}, []string{"disk", "app"}},
		"a guarded address":            {guarded, []Resource{res("ip", KindAddress), res("app", KindProcess, On("ip"))}, []string{"ip", "app"}},
		"an address that waited":       {unguarded, []Resource{res("ip", KindAddress), res("app", KindProcess, On("ip"))}, nil},
		"a process on what is guarded": {guarded, []Resource{res("ip", KindAddress), res("app", KindProcess, On("ip")), res("web", KindProcess, On("app"))}, []string{"ip", "app", "web"}},
		"nothing":                      {guarded, []Resource{res("app", KindProcess)}, nil},
		"a dependency on nothing":      {guarded, []Resource{res("app", KindProcess, Dependency{})}, nil},
		"one of two":                   {guarded, []Resource{res("ip", KindAddress), res("x", KindProcess), res("app", KindProcess, Dependency{AnyOf: []string{"ip", "x"}})}, []string{"ip"}},
		"what reaches clients itself":  {guarded, []Resource{res("disk", KindDisk), res("ip", KindAddress), exposed, res("web", KindProcess, On("app"))}, []string{"disk", "ip"}},
		"a disk that nobody holds":     {guarded, []Resource{off, res("ip", KindAddress)}, []string{"ip"}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.step(c.facts)
			w.step(Apply{Desired{Run: true, Epoch: 2, View: model.ViewID{Number: 7}, Resources: c.specs, Unproven: []model.Owner{owner(2, 5)}}})
			w.run(time.Second)
			var got []string
			for _, r := range c.specs {
				if w.present[r.UID] {
					got = append(got, r.UID)
				}
			}
			if !slices.Equal(got, c.want) {
				w.failf("online: %v, want %v", got, c.want)
			}
			if r := w.m.Report(); r.Proven != 0 && len(got) < len(c.specs) {
				w.failf("what has not started counts as proven: %+v", r.Proofs)
			}
			w.run(2 * time.Minute)
			if r := w.m.Report(); r.Proven != 2 && what != "a dependency on nothing" {
				w.failf("not proven after the deadline: %+v", r)
			}
		})
	}
}

// TestOldReservationProvesNothing: a disk that is wanted offline is held by nobody, however it was acquired before: only time proves what an
// earlier owner does with it.
func TestOldReservationProvesNothing(t *testing.T) {
	disk, app := res("disk", KindDisk), res("app", KindProcess)
	w := online(t, disk, app)
	disk.Online = false
	w.step(run(1, disk, app))
	w.run(time.Second)
	w.step(Facts{Self: member(1, 1), Views: (*Views)(nil).Install(view(7, w.now, member(1, 1))), Fencing: Fencing{SelfFence: time.Minute}})
	w.step(Apply{Desired{Run: true, Epoch: 2, View: model.ViewID{Number: 7}, Resources: []Resource{disk, app}, Unproven: []model.Owner{owner(2, 5)}}})
	w.run(time.Second)
	if r := w.m.Report(); len(r.Proofs) != 0 {
		w.failf("%+v", r.Proofs)
	}
	w.run(time.Minute)
	if r := w.m.Report(); len(r.Proofs) != 2 || r.Proofs[0].Type != ProofSelfFence {
		w.failf("%+v", r.Proofs)
	}
}

// TestStuckStartOfWhatIsProtected: what a protected process waits for is its own earlier start, not a proof.
func TestStuckStartOfWhatIsProtected(t *testing.T) {
	w := newWorld(t)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.UID == "app" && a.Op == OpOnline {
			return 24 * time.Hour, ""
		}
		return time.Millisecond, ""
	}
	w.step(Facts{Self: member(1, 1), Views: (*Views)(nil).Install(view(7, 0, member(1, 1))), Fencing: Fencing{SelfFence: time.Hour}})
	w.step(Apply{Desired{Run: true, Epoch: 2, View: model.ViewID{Number: 7}, Unproven: []model.Owner{owner(2, 5)},
		Resources: []Resource{res("disk", KindDisk), res("app", KindProcess, On("disk"))}}})
	w.run(4 * time.Minute)
	if got := w.states()["app"]; got != "OnlinePending/"+string(ReasonStuck) {
		w.failf("app is %s", got)
	}
}

// TestEmptyRecords: nothing that the next agent must know is left out.
func TestEmptyRecords(t *testing.T) {
	if !(SavedResource{State: model.ResourceOffline, Since: time.Second}).Empty() {
		t.Error("a state alone is worth a record")
	}
	for what, s := range map[string]SavedResource{
		"phase": {Phase: PhaseDirty}, "reserved": {Reserved: 1}, "restarts": {Restarts: []time.Duration{1}}, "failed": {Failed: true}, "restart at": {RestartAt: 1},
	} {
		if s.Empty() {
			t.Errorf("%s is not worth a record", what)
		}
	}
}
