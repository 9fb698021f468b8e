package lifecycle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

func (w *world) starts(name string) int {
	n := 0
	for _, line := range w.trace {
		var at, op, uid string
		var serial int
		if k, _ := fmt.Sscanf(line, "%s %s %s #%d", &at, &op, &uid, &serial); k == 4 && op == string(OpOnline) && uid == name {
			n++
		}
	}
	return n
}

func (w *world) expect(want map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.states()); diff != "" {
		w.failf("states (-want +got):\n%s", diff)
	}
}

// TestRestartPolicies is A09 to A12 and A16: a process that fails at the given times after it came online.
func TestRestartPolicies(t *testing.T) {
	exits := func(n int, every time.Duration) []time.Duration {
		var at []time.Duration
		for range n {
			at = append(at, every)
		}
		return at
	}
	tests := map[string]struct {
		policy   RestartPolicy
		exits    []time.Duration // each after the one before
		state    string
		starts   int
		failover bool
	}{
		"A09 never":                           {RestartNever, exits(1, time.Minute), "Failed/Exited", 1, false},
		"A10 within the threshold":            {RestartNoFailover, exits(3, time.Minute), "Online", 4, false},
		"A10 past it, no failover":            {RestartNoFailover, exits(4, time.Minute), "Failed/Exited", 4, false},
		"A11 the third failure is restarted":  {RestartAlways, exits(3, time.Minute), "Online", 4, false},
		"A11 the fourth asks for a failover":  {RestartAlways, exits(4, time.Minute), "Failed/Exited", 4, true},
		"A12 spread over more than a period":  {RestartAlways, exits(20, 6*time.Minute), "Online", 21, false},
		"the window rolls: three in 15m, ok":  {RestartAlways, exits(8, 5*time.Minute+time.Second), "Online", 9, false},
		"the window rolls: four in 15m, over": {RestartAlways, exits(4, 5*time.Minute-time.Second), "Failed/Exited", 4, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			app := res("app", KindProcess)
			app.Timing.Restart.Policy = tc.policy
			w := online(t, app)
			for _, after := range tc.exits {
				w.run(after)
				w.unhealthy("app", ReasonExited)
			}
			w.run(time.Second)
			w.expect(map[string]string{"app": tc.state})
			if got := w.starts("app"); got != tc.starts {
				t.Errorf("%d starts, want %d", got, tc.starts)
			}
			if f := w.m.Report().Failover; (f != nil) != tc.failover || f != nil && (f.Resource != "app" || f.Epoch != 1) {
				t.Errorf("failover wanted: %+v", f)
			}
			if tc.policy == RestartNever || tc.state == "Online" {
				return
			}
			w.run(time.Hour)
			w.expect(map[string]string{"app": "Online"}) // A16
			if w.m.Report().Failover != nil {
				t.Error("A16: it still asks for the failover")
			}
		})
	}
}

func TestRestartTakesDependentsAlong(t *testing.T) {
	w := online(t, demo()...)
	w.run(time.Minute)
	at := w.now
	w.unhealthy("ip", ReasonHealthCheckFailed)
	w.run(time.Second)
	w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Online"})
	if w.starts("disk") != 1 || w.starts("ip") != 2 || w.starts("app") != 2 {
		t.Error("not exactly the address and the process were restarted")
	}
	// What has run for longer than the delay is restarted at once.
	if since := w.m.find("app").OnlineSince - at; since > 10*time.Millisecond {
		t.Errorf("it took %s", since)
	}
}

func TestRestartDelaySpacesStarts(t *testing.T) {
	app := res("app", KindProcess)
	w := newWorld(t)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpOnline {
			return time.Millisecond, "crash loop"
		}
		return time.Millisecond, ""
	}
	w.step(run(1, app))
	w.run(400 * time.Millisecond)
	if got := w.starts("app"); got != 1 {
		t.Errorf("%d starts within the delay", got)
	}
	w.run(200 * time.Millisecond)
	if got := w.starts("app"); got != 2 {
		t.Errorf("%d starts after the delay", got)
	}
	w.run(5 * time.Second)
	if got := w.starts("app"); got != 4 || w.m.Report().Failover == nil {
		t.Errorf("%d starts, failover %v", got, w.m.Report().Failover)
	}
}

// TestPendingTimeout is A07 and A08.
func TestPendingTimeout(t *testing.T) {
	t.Run("progress keeps it pending", func(t *testing.T) {
		w := newWorld(t)
		w.outcome = func(Action) (time.Duration, string) { return 24 * time.Hour, "hang" }
		w.step(run(1, res("app", KindProcess)))
		for range 50 {
			w.run(179 * time.Second)
			w.step(Progress{UID: "app", Serial: w.m.find("app").op.serial, Message: "replaying"})
		}
		w.expect(map[string]string{"app": "OnlinePending/Starting"})
		if w.starts("app") != 1 {
			t.Error("A07: it was started again")
		}
	})
	for name, tc := range map[string]struct{ pending, deadlock, want time.Duration }{
		"the pending timeout": {time.Minute, time.Hour, time.Minute},
		"A08 the smaller one": {time.Hour, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			app := res("app", KindProcess)
			app.Timing.Pending, app.Timing.Deadlock = tc.pending, tc.deadlock
			w := newWorld(t)
			w.outcome = func(a Action) (time.Duration, string) {
				if a.Op == OpOnline {
					return 24 * time.Hour, "hang"
				}
				return time.Millisecond, ""
			}
			w.step(run(1, app))
			w.run(tc.want - time.Second)
			w.expect(map[string]string{"app": "OnlinePending/Starting"})
			w.run(2 * time.Second)
			if r := w.m.find("app"); r.FailReason != ReasonPendingTimeout || w.starts("app") != 2 {
				w.failf("it was not given up: %+v", r)
			}
		})
	}
}

func TestStopThatHangsIsForced(t *testing.T) {
	w := online(t, demo()...)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpOffline && a.UID == "app" {
			return 24 * time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	w.step(withdraw(2))
	w.run(2 * time.Minute)
	if w.m.Report().Released != 0 {
		t.Error("it released while the stop goes on")
	}
	w.run(2 * time.Minute)
	if r := w.m.Report(); r.Released != 2 || r.ReleasedHow != ReleasedForced || r.Running != 0 {
		w.failf("O10: %+v", r)
	}
}

func TestKillThatFailsIsNotReleased(t *testing.T) {
	w := online(t, demo()...)
	broken := true
	w.outcome = func(a Action) (time.Duration, string) {
		if broken && a.UID == "disk" && (a.Op == OpOffline || a.Op == OpTerminate) {
			return time.Millisecond, "busy"
		}
		return time.Millisecond, ""
	}
	w.step(withdraw(2))
	w.run(time.Minute)
	if r := w.m.Report(); r.Released != 0 || r.Running != 1 || len(r.Stuck) != 1 {
		w.failf("O10: %+v", r)
	}
	w.expect(map[string]string{"disk": "Failed/CannotBeStopped", "ip": "Offline/NotWanted", "app": "Offline/NotWanted"})
	broken = false
	w.run(2 * time.Second)
	if r := w.m.Report(); r.Released != 2 || r.ReleasedHow != ReleasedForced {
		w.failf("O10: %+v", r)
	}
}

func TestWithdrawalWhilePending(t *testing.T) {
	w := newWorld(t)
	w.outcome = func(a Action) (time.Duration, string) {
		if a.Op == OpOnline && a.UID == "app" {
			return 24 * time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	w.step(run(1, demo()...))
	w.run(time.Second)
	w.step(withdraw(2))
	w.run(time.Second)
	if r := w.m.Report(); r.Released != 2 || r.ReleasedHow != ReleasedGraceful {
		w.failf("%+v", r)
	}
}

// TestHungReserveKeepsNobody: a disk that does not answer holds up neither the withdrawal nor the other disks' release.
func TestHungReserveKeepsNobody(t *testing.T) {
	m := New(0)
	m.Step(1, run(1, res("disk", KindDisk)))
	m.Step(2, withdraw(2))
	if m.Report().Released != 0 {
		t.Error("it did not wait at all")
	}
	m.Step(2+cancelGrace, Tick{})
	if r := m.Report(); r.Released != 2 || r.Running != 0 {
		t.Errorf("%+v", r)
	}
	for _, a := range m.Step(3+cancelGrace, run(3, res("disk", KindDisk))) {
		t.Errorf("%s begins while the old one has not returned", a.Op)
	}
	m.Step(4+cancelGrace, Result{UID: "disk", Serial: 1, Err: "cancelled"})
	if r := m.Report().Resources[0]; r.Reason != ReasonReserving {
		t.Errorf("it does not begin then: %+v", r)
	}
}

// TestLateOnlineIsTerminated: a call that was given up ends, after the kill, by having started something.
func TestLateOnlineIsTerminated(t *testing.T) {
	m := New(0)
	app := res("app", KindProcess)
	actions := m.Step(1, run(1, app))
	onlineSerial := actions[0].Serial
	m.Step(2, withdraw(2))
	actions = m.Step(2+cancelGrace, Tick{})
	if len(actions) != 1 || actions[0].Op != OpTerminate {
		t.Fatalf("%+v", actions)
	}
	m.Step(3+cancelGrace, Result{UID: "app", Serial: actions[0].Serial})
	if r := m.Report(); r.Released != 0 || r.Running != 1 {
		t.Fatalf("released while the start may still happen: %+v", r)
	}
	if _, saved := m.Saved(); saved["app"].Phase != PhaseDirty {
		t.Fatalf("the record forgets it: %+v", saved)
	}
	actions = m.Step(4+cancelGrace, Result{UID: "app", Serial: onlineSerial})
	if len(actions) != 1 || actions[0].Op != OpTerminate {
		t.Fatalf("what came late is left: %+v", actions)
	}
	m.Step(5+cancelGrace, Result{UID: "app", Serial: actions[0].Serial})
	if r := m.Report(); r.Released != 2 || r.Running != 0 {
		t.Fatalf("%+v", r)
	}
}

// TestRefuses is rules O6, O7, O10 and O3.
func TestRefuses(t *testing.T) {
	cyclic := []Resource{res("a", KindProcess, On("b")), res("b", KindProcess, On("a"))}
	tests := map[string]struct {
		before []Input
		in     Desired
		ok     bool
	}{
		"the first":                     {nil, Desired{Run: true, Epoch: 1}, true},
		"a withdrawal of what is not":   {nil, Desired{Epoch: 4}, true},
		"epoch 0":                       {nil, Desired{Run: true}, false},
		"past the largest epoch":        {nil, Desired{Run: true, Epoch: model.MaxEpoch + 1}, false},
		"an older epoch":                {[]Input{run(5)}, Desired{Run: true, Epoch: 4}, false},
		"an older withdrawal":           {[]Input{run(5)}, Desired{Epoch: 4}, false},
		"the same again":                {[]Input{run(5)}, Desired{Run: true, Epoch: 5}, true},
		"the same, withdrawn":           {[]Input{run(5), withdraw(6)}, Desired{Run: true, Epoch: 6}, false},
		"a withdrawn one again (O10)":   {[]Input{run(5), withdraw(6)}, Desired{Run: true, Epoch: 5}, false},
		"a higher one after that":       {[]Input{run(5), withdraw(6)}, Desired{Run: true, Epoch: 7}, true},
		"after the loss of quorum":      {[]Input{run(5), Burn{}}, Desired{Run: true, Epoch: 7}, false},
		"dependencies in a cycle":       {nil, Desired{Run: true, Epoch: 1, Resources: cyclic}, false},
		"below what is known (O7)":      {[]Input{run(1, res("d", KindDisk)), Result{UID: "d", Serial: 1, Err: "x", Stale: true, Floor: 9}}, Desired{Run: true, Epoch: 8}, false},
		"above what was found (O7)":     {[]Input{run(1, res("d", KindDisk)), Result{UID: "d", Serial: 1, Err: "x", Stale: true, Floor: 9}}, Desired{Run: true, Epoch: 10}, true},
		"a cycle in a withdrawal is ok": {nil, Desired{Epoch: 1, Resources: cyclic}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := New(0)
			for i, in := range tc.before {
				m.Step(time.Duration(i+1), in)
			}
			err := m.Refuses(tc.in)
			var refused *RefusedError
			if (err == nil) != tc.ok || (err != nil && !errors.As(err, &refused)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBurn(t *testing.T) {
	w := online(t, demo()...)
	w.outcome = func(a Action) (time.Duration, string) {
		switch {
		case a.Op == OpOffline && a.UID == "app", a.Op == OpTerminate && a.UID == "ip":
			return 24 * time.Hour, "hang"
		}
		return time.Millisecond, ""
	}
	start := w.now
	w.step(Burn{Grace: start + 600*time.Millisecond, Hard: start + 850*time.Millisecond})
	w.run(500 * time.Millisecond)
	if !w.present["disk"] || !w.present["app"] {
		w.failf("it did not wait for the graceful stop")
	}
	w.run(200 * time.Millisecond)
	if w.present["app"] || w.present["disk"] {
		w.failf("S4: after the grace period it did not kill")
	}
	if w.m.Down() || w.m.Report().Running != 1 {
		w.failf("it is down, and the address is not")
	}
	w.outcome = nil
	w.run(terminateTimeout + time.Second) // the kill that hangs is given up and tried again
	if !w.m.Down() || w.m.Report().Released != 0 {
		w.failf("it is not down, or takes it for a release: %+v", w.m.Report())
	}
}

func TestSpecChanges(t *testing.T) {
	changed := func(i int, f func(*Resource)) []Resource {
		d := demo()
		f(&d[i])
		return d
	}
	tests := map[string]struct {
		to     []Resource
		starts map[string]int
		states map[string]string
	}{
		"nothing": {demo(), map[string]int{"disk": 1, "ip": 1, "app": 1}, map[string]string{"disk": "Online", "ip": "Online", "app": "Online"}},
		"a parameter of the process": {
			changed(2, func(r *Resource) { r.Fingerprint = "2" }),
			map[string]int{"disk": 1, "ip": 1, "app": 2}, map[string]string{"disk": "Online", "ip": "Online", "app": "Online"},
		},
		"a parameter of the disk": {
			changed(0, func(r *Resource) { r.Fingerprint = "2" }),
			map[string]int{"disk": 2, "ip": 1, "app": 2}, map[string]string{"disk": "Online", "ip": "Online", "app": "Online"},
		},
		"a parameter that is taken over": {
			changed(0, func(r *Resource) { r.Tuning = "2" }),
			map[string]int{"disk": 1, "ip": 1, "app": 1}, map[string]string{"disk": "Online", "ip": "Online", "app": "Online"},
		},
		"an interval": {
			changed(2, func(r *Resource) { r.Timing.LooksAlive = time.Second }),
			map[string]int{"disk": 1, "ip": 1, "app": 1}, map[string]string{"disk": "Online", "ip": "Online", "app": "Online"},
		},
		"the address is wanted offline": {
			changed(1, func(r *Resource) { r.Online = false }),
			map[string]int{"disk": 1, "ip": 1, "app": 1},
			map[string]string{"disk": "Online", "ip": "Offline/NotWanted", "app": "Offline/DependencyNotOnline"},
		},
		"the process is removed": {demo()[:2], map[string]int{"disk": 1, "ip": 1, "app": 1}, map[string]string{"disk": "Online", "ip": "Online"}},
		"the address is removed": {
			[]Resource{demo()[0], demo()[2]}, map[string]int{"disk": 1, "ip": 1, "app": 1},
			map[string]string{"disk": "Online", "app": "Offline/MissingDependency"},
		},
		"a second disk is added": {
			append(demo(), res("disk2", KindDisk)), map[string]int{"disk": 1, "ip": 1, "app": 1, "disk2": 1},
			map[string]string{"disk": "Online", "ip": "Online", "app": "Online", "disk2": "Online"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := online(t, demo()...)
			w.step(run(1, tc.to...))
			w.run(5 * time.Second)
			w.expect(tc.states)
			for resource, want := range tc.starts {
				if got := w.starts(resource); got != want {
					t.Errorf("%s was started %d times, want %d", resource, got, want)
				}
			}
		})
	}
}

func TestAnyOf(t *testing.T) {
	w := online(t, res("ip1", KindAddress), res("ip2", KindAddress), res("name", KindProcess, Dependency{AnyOf: []string{"ip1", "ip2"}}))
	w.run(time.Minute)
	w.unhealthy("ip1", ReasonHealthCheckFailed)
	w.run(time.Second)
	if w.starts("ip1") != 2 || w.starts("name") != 1 {
		w.failf("one of two addresses is enough, and the name was restarted")
	}
}

func TestHigherEpochInPlace(t *testing.T) {
	t.Run("O9 nothing restarts, the disk changes its key", func(t *testing.T) {
		w := online(t, demo()...)
		w.step(run(7, demo()...))
		w.run(time.Second)
		if w.starts("disk") != 1 || w.starts("app") != 1 || w.held["disk"] != 7 || w.m.Report().Running != 7 || w.m.Report().Proven != 7 {
			w.failf("%+v, held %v", w.m.Report(), w.held)
		}
	})
	t.Run("a move that is cancelled while it stops", func(t *testing.T) {
		w := online(t, demo()...)
		w.step(withdraw(2))
		w.step(run(3, demo()...))
		w.run(time.Second)
		w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Online"})
		if w.m.Report().Released != 0 {
			t.Error("it released what it then went on with")
		}
	})
	t.Run("a key that cannot be changed means fenced", func(t *testing.T) {
		w := online(t, demo()...)
		failed := false
		w.outcome = func(a Action) (time.Duration, string) {
			if a.Op == OpReserve && !failed {
				failed = true
				return time.Millisecond, "conflict"
			}
			return time.Millisecond, ""
		}
		w.step(run(7, demo()...))
		w.run(5 * time.Second)
		w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Online"})
		if w.starts("disk") != 2 || w.starts("ip") != 2 || w.starts("app") != 2 {
			w.failf("O17: it went on with a disk that it had lost")
		}
	})
}

func TestStale(t *testing.T) {
	w := online(t, demo()...)
	w.step(Unhealthy{UID: "disk", Serial: w.watched["disk"], Reason: ReasonReservationLost, Message: "taken", Stale: true, Floor: 9})
	w.run(time.Minute)
	r := w.m.Report()
	if r.Floor != 9 || r.Failover != nil || w.present["app"] || w.present["ip"] || w.present["disk"] {
		w.failf("O20: %+v", r)
	}
	w.step(run(10, demo()...))
	w.run(time.Second)
	w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Online"})
}

// TestStaleAtAnEqualEpoch: another node's key of the very same epoch (O20) is told as the next epoch, or nobody would go above it.
func TestStaleAtAnEqualEpoch(t *testing.T) {
	m := New(0)
	reserve := m.Step(1, run(3, res("d", KindDisk)))[0]
	m.Step(2, Result{UID: "d", Serial: reserve.Serial, Err: "epoch 3 of node 7", Stale: true, Floor: 3})
	if r := m.Report(); r.Floor != 4 || r.Resources[0].Reason != ReasonStale {
		t.Errorf("O20: %+v", r)
	}
	if err := m.Refuses(run(4, res("d", KindDisk)).Desired); err != nil {
		t.Errorf("the next epoch is refused: %v", err)
	}
}

func TestLeaseDeniedIsNoFailure(t *testing.T) {
	m := New(0)
	app := res("app", KindProcess)
	actions := m.Step(1, run(1, app))
	for i := range 20 {
		now := time.Duration(i+1) * 100 * time.Millisecond
		actions = m.Step(now, Result{UID: "app", Serial: actions[0].Serial, Err: "no lease", Denied: true})
		if len(actions) != 1 || actions[0].Op != OpTerminate {
			t.Fatalf("%+v", actions)
		}
		m.Step(now, Result{UID: "app", Serial: actions[0].Serial})
		if r := m.Report().Resources[0]; r.Restarts != 0 || r.Reason != ReasonWaitingForLease {
			t.Fatalf("O8: %+v", r)
		}
		at, ok := m.Deadline()
		if !ok {
			t.Fatal("it does not try again")
		}
		if actions = m.Step(at, Tick{}); len(actions) != 1 || actions[0].Op != OpOnline {
			t.Fatalf("%+v", actions)
		}
	}
}

func TestMaintenance(t *testing.T) {
	w := online(t, demo()...)
	frozen := run(1, demo()...)
	frozen.Desired.Frozen = true
	w.step(frozen)
	w.unhealthy("app", ReasonExited)
	w.run(time.Hour)
	w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Failed/Maintenance"})
	w.step(run(1, demo()...))
	w.run(time.Second)
	w.expect(map[string]string{"disk": "Online", "ip": "Online", "app": "Online"})
	w.step(frozen)
	w.step(withdraw(2))
	w.run(time.Second)
	if w.m.Report().Released != 2 {
		t.Error("maintenance delays a withdrawal")
	}
}

func TestPhases(t *testing.T) {
	w := newWorld(t)
	w.step(run(1, demo()...))
	w.run(time.Second)
	r := w.m.Report()
	// One millisecond to reserve; one for disk and address, one for the process.
	if !r.Fenced || r.Fence != time.Millisecond || !r.AllOnline || r.Online != 2*time.Millisecond {
		t.Errorf("fence %s, online %s", r.Fence, r.Online)
	}
}
