package guardian

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/cgroup/cgrouptest"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/watchdog"
)

// cgroupType is a resource that is a cgroup of real processes; only Terminate matters to a guardian.
type cgroupType struct {
	resourcetype.Type
	mu    sync.Mutex
	order []string
	hangs map[string]bool
	// first is called at the first Terminate.
	first func()
}

func (c *cgroupType) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	c.mu.Lock()
	if c.first != nil && len(c.order) == 0 {
		c.first()
	}
	c.order = append(c.order, inst.Resource.Name)
	hangs := c.hangs[inst.Resource.Name]
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	var path string
	if _, err := inst.LoadData(&path); err != nil {
		return err
	}
	g := cgroup.At(path)
	if err := g.Kill(ctx); err != nil {
		return err
	}
	return g.WaitEmpty(ctx)
}

func (c *cgroupType) terminated() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// bed is a host with processes in cgroups, their records, a stand-in for the agent and a guardian.
type bed struct {
	t      *testing.T
	runDir string
	root   string
	store  *runstate.Store
	typ    *cgroupType
	lease  *runstate.LeaseFile
	agent  *exec.Cmd
	groups map[string]*cgroup.Cgroup

	// watchdog is in place of a device; it is armed when the guard's configuration names one.
	watchdog *watchdog.Fake

	mu    sync.Mutex
	stuck []monitor.Leftover
}

const (
	fence = 800 * time.Millisecond
	// slack is what a machine that is busy with other things may add to what a test waits for.
	slack = 700 * time.Millisecond
)

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, runDir: t.TempDir(), root: cgrouptest.Root(t), typ: &cgroupType{hangs: map[string]bool{}}, groups: map[string]*cgroup.Cgroup{}}
	b.watchdog = watchdog.NewFake(runstate.BootTime)
	var err error
	if b.store, err = runstate.Open(b.runDir, ""); err != nil {
		t.Fatal(err)
	}
	if b.lease, err = runstate.OpenLease(b.runDir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.lease.Close() })
	b.agent = b.spawn(nil, "exec sleep 1000")
	b.resource("disk")
	b.resource("app", "disk")
	b.resource("web", "app")
	return b
}

// spawn starts a real process, inside the cgroup if there is one.
func (b *bed) spawn(in *cgroup.Cgroup, script string) *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if in != nil {
		dir, err := in.Open()
		if err != nil {
			b.t.Fatal(err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() { _ = cmd.Wait(); close(reaped) }()
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); <-reaped })
	return cmd
}

// resource starts processes of a resource, deaf to TERM and with a child that leaves the session, and records them.
func (b *bed) resource(name string, uses ...string) {
	b.t.Helper()
	g := cgroup.At(filepath.Join(b.root, name))
	if err := g.Create(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(g.Kill(ctx), g.WaitEmpty(ctx), g.Remove()); err != nil {
			b.t.Errorf("cleaning up: %v", err)
		}
	})
	b.groups[name] = g
	b.spawn(g, "trap '' TERM; setsid sleep 1000 & sleep 1000")
	data, err := json.Marshal(g.Path())
	if err != nil {
		b.t.Fatal(err)
	}
	record := runstate.Resource{
		Resource: resourcetype.Identity{UID: name, Namespace: "demo", Name: name},
		Group:    resourcetype.Identity{UID: "group", Namespace: "demo", Name: "group"},
		Type:     "Process", Generation: 3, Data: data, DependsOn: uses,
		Machine: lifecycle.SavedResource{Phase: lifecycle.PhaseOnline},
	}
	if err := b.store.PutResource(&record); err != nil {
		b.t.Fatal(err)
	}
}

// write renews the lease, for the agent's process.
func (b *bed) write(change func(*runstate.Lease)) {
	b.t.Helper()
	started, err := runstate.StartTime(b.agent.Process.Pid)
	if err != nil {
		b.t.Fatal(err)
	}
	l := runstate.Lease{
		KeepingUntil: runstate.BootTime() + 200*time.Millisecond, Generation: 3, PID: b.agent.Process.Pid, StartTime: started,
		Active: true, SelfFence: fence,
	}
	if change != nil {
		change(&l)
	}
	if err := b.lease.Write(l); err != nil {
		b.t.Fatal(err)
	}
}

// guard runs a guardian until the test ends.
func (b *bed) guard() {
	b.t.Helper()
	types := resourcetype.NewRegistry()
	types.Register("Process", b.typ)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		err := Run(ctx, Options{
			RunDir: b.runDir, Types: types, Watchdog: b.watchdog.Open, Log: testr.NewWithOptions(b.t, testr.Options{Verbosity: -1}),
			Stuck: func(left []monitor.Leftover) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.stuck = left
			},
		})
		if err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(func() { cancel(); wait.Wait() })
}

// running lists the resources that have processes.
func (b *bed) running() []string {
	b.t.Helper()
	var names []string
	for name, g := range b.groups {
		populated, err := g.Populated()
		if err != nil {
			b.t.Fatal(err)
		}
		if populated {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (b *bed) agentRuns() bool { return b.agent.Process.Signal(syscall.Signal(0)) == nil }

// untilStopped waits until nothing runs and returns when that was, after the given time.
func (b *bed) untilStopped(from time.Duration) time.Duration {
	b.t.Helper()
	for runstate.BootTime() < from+3*time.Second {
		if len(b.running()) == 0 {
			return runstate.BootTime() - from
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatalf("still running: %v", b.running())
	return 0
}

// untilStuck waits until the guardian has given something up.
func (b *bed) untilStuck(from time.Duration) {
	b.t.Helper()
	for runstate.BootTime() < from+fence+3*time.Second {
		b.mu.Lock()
		n := len(b.stuck)
		b.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatal("nothing was given up")
}

func TestHungAgentIsKilledAndAllIsStoppedInTime(t *testing.T) {
	b := newBed(t)
	b.typ.first = func() {
		if lock, err := runstate.ReadLock(b.runDir); err != nil || !lock.Burns(3) {
			t.Errorf("O11: it acts under the lock %+v, %v", lock, err)
		}
		if stat, err := os.ReadFile(filepath.Join("/proc", jsonNumber(b.agent.Process.Pid), "stat")); err == nil && !zombie(stat) {
			t.Error("O11: it acts while the agent lives")
		}
	}
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	time.Sleep(time.Until(time.Now().Add(end - runstate.BootTime() + fence/8)))
	if got := b.running(); len(got) != 3 || !b.agentRuns() {
		t.Errorf("before a quarter of the self-fence timeout it stopped something: %v run", got)
	}
	took := b.untilStopped(end)
	if took > fence+slack {
		t.Errorf("everything was stopped %s after the lease, later than selfFence.timeout", took)
	}
	t.Logf("stopped %s after the end of the lease", took)
	if got := b.typ.terminated(); !slices.Equal(got, []string{"web", "app", "disk"}) {
		t.Errorf("the order is %v", got)
	}
	lock, err := runstate.ReadLock(b.runDir)
	if err != nil || !lock.Burns(3) || lock.Burns(4) {
		t.Errorf("O11: the lock is %+v, %v", lock, err)
	}
	time.Sleep(20 * time.Millisecond)
	if b.agentRuns() {
		t.Error("O11: the agent lives")
	}
	if records, _ := b.store.Resources(); len(records) != 0 {
		t.Errorf("records are left: %v", records)
	}
}

func TestStopBeginsLaterWhileAChallengeIsUnderWay(t *testing.T) {
	b := newBed(t)
	const wait = 500 * time.Millisecond
	b.write(func(l *runstate.Lease) { l.StopAt = l.KeepingUntil + wait })
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	if took := b.untilStopped(end); took < wait+fence/4-20*time.Millisecond || took > wait+fence+slack {
		t.Errorf("everything was stopped %s after the lease, which the challenge prolongs by %s", took, wait)
	}
}

func TestRenewedLeaseTouchesNothing(t *testing.T) {
	b := newBed(t)
	longer := func(l *runstate.Lease) { l.KeepingUntil += slack }
	b.write(longer)
	b.guard()
	for range 60 {
		b.write(longer)
		time.Sleep(25 * time.Millisecond)
	}
	if got := b.running(); len(got) != 3 || len(b.typ.terminated()) != 0 || !b.agentRuns() {
		t.Errorf("it stopped something: %v run", got)
	}
	if lock, _ := runstate.ReadLock(b.runDir); lock != nil {
		t.Errorf("it locked: %+v", lock)
	}
}

func TestNothingActiveIsLeftAlone(t *testing.T) {
	b := newBed(t)
	b.write(func(l *runstate.Lease) { l.Active, l.KeepingUntil = false, 1 })
	b.guard()
	time.Sleep(2 * idle)
	if !b.agentRuns() || len(b.typ.terminated()) != 0 {
		t.Error("it acted although the agent says that nothing runs")
	}
}

func TestAgentThatStopsByItselfGetsTime(t *testing.T) {
	tests := map[string]struct {
		dies     bool
		from, to time.Duration
	}{
		"it is still at it":  {false, fence * 3 / 4, fence + slack},
		"it dies on the way": {true, fence / 4, fence + slack},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.write(func(l *runstate.Lease) { l.Stopping = true })
			end := runstate.BootTime() + 200*time.Millisecond
			b.guard()
			if tc.dies {
				_ = b.agent.Process.Kill()
			}
			took := b.untilStopped(end)
			if took < tc.from-20*time.Millisecond || took > tc.to {
				t.Errorf("everything was stopped after %s, not between %s and %s", took, tc.from, tc.to)
			}
		})
	}
}

func TestDeadAgentWhoseLeaseLastsMayComeBack(t *testing.T) {
	b := newBed(t)
	b.write(func(l *runstate.Lease) { l.KeepingUntil += 300 * time.Millisecond })
	b.guard()
	_ = b.agent.Process.Kill()
	time.Sleep(200 * time.Millisecond)
	b.agent = b.spawn(nil, "exec sleep 1000") // the next agent, which renews
	for range 30 {
		b.write(nil)
		time.Sleep(25 * time.Millisecond)
	}
	if got := b.running(); len(got) != 3 || !b.agentRuns() {
		t.Errorf("a restart of the agent stopped something: %v run", got)
	}
}

func TestPidThatIsUsedAgainIsSpared(t *testing.T) {
	b := newBed(t)
	b.write(func(l *runstate.Lease) { l.StartTime++ })
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	b.untilStopped(end)
	if !b.agentRuns() {
		t.Error("it killed a process that is not the agent")
	}
}

func TestOneThatHangsDoesNotDelayTheOthers(t *testing.T) {
	b := newBed(t)
	b.typ.hangs["app"] = true
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	for runstate.BootTime() < end+fence+slack && !slices.Equal(b.running(), []string{"app"}) {
		time.Sleep(2 * time.Millisecond)
	}
	if got := b.running(); !slices.Equal(got, []string{"app"}) {
		t.Errorf("at selfFence.timeout there run %v", got)
	}
	b.untilStuck(end)
	if now := runstate.BootTime(); now < end+fence {
		t.Errorf("it was given up %s before its deadline", end+fence-now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stuck) != 1 || b.stuck[0].Resource.Name != "app" {
		t.Errorf("the stuck are %+v", b.stuck)
	}
}

func TestNewerGenerationIsSpared(t *testing.T) {
	b := newBed(t)
	b.resource("fresh")
	records, _ := b.store.Resources()
	for _, r := range records {
		if r.Resource.Name == "fresh" {
			r.Generation = model.Generation(4)
			if err := b.store.PutResource(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.write(nil)
	b.guard()
	end := runstate.BootTime() + 200*time.Millisecond
	for runstate.BootTime() < end+fence+slack && !slices.Equal(b.running(), []string{"fresh"}) {
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if got := b.running(); !slices.Equal(got, []string{"fresh"}) {
		t.Errorf("there run %v", got)
	}
}

func TestOnlyOneGuardian(t *testing.T) {
	b := newBed(t)
	if Running(b.runDir) {
		t.Error("one runs before it was started")
	}
	b.guard()
	deadline := time.Now().Add(time.Second)
	for !Running(b.runDir) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if err := Run(t.Context(), Options{RunDir: b.runDir}); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
}

func TestChildrenOfTheAgentAreKilled(t *testing.T) {
	b := newBed(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	b.agent = b.spawn(nil, "sh -c \"setsid sh -c 'echo \\$\\$ > "+pidFile+"; exec sleep 1000' & wait\" & wait")
	var pid int
	deadline := time.Now().Add(time.Second)
	for pid == 0 && time.Now().Before(deadline) {
		raw, _ := os.ReadFile(pidFile)
		_ = json.Unmarshal(raw, &pid)
		time.Sleep(time.Millisecond)
	}
	b.write(nil)
	end := runstate.BootTime() + 200*time.Millisecond
	b.guard()
	b.untilStopped(end)
	time.Sleep(20 * time.Millisecond)
	if raw, err := os.ReadFile(filepath.Join("/proc", jsonNumber(pid), "stat")); err == nil && !zombie(raw) {
		t.Errorf("the agent's child %d lives", pid)
	}
}

func jsonNumber(n int) string {
	raw, _ := json.Marshal(n)
	return string(raw)
}

func zombie(stat []byte) bool {
	for i := len(stat) - 1; i > 0; i-- {
		if stat[i] == ')' && i+2 < len(stat) {
			return stat[i+2] == 'Z'
		}
	}
	return false
}
