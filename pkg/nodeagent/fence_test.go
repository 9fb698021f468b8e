package nodeagent

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/runstate"
)

// TestStopWaitsForNobody: quorum is lost while the keeper's pass waits, for an API server that does not answer or a disk that hangs.
// Everything is stopped all the same.
func TestStopWaitsForNobody(t *testing.T) {
	b := newBench(t)
	k := b.keeper
	k.begun = 3
	k.generation.Store(3)
	stopped := make(chan struct{})
	b.monitor.stopping = func() { close(stopped) }
	go k.fencer(t.Context())
	k.wakeUp() // nothing is lost yet
	b.stand(4, 0)
	k.wakeUp()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was stopped, because no pass ran")
	}
	if k.generation.Load() != 0 {
		t.Error("things may still be started in the life that is over")
	}
}

// TestStuck: what is left at the self-fence deadline has the host reset; what is left because the agent ends, or of a life that begins,
// has not.
func TestStuck(t *testing.T) {
	b := newBench(t)
	var stuck []monitor.Leftover
	b.keeper.stuck = func(left []monitor.Leftover) { stuck = left }
	b.monitor.stuck = []monitor.Leftover{{Message: "in the kernel"}}
	now := time.Duration(0)
	b.keeper.now = func() time.Duration { return now }
	b.keeper.lease.write(func(c *runstate.Lease) { c.KeepingUntil = 5 * time.Second })

	now = 5500 * time.Millisecond
	b.keeper.fence(t.Context(), time.Second) // it comes back early
	now = time.Minute
	b.keeper.fence(t.Context(), time.Second)
	if want := now + 250*time.Millisecond; b.monitor.deadline != want {
		t.Errorf("after a freeze everything must be gone at %s, not at %s", b.monitor.deadline, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b.monitor.stopping = func() { now += time.Second }
	b.keeper.fence(ended, time.Second)
	if stuck != nil {
		t.Errorf("the host is reset before its deadline, or by an agent that ends: %v", stuck)
	}
	b.monitor.stopping = func() { now += time.Second }
	b.keeper.fence(t.Context(), time.Second)
	if len(stuck) != 1 {
		t.Error("O10: the host is not reset although something is left at the deadline")
	}
}

// TestLeftoversKeepTheGuardianWatching: as long as something of an older life is there, the lease says that something runs.
func TestLeftoversKeepTheGuardianWatching(t *testing.T) {
	b := newBench(t)
	k := b.keeper
	k.lease.write(func(c *runstate.Lease) { c.Active, c.Generation = true, 2 })
	b.monitor.leftovers = []monitor.Leftover{{Message: "stuck"}}
	k.pass(t.Context())
	if !k.lease.content.Active || k.begun != 0 {
		t.Errorf("the lease says active=%t, life %d has begun", k.lease.content.Active, k.begun)
	}
	b.monitor.leftovers = nil
	k.pass(t.Context())
	if k.lease.content.Active || k.begun != 3 {
		t.Errorf("with nothing left the lease says active=%t, life %d has begun", k.lease.content.Active, k.begun)
	}
}

// TestUnreadableRecordInAResumedLife: the other groups go on; in a new life nobody may start anything before it is known to be gone.
func TestUnreadableRecordInAResumedLife(t *testing.T) {
	for _, resumed := range []bool{true, false} {
		b := newBench(t)
		if resumed {
			b.keeper.lease.write(func(c *runstate.Lease) { c.Generation = 3 })
		}
		b.monitor.leftovers = []monitor.Leftover{{Message: "a record cannot be read", Unreadable: true}}
		b.keeper.newLife(t.Context(), b.keeper.core.standing())
		if begun := b.keeper.begun == 3; begun != resumed {
			t.Errorf("resumed %t, but the life has begun: %t", resumed, begun)
		}
		if list := b.keeper.problems.list(); len(list) != 1 || list[0].Reason != problemLeftover {
			t.Errorf("problems: %+v", list)
		}
	}
}

// TestGuards: what the guardian says is told only while it runs and feeds the device that the cluster names.
func TestGuards(t *testing.T) {
	var changes int
	k := &guardianKeeper{
		log: testr.New(t), runDir: t.TempDir(), problems: newProblems(func() {}), guards: &guards{changed: func() { changes++ }},
		settings: func() *Settings { return &Settings{WatchdogDevice: "/dev/watchdog0"} },
	}
	k.configure()
	if c, err := runstate.ReadGuardConfig(k.runDir); c.WatchdogDevice != "/dev/watchdog0" || err != nil {
		t.Errorf("the guardian is told %+v, %v", c, err)
	}
	armed := runstate.GuardStatus{PID: 7, Watchdog: "/dev/watchdog0", Timeout: 2 * time.Second}
	k.note(armed, true)
	k.note(armed, true)
	if g := k.guards.get(); !g.Watchdog || !g.Guardian || *g.WatchdogTimeout != (metav1.Duration{Duration: 2 * time.Second}) || changes != 1 {
		t.Errorf("armed: %+v after %d changes", g, changes)
	}
	k.note(runstate.GuardStatus{PID: 7, Watchdog: "/dev/watchdog1", Timeout: time.Second}, true)
	if g := k.guards.get(); g.Watchdog || g.WatchdogTimeout != nil {
		t.Errorf("another device: %+v", g)
	}
	k.note(runstate.GuardStatus{PID: 7, Problem: "it is busy"}, true)
	if list := k.problems.list(); len(list) != 1 || list[0].Reason != v1alpha1.ProblemNoWatchdog {
		t.Errorf("problems: %+v", list)
	}
	k.note(armed, false)
	if g := k.guards.get(); g.Watchdog || g.Guardian {
		t.Errorf("without a guardian: %+v", g)
	}
}

// TestSuspended: while a challenge is under way after the end of keeping, only the begin of the stop moves (R8).
func TestSuspended(t *testing.T) {
	b := newBench(t)
	s := b.keeper.core.standing().Status
	s.Keeping, s.KeepingUntil = true, 9*time.Second
	b.keeper.lease.renew(&s)
	s.Keeping, s.KeepingUntil, s.Suspended, s.StopAt = false, 0, true, 10*time.Second
	b.keeper.lease.renew(&s)
	l := b.keeper.lease
	if l.stopBegins() != 10*time.Second || l.content.KeepingUntil != 9*time.Second || l.until.Load() != 0 {
		t.Errorf("the lease is %+v, addresses until %d", l.content, l.until.Load())
	}
}
