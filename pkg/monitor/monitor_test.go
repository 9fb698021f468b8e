package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

func only(calls []string, ops ...string) []string {
	return slices.DeleteFunc(calls, func(c string) bool {
		op, _, _ := strings.Cut(c, " ")
		return !slices.Contains(ops, op)
	})
}

func TestOnlineAndRelease(t *testing.T) {
	b := newBed(t)
	b.online()
	calls := only(b.host.log(), "Reserve", "Online")
	if calls[0] != "Reserve disk" || calls[len(calls)-1] != "Online app" {
		t.Errorf("the order of the start is %v", calls)
	}
	b.apply(desired(2, false))
	r := b.eventually("released", func(r GroupReport) bool { return r.Released == 2 })
	if r.Running != 0 || r.ReleasedHow != lifecycle.ReleasedGraceful || r.Floor != 2 {
		t.Errorf("the report is %+v", r)
	}
	want := []string{"Offline app", "Offline disk", "Offline ip"}
	got := only(b.host.log(), "Offline", "Terminate")
	slices.Sort(got[1:])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the stop (-want +got):\n%s", diff)
	}
	records, damage := b.store.Resources()
	if len(records)+len(damage) != 0 {
		t.Errorf("records are left: %v %v", records, damage)
	}
}

func TestHigherEpochTakesOverWithoutRestart(t *testing.T) {
	b := newBed(t)
	b.online()
	b.apply(desired(5, true))
	b.eventually("running at epoch 5", func(r GroupReport) bool { return r.Running == 5 && r.Proven == 5 })
	b.host.mu.Lock()
	key := b.host.keys["disk"]
	b.host.mu.Unlock()
	if _, starts := b.host.count("app"); starts != 1 || key != 5 {
		t.Errorf("app was started %d times, the disk's key has epoch %d", starts, key)
	}
	var refused *lifecycle.RefusedError
	if err := b.m.Apply(desired(4, true)); !errors.As(err, &refused) {
		t.Errorf("an older epoch: %v", err)
	}
}

// TestARefusedAssignmentTellsWhy: an API server that was restored issues epochs that this host has seen already; it has to hear so (O7).
func TestARefusedAssignmentTellsWhy(t *testing.T) {
	b := newBed(t)
	if err := b.store.RaiseFloor(desired(1, true).Group.UID, 7); err != nil {
		t.Fatal(err)
	}
	var refused *lifecycle.RefusedError
	if err := b.m.Apply(desired(2, true)); !errors.As(err, &refused) {
		t.Fatalf("epoch 2 below 7: %v", err)
	}
	if r := b.m.Reports(); len(r) != 1 || r[0].Floor != 7 || r[0].Running != 0 {
		t.Errorf("the reports are %+v", r)
	}
}

func TestUnchangedSpecDoesNothingAndPoliciesRestartNothing(t *testing.T) {
	b := newBed(t)
	b.online()
	before := only(b.host.log(), "Online", "Offline", "Reserve", "Terminate")
	d := desired(1, true)
	for i := range d.Resources {
		d.Resources[i].Spec = json.RawMessage(strings.Replace(string(d.Resources[i].Spec), `"threshold":3`, `"threshold":9`, 1))
	}
	b.apply(desired(1, true))
	b.apply(d)
	time.Sleep(30 * time.Millisecond)
	if diff := cmp.Diff(before, only(b.host.log(), "Online", "Offline", "Reserve", "Terminate")); diff != "" {
		t.Errorf("it did something:\n%s", diff)
	}
	// A parameter restarts that resource and what depends on it, and the old one is stopped with the old spec.
	d.Resources[1].Spec = json.RawMessage(`{"type":"Address","p":{"v":2}}`)
	b.apply(d)
	b.eventually("restarted", func(r GroupReport) bool {
		_, ip := b.host.count("ip")
		_, app := b.host.count("app")
		return isOnline(r) && ip == 2 && app == 2
	})
	if _, starts := b.host.count("disk"); starts != 1 {
		t.Errorf("the disk was started %d times", starts)
	}
}

func TestExitIsSeenAtOnceAndRestarted(t *testing.T) {
	b := newBed(t)
	b.online()
	time.Sleep(15 * time.Millisecond) // longer than the restart delay, so the restart comes at once
	started := time.Now()
	b.host.set(func() { b.host.instances["app"] = 0; b.host.exits["app"] <- errors.New("killed") })
	b.eventually("restarted", func(r GroupReport) bool {
		n, starts := b.host.count("app")
		return n == 1 && starts == 2 && isOnline(r)
	})
	if took := time.Since(started); took > 400*time.Millisecond {
		t.Errorf("the restart took %s", took)
	}
}

func TestThresholdAsksForFailover(t *testing.T) {
	b := newBed(t)
	b.host.set(func() { b.host.fail["Online app"] = errors.New("broken") })
	b.apply(desired(1, true))
	r := b.eventually("asking for a failover", func(r GroupReport) bool { return r.Failover != nil })
	if _, starts := b.host.count("app"); starts != 4 { // the first, and three restarts
		t.Errorf("app was started %d times", starts)
	}
	if r.Failover.Resource != "app" || r.Failover.Epoch != 1 || r.State != model.GroupFailed {
		t.Errorf("the report is %+v", r)
	}
}

func TestHealthChecks(t *testing.T) {
	tests := map[string]struct {
		hurt   func(h *host)
		reason lifecycle.Reason
	}{
		"IsAlive fails":                         {func(h *host) { h.sick["app"] = errors.New("sick") }, lifecycle.ReasonHealthCheckFailed},
		"IsAlive hangs":                         {func(h *host) { h.data["hang"] = "IsAlive app" }, lifecycle.ReasonDeadlocked},
		"the reservation is lost":               {func(h *host) { h.sick["disk"] = resourcetype.ErrReservationLost }, lifecycle.ReasonReservationLost},
		"looks alive fails and is alive passes": {func(h *host) { h.fail["LooksAlive app"] = errors.New("slow") }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.online()
			b.host.set(func() { tc.hurt(b.host) })
			if tc.reason == "" {
				time.Sleep(150 * time.Millisecond)
				if _, starts := b.host.count("app"); starts != 1 || !isOnline(b.report()) {
					t.Errorf("A05: it was restarted (%d starts)", starts)
				}
				return
			}
			// Seen through its consequence; the reason is in a report on the way.
			deadline := time.Now().Add(3 * time.Second)
			for time.Now().Before(deadline) {
				b.mu.Lock()
				seen := slices.ContainsFunc(b.reports, func(r GroupReport) bool {
					return slices.ContainsFunc(r.Resources, func(x lifecycle.ResourceReport) bool { return x.Restarts > 0 })
				})
				b.mu.Unlock()
				if seen {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("no failure was counted; calls %v", b.host.log())
		})
	}
}

func TestLeaseDenies(t *testing.T) {
	b := newBed(t)
	b.mu.Lock()
	b.mayAct = errors.New("no lease")
	b.mu.Unlock()
	b.apply(desired(1, true))
	r := b.eventually("waiting for the lease", func(r GroupReport) bool {
		return len(r.Resources) == 3 && r.Resources[0].Reason == lifecycle.ReasonWaitingForLease
	})
	if r.Resources[0].Restarts != 0 || len(only(b.host.log(), "Reserve", "Online")) != 0 {
		t.Errorf("O8: it acted or counted a failure: %+v", r)
	}
	b.mu.Lock()
	b.mayAct = nil
	b.mu.Unlock()
	b.eventually("online", isOnline)
}

// A node that is suspended has no lease, and its addresses are silent: checks that fail then are no failures of the resources.
func TestHealthChecksWithoutALease(t *testing.T) {
	b := newBed(t)
	b.online()
	set := func(err error) {
		b.mu.Lock()
		b.mayAct = err
		b.mu.Unlock()
	}
	set(errors.New("no lease"))
	b.host.set(func() { b.host.sick["app"] = errors.New("silent") })
	time.Sleep(200 * time.Millisecond)
	if _, starts := b.host.count("app"); starts != 1 || !isOnline(b.report()) {
		t.Fatalf("a check that failed without a lease was counted (%d starts)", starts)
	}
	set(nil)
	b.eventually("a failure that is counted once the lease is back", func(r GroupReport) bool {
		return slices.ContainsFunc(r.Resources, func(x lifecycle.ResourceReport) bool { return x.Restarts > 0 })
	})
}

func TestStaleDiskStopsAndReportsTheFloor(t *testing.T) {
	b := newBed(t)
	b.host.set(func() { b.host.fail["Reserve disk"] = &resourcetype.StaleError{Device: "disk", Epoch: 9, Node: 2} })
	b.apply(desired(1, true))
	r := b.eventually("stale", func(r GroupReport) bool { return r.Floor == 9 })
	if len(only(b.host.log(), "Online")) != 0 || r.Failover != nil {
		t.Errorf("O20: it went on: %+v", r)
	}
	if b.store.Floor("uid-group") != 9 {
		t.Errorf("O7: the floor kept is %d", b.store.Floor("uid-group"))
	}
	b.host.set(func() { delete(b.host.fail, "Reserve disk") })
	b.apply(desired(10, true))
	b.eventually("online", isOnline)
}

func TestStopAll(t *testing.T) {
	tests := map[string]struct {
		setUp func(h *host)
		left  int
	}{
		"all stop gracefully": {func(*host) {}, 0},
		"a stop hangs":        {func(h *host) { h.data["hang"] = "Offline app" }, 0},
		"a stop fails":        {func(h *host) { h.fail["Offline app"] = errors.New("busy") }, 0},
		"a kill fails as well": {func(h *host) {
			h.fail["Offline disk"], h.fail["Terminate disk"] = errors.New("busy"), errors.New("busy")
		}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.online()
			b.host.set(func() { tc.setUp(b.host) })
			started := time.Now()
			left := b.m.StopAll(t.Context(), runstate.BootTime()+400*time.Millisecond)
			if took := time.Since(started); took > 800*time.Millisecond {
				t.Errorf("it took %s", took)
			}
			if len(left) != tc.left {
				t.Errorf("left is %+v", left)
			}
			var refused *lifecycle.RefusedError
			if err := b.m.Apply(desired(2, true)); !errors.As(err, &refused) {
				t.Errorf("O3: a burnt generation obeyed: %v", err)
			}
			if err := b.m.SetIdentity(1, 2, "0011223344556677"); (err == nil) != (tc.left == 0) {
				t.Errorf("a new generation: %v", err)
			}
			if tc.left == 0 {
				b.apply(desired(2, true))
				b.eventually("online", isOnline)
			}
		})
	}
}

func TestForget(t *testing.T) {
	b := newBed(t)
	b.online()
	b.m.Forget("uid-group")
	deadline := time.Now().Add(3 * time.Second)
	for len(b.m.Reports()) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := b.reports[len(b.reports)-1]; !last.Gone || last.Running != 0 {
		t.Errorf("the last report is %+v", last)
	}
	if groups, _ := b.store.Groups(); len(groups) != 0 {
		t.Errorf("records are left: %v", groups)
	}
}

// TestCrashInEachPendingState kills the agent at each point of each op: the next one ends in one instance and the right state.
func TestCrashInEachPendingState(t *testing.T) {
	for _, point := range []string{
		"Reserve.before disk", "Reserve.after disk", "Online.before disk", "Online.after disk", "Online.before app", "Online.after app",
	} {
		t.Run(point, func(t *testing.T) {
			b := newBed(t)
			b.host.set(func() { b.host.stop = point })
			b.apply(desired(1, true))
			<-b.host.stopped
			b.crash()
			b.adopt(1)
			b.eventually("online without the API", isOnline)
			b.apply(desired(1, true))
			b.exactlyOne()
		})
	}
	for _, point := range []string{"Offline.before app", "Offline.after app", "Offline.before disk", "Terminate.before app", "Terminate.after app"} {
		t.Run(point, func(t *testing.T) {
			b := newBed(t)
			b.online()
			b.host.set(func() {
				b.host.stop = point
				if strings.HasPrefix(point, "Terminate") {
					b.host.fail["Offline app"] = errors.New("busy")
				}
			})
			b.apply(desired(2, false))
			<-b.host.stopped
			b.crash()
			b.adopt(1)
			r := b.eventually("released", func(r GroupReport) bool { return r.Released == 2 })
			for _, name := range []string{"disk", "ip", "app"} {
				if n, _ := b.host.count(name); n != 0 || r.Running != 0 {
					t.Errorf("%s is still there: %+v", name, r)
				}
			}
			var refused *lifecycle.RefusedError
			if err := b.m.Apply(desired(1, true)); !errors.As(err, &refused) {
				t.Errorf("O10: a withdrawn epoch is started again: %v", err)
			}
		})
	}
}

func (b *bed) adopt(want int) {
	b.t.Helper()
	adopted, err := b.m.Adopt()
	if err != nil || len(adopted) != want {
		b.t.Fatalf("adopted %v: %v", adopted, err)
	}
	if left := b.m.CleanUp(b.t.Context()); len(left) != 0 {
		b.t.Fatalf("left %v", left)
	}
}

func (b *bed) exactlyOne() {
	b.t.Helper()
	for _, name := range []string{"disk", "ip", "app"} {
		if n, _ := b.host.count(name); n != 1 {
			b.t.Errorf("%d instances of %s", n, name)
		}
	}
}

func TestAdoptionDisturbsNothing(t *testing.T) {
	b := newBed(t)
	b.online()
	before := b.report()
	b.crash()
	b.adopt(1)
	b.apply(desired(1, true))
	time.Sleep(50 * time.Millisecond)
	for _, name := range []string{"disk", "ip", "app"} {
		if n, starts := b.host.count(name); n != 1 || starts != 1 {
			t.Errorf("%s: %d instances, %d starts", name, n, starts)
		}
	}
	after := b.report()
	if diff := cmp.Diff(before.Report, after.Report); diff != "" {
		t.Errorf("the report has changed (-before +after):\n%s", diff)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.reports {
		if len(r.Resources) > 0 && r.Resources[0].State == model.ResourceFailed {
			t.Errorf("it was reported as %+v", r)
		}
	}
}

func TestAdoptionFindsADeadProcess(t *testing.T) {
	b := newBed(t)
	b.online()
	b.crash()
	b.host.set(func() { b.host.instances["app"] = 0 })
	b.adopt(1)
	b.eventually("restarted", func(r GroupReport) bool {
		n, starts := b.host.count("app")
		return n == 1 && starts == 2 && isOnline(r)
	})
}

func TestOldGenerationIsCleanedUp(t *testing.T) {
	tests := map[string]func(b *bed){
		"the node has lost quorum": func(b *bed) { b.genNow++ },
		"the host was rebooted":    func(b *bed) { b.bootName = "boot-2" },
		"the guardian has locked": func(b *bed) {
			if err := runstate.WriteLock(b.dir+"/run", runstate.Lock{Generation: 1}); err != nil {
				b.t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.online()
			change(b)
			b.crash()
			b.adopt(0)
			for _, name := range []string{"disk", "ip", "app"} {
				if n, _ := b.host.count(name); n != 0 {
					t.Errorf("S9: %s is left", name)
				}
			}
			got := only(b.host.log(), "Terminate")
			if len(got) != 3 || got[0] != "Terminate app" {
				t.Errorf("the order is %v", got)
			}
		})
	}
}

func TestGarbledRecordIsReportedNotFatal(t *testing.T) {
	b := newBed(t)
	b.online()
	if err := os.WriteFile(b.dir+"/run/resources/x.json", []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.crash()
	if _, err := b.m.Adopt(); err != nil {
		t.Fatal(err)
	}
	left := b.m.CleanUp(context.Background())
	if len(left) != 1 || !strings.Contains(left[0].Message, "x.json") {
		t.Errorf("left is %+v", left)
	}
	b.eventually("online", isOnline)
}
