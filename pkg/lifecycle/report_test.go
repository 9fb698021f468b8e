package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// TestOverdueSaysWhy: a disk that was lost, and cannot be taken away, is told from what was withdrawn.
func TestOverdueSaysWhy(t *testing.T) {
	w := online(t, demo()...)
	w.step(Facts{Self: member(1, 1), Fencing: Fencing{SelfFence: 20 * time.Second}})
	w.outcome, w.urgent = after(OpTerminate, "disk", time.Millisecond, "busy"), true
	w.unhealthy("disk", ReasonReservationLost)
	w.run(time.Minute)
	r := w.m.Report()
	if len(r.Overdue) != 1 || r.Overdue[0].Message != "its reservation is lost, and it cannot be stopped: busy" {
		w.failf("%+v", r.Overdue)
	}
	w.step(withdraw(2))
	w.run(10 * time.Minute)
	if r := w.m.Report(); len(r.Overdue) == 0 || !strings.HasPrefix(r.Overdue[0].Message, "its reservation is lost") {
		w.failf("%+v", r.Overdue)
	}
}

// TestFirstDeadlineCounts: of several things that do not stop the first one's bound is the host's, wherever it is in the list.
func TestFirstDeadlineCounts(t *testing.T) {
	for _, order := range [][]string{{"slow", "quick"}, {"quick", "slow"}} {
		w := online(t, res(order[0], KindProcess), res(order[1], KindProcess))
		w.outcome = func(a Action) (time.Duration, string) {
			if a.UID == "slow" && a.Op == OpOffline {
				return time.Minute, "no"
			}
			return time.Millisecond, "no"
		}
		w.step(withdraw(2))
		at := w.now
		w.run(2 * time.Minute)
		if r := w.m.Report(); len(r.Stuck) != 2 || r.FenceAt < at+4*time.Minute || r.FenceAt > at+5*time.Minute+time.Second {
			w.failf("%v: %d after the withdrawal, %+v", order, r.FenceAt-at, r.Stuck)
		}
	}
}

// TestNewerIsNotForgotten: that a newer life of a node was seen counts after it has left, and after this node lost its own view.
func TestNewerIsNotForgotten(t *testing.T) {
	v := (*Views)(nil).Install(view(1, 10, member(1, 1), member(2, 6))).Install(view(2, 20, member(1, 1)))
	for what, v := range map[string]*Views{"it has left": v, "this node's view is lost": v.Lose()} {
		if !v.Newer(owner(2, 5)) || v.Newer(owner(2, 6)) {
			t.Errorf("%s: newer than 5 %v, than 6 %v", what, v.Newer(owner(2, 5)), v.Newer(owner(2, 6)))
		}
	}
	if (*Views)(nil).Lose() != nil {
		t.Error("there was nothing to lose")
	}
}

// TestReportBeforeAndAfter: nothing is told as reached before it is; what waits for a proof names whose.
func TestReportBeforeAndAfter(t *testing.T) {
	w := newWorld(t)
	w.step(Facts{Self: member(1, 1)})
	w.step(Apply{Desired{Run: true, Epoch: 2, View: model.ViewID{Number: 7}, Resources: []Resource{res("app", KindProcess)},
		Unproven: []model.Owner{owner(2, 5), owner(3, 1)}}})
	w.run(time.Second)
	if r := w.m.Report(); r.Fenced || r.AllOnline || r.Proven != 0 {
		w.failf("%+v", r)
	}
	if got, want := w.message("app"), "waits until it is certain that it has stopped on b, c"; got != want {
		w.failf("%q, want %q", got, want)
	}
	w.step(run(3, append(demo(), res("last", KindDisk))...))
	w.run(time.Second)
	r := w.m.Report()
	if !r.Fenced || !r.AllOnline || r.Proven != 3 {
		w.failf("%+v", r)
	}
	for _, x := range r.Resources {
		if isDisk := x.Device != ""; x.Reserved != isDisk || x.Enforced != isDisk {
			w.failf("%+v", x)
		}
	}
	w.urgent = true
	w.step(Burn{Grace: w.now + time.Second, Hard: w.now + 2*time.Second})
	w.run(5 * time.Second)
	if r := w.m.Report(); r.Running != 0 {
		w.failf("everything has stopped, and epoch %d is told to run", r.Running)
	}
}

// TestBrokenIsTold: what is being killed to be started again is on its way to be online, what is killed for good is not.
func TestBrokenIsTold(t *testing.T) {
	w := online(t, res("app", KindProcess))
	w.outcome = after(OpTerminate, "app", time.Second, "")
	w.unhealthy("app", ReasonExited)
	w.run(100 * time.Millisecond)
	w.want(map[string]string{"app": "OnlinePending/Restarting"})
	w.step(withdraw(2))
	w.run(100 * time.Millisecond)
	w.want(map[string]string{"app": "OfflinePending/Terminating"})
}
