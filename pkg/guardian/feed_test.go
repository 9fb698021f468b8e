package guardian

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/watchdog"
)

// arm names a device to the guardian; with a timeout of a second it is the one of the tests' self-fence timeout.
func (b *bed) arm() {
	b.t.Helper()
	if err := runstate.WriteGuardConfig(b.runDir, runstate.GuardConfig{WatchdogDevice: "/dev/watchdog0"}); err != nil {
		b.t.Fatal(err)
	}
}

// fires wants the watchdog to reset the host within the bound that other nodes wait for.
func (b *bed) fires(begins time.Duration) {
	b.t.Helper()
	bound := watchdog.Bound(fence, watchdog.Timeout(fence))
	for b.watchdog.Fired() == 0 && runstate.BootTime() < begins+bound+slack {
		time.Sleep(5 * time.Millisecond)
	}
	switch fired := b.watchdog.Fired(); {
	case fired == 0:
		b.t.Errorf("the host is not reset; last fed %s after the stop began", b.watchdog.LastFed()-begins)
	case fired > begins+bound:
		b.t.Errorf("the host is reset %s after the stop began, later than %s", fired-begins, bound)
	}
}

func TestWatchdogIsFedWhileTheLeaseLives(t *testing.T) {
	b := newBed(t)
	b.arm()
	longer := func(l *runstate.Lease) { l.KeepingUntil += slack }
	b.write(longer)
	b.guard()
	for range 60 {
		b.write(longer)
		time.Sleep(25 * time.Millisecond)
	}
	if !b.watchdog.Armed() || b.watchdog.Fired() != 0 {
		t.Errorf("armed %t, fired at %s", b.watchdog.Armed(), b.watchdog.Fired())
	}
	status, running := Status(b.runDir)
	if want := (runstate.GuardStatus{PID: os.Getpid(), Watchdog: "/dev/watchdog0", Identity: "fake", Timeout: time.Second}); status != want || !running {
		t.Errorf("the guardian says %+v, running %t", status, running)
	}
}

func TestWatchdogIsFedAgainWhenAllIsStopped(t *testing.T) {
	b := newBed(t)
	b.arm()
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	b.untilStopped(end)
	time.Sleep(1500 * time.Millisecond)
	if fired := b.watchdog.Fired(); fired != 0 {
		t.Errorf("the host was reset %s after the lease although everything had stopped", fired-end)
	}
}

func TestWatchdogResetsAHostThatCannotStop(t *testing.T) {
	b := newBed(t)
	b.arm()
	b.typ.hangs["app"] = true
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	b.fires(end)
}

// TestWatchdogResetsWhenTheGuardianHangs: a feeder that nobody tells anything any more ends at the end of what it was allowed.
func TestWatchdogResetsWhenTheGuardianHangs(t *testing.T) {
	now := 100 * time.Second
	fake := watchdog.NewFake(func() time.Duration { return now })
	dir := t.TempDir()
	if err := runstate.WriteGuardConfig(dir, runstate.GuardConfig{WatchdogDevice: "/dev/watchdog0"}); err != nil {
		t.Fatal(err)
	}
	f := newFeeder(&Options{RunDir: dir, Now: func() time.Duration { return now }, Watchdog: fake.Open, Log: testr.New(t)})
	f.configure(time.Second)
	begins := now + 1300*time.Millisecond
	f.allow(watchdog.LastFeed(begins, begins+time.Second, f.timeout()))
	for now < begins+5*time.Second && fake.Fired() == 0 {
		now += f.feed()
	}
	if fired := fake.Fired(); fired > begins+watchdog.Bound(time.Second, time.Second) || fired < begins+time.Second-2*lastMoment {
		t.Errorf("reset %s after the stop should have begun", fired-begins)
	}
}

func TestWatchdogFollowsTheCluster(t *testing.T) {
	dir := t.TempDir()
	fake := watchdog.NewFake(runstate.BootTime)
	refuse := errors.New("it is held by another program")
	var fail error
	f := newFeeder(&Options{
		RunDir: dir, Now: runstate.BootTime, Log: testr.New(t),
		Watchdog: func(path string, timeout time.Duration) (watchdog.Device, error) {
			if fail != nil {
				return nil, fail
			}
			return fake.Open(path, timeout)
		},
	})
	told := func() runstate.GuardStatus {
		s, err := runstate.ReadGuardStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	config := func(device string) {
		if err := runstate.WriteGuardConfig(dir, runstate.GuardConfig{WatchdogDevice: device}); err != nil {
			t.Fatal(err)
		}
	}
	f.configure(time.Second)
	if s := told(); s.Watchdog != "" || s.PID == 0 || fake.Armed() {
		t.Errorf("without a device: %+v", s)
	}
	fail = refuse
	config("/dev/watchdog0")
	f.configure(time.Second)
	if s := told(); s.Watchdog != "" || s.Problem != refuse.Error() {
		t.Errorf("a device that is refused: %+v", s)
	}
	fail = nil
	config("/dev/watchdog1")
	f.configure(time.Second)
	if s := told(); s.Watchdog != "/dev/watchdog1" || s.Timeout != time.Second || !fake.Armed() {
		t.Errorf("armed: %+v", s)
	}
	f.configure(3 * time.Second)
	if s := told(); s.Timeout != 3*time.Second {
		t.Errorf("another selfFence.timeout: %+v", s)
	}
	config("")
	f.configure(time.Second)
	if s := told(); s.Watchdog != "" || fake.Armed() {
		t.Errorf("taken away: %+v, armed %t", s, fake.Armed())
	}
}

// TestGuardianThatEnds leaves a device counting while something runs, and stops it otherwise.
func TestGuardianThatEnds(t *testing.T) {
	for _, safe := range []bool{true, false} {
		dir := t.TempDir()
		fake := watchdog.NewFake(runstate.BootTime)
		if err := runstate.WriteGuardConfig(dir, runstate.GuardConfig{WatchdogDevice: "/dev/watchdog0"}); err != nil {
			t.Fatal(err)
		}
		f := newFeeder(&Options{RunDir: dir, Now: runstate.BootTime, Watchdog: fake.Open, Log: testr.New(t)})
		f.configure(time.Second)
		f.end(safe)
		if fake.Armed() == safe {
			t.Errorf("safe %t, but armed %t", safe, fake.Armed())
		}
	}
}

// TestLeaseThatShrinks: a lease that became shorter counts from then on, whatever the guardian has read before.
func TestLeaseThatShrinks(t *testing.T) {
	b := newBed(t)
	b.write(func(l *runstate.Lease) { l.KeepingUntil += 20 * time.Second })
	b.guard()
	time.Sleep(2 * idle)
	b.write(nil)
	b.untilStopped(runstate.BootTime() + 200*time.Millisecond)
}

// TestGuardianTakesOverWhatAnotherHasBegun: one that was killed on the way is followed by one that goes on, with what is left.
func TestGuardianTakesOverWhatAnotherHasBegun(t *testing.T) {
	b := newBed(t)
	if err := runstate.WriteLock(b.runDir, runstate.Lock{Generation: 3, Reason: "a guardian before"}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.DeleteResource("web"); err != nil {
		t.Fatal(err)
	}
	if err := b.groups["web"].Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.write(func(l *runstate.Lease) { l.KeepingUntil += 20 * time.Second }) // the lock counts, not the lease
	b.guard()
	b.untilStopped(runstate.BootTime())
}

// TestUnreadableRecord: nobody knows what it stands for, so the host is not safe, and is given up at the deadline.
func TestUnreadableRecord(t *testing.T) {
	b := newBed(t)
	if err := os.WriteFile(filepath.Join(b.runDir, "resources", "torn.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	b.untilStopped(end)
	b.untilStuck(end)
	if now := runstate.BootTime(); now < end+fence {
		t.Errorf("it was given up %s before its deadline", end+fence-now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stuck) != 1 || !b.stuck[0].Unreadable {
		t.Errorf("the stuck are %+v", b.stuck)
	}
}
