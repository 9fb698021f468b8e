package guardian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/watchdog"
)

// Options are what a guardian needs.
type Options struct {
	RunDir     string
	CgroupRoot string
	Types      *resourcetype.Registry
	// Now is CLOCK_BOOTTIME; nil means runstate.BootTime.
	Now func() time.Duration
	// Stuck is called when something could not be stopped within selfFence.timeout: the host must be fenced. It may be nil.
	Stuck func([]monitor.Leftover)
	// Watchdog arms the device that the cluster names; nil means watchdog.Open.
	Watchdog func(path string, timeout time.Duration) (watchdog.Device, error)
	Log      logr.Logger
}

const (
	lockFile = "guardian.pid"
	// idle is how often the lease is looked at when nothing runs: an agent that starts something has a fresh lease then, so this
	// only has to be shorter than the shortest lease.
	idle = 100 * time.Millisecond
	// again is the pause between two rounds when something cannot be stopped.
	again = time.Second
	// defaultSelfFence is used when the lease does not say.
	defaultSelfFence = time.Second
)

// ErrRunning says that another guardian watches this run directory.
var ErrRunning = errors.New("a guardian runs already")

// Run watches until ctx ends. It returns ErrRunning at once when another guardian does.
func Run(ctx context.Context, opts Options) error {
	if opts.Now == nil {
		opts.Now = runstate.BootTime
	}
	unlock, err := takeLock(opts.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	prefer(opts.Log)
	store, err := runstate.Open(opts.RunDir, "")
	if err != nil {
		return err
	}
	g := &guardian{opts: opts, store: store, feeder: newFeeder(&opts)}
	var feeding sync.WaitGroup
	feeding.Go(func() { g.feeder.run(ctx) })
	defer func() {
		feeding.Wait()
		g.feeder.end(!g.last.Active)
	}()
	opts.Log.Info("watching the agent's lease", "runDir", opts.RunDir)
	for {
		wait := g.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Running reports whether a guardian watches the run directory.
func Running(runDir string) bool {
	f, err := os.OpenFile(filepath.Join(runDir, lockFile), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Status is what the guardian of the run directory says of itself; false when none runs.
func Status(runDir string) (runstate.GuardStatus, bool) {
	if !Running(runDir) {
		return runstate.GuardStatus{}, false
	}
	raw, err := os.ReadFile(filepath.Join(runDir, lockFile))
	if err != nil {
		return runstate.GuardStatus{}, true
	}
	s, err := runstate.ReadGuardStatus(runDir)
	if err != nil || strings.TrimSpace(string(raw)) != strconv.Itoa(s.PID) {
		return runstate.GuardStatus{}, true // it has only begun
	}
	return s, true
}

// takeLock makes this the only guardian; the kernel lets go of it however the process ends.
func takeLock(runDir string) (func(), error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the run directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(runDir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the guardian's lock: %w", err)
	}
	// Running takes the lock for an instant to see whether it is free.
	for range 20 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return nil, errors.Join(ErrRunning, f.Close())
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the guardian's pid: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

type guardian struct {
	opts   Options
	store  *runstate.Store
	feeder *feeder
	// last is the last lease that could be read; a garbled one must not look like none.
	last runstate.Lease
}

// safe is said of a host on which nothing runs that would have to stop.
func (g *guardian) safe() time.Duration {
	g.feeder.allow(g.opts.Now() + safeFor)
	return idle
}

// look looks at the lease, acts if it is due, and returns when to look again.
func (g *guardian) look(ctx context.Context) time.Duration {
	lease, err := runstate.ReadLease(g.opts.RunDir)
	switch {
	case errors.Is(err, runstate.ErrNoLease):
		g.last = runstate.Lease{}
	case err != nil:
		g.opts.Log.Error(err, "the lease cannot be read; the last one counts")
		if g.last == (runstate.Lease{}) {
			return idle // nothing is known of this host yet: it is not safe either
		}
	default:
		g.last = lease
	}
	fence := selfFence(g.last)
	g.feeder.configure(fence)
	if !g.last.Active {
		return g.safe()
	}
	lock, err := runstate.ReadLock(g.opts.RunDir)
	if err != nil {
		g.opts.Log.Error(err, "looking for the lock")
	}
	if lock.Burns(g.last.Generation) {
		// A guardian before this one has begun, and may not have ended.
		return g.stop(ctx, g.last, lock.Generation)
	}
	begins := g.last.StopBegins()
	g.feeder.allow(watchdog.LastFeed(begins, begins+fence, g.feeder.timeout()))
	now := g.opts.Now()
	if due := Due(g.last, now, alive(g.last)); now < due {
		// A lease may become shorter while nobody looks: when a vote record asks for more grants, or selfFence.timeout changes.
		return min(due-now, fence/8)
	}
	return g.act(ctx, g.last)
}

// Due is when the guardian acts: a quarter of selfFence.timeout after the stop should have begun, or three quarters when the agent lives and says
// that it is stopping everything itself.
func Due(l runstate.Lease, now time.Duration, agentLives bool) time.Duration {
	fence := selfFence(l)
	end := l.StopBegins()
	if l.Stopping && agentLives {
		// An agent that dies on the way is not waited for: this is asked again after a quarter.
		if early := end + fence/4; now < early {
			return early
		}
		return min(end+fence*3/4, now+fence/8)
	}
	return end + fence/4
}

func selfFence(l runstate.Lease) time.Duration {
	if l.SelfFence <= 0 {
		return defaultSelfFence
	}
	return l.SelfFence
}

// act burns the generation: the lock first, so that no agent that starts now adopts anything, then the agent, then all that runs.
func (g *guardian) act(ctx context.Context, l runstate.Lease) time.Duration {
	now := g.opts.Now()
	late := now - l.KeepingUntil
	g.opts.Log.Info("the agent's lease is over and it has not stopped: stopping everything",
		"generation", l.Generation, "lateBy", late.String(), "agent", l.PID)
	lock := runstate.Lock{
		Generation: l.Generation, BootID: l.BootID, At: now,
		Reason: fmt.Sprintf("the lease ended %s ago and the agent did not stop what runs", late),
	}
	if err := runstate.WriteLock(g.opts.RunDir, lock); err != nil {
		// Without the lock a new agent might adopt; what runs must stop all the same.
		g.opts.Log.Error(err, "locking")
	}
	// A new agent may have written itself into the lease before it could see the lock.
	if fresh, err := runstate.ReadLease(g.opts.RunDir); err == nil && fresh.PID != l.PID && fresh.Generation == l.Generation {
		kill(ctx, fresh, g.opts.Log)
	}
	kill(ctx, l, g.opts.Log)
	return g.stop(ctx, l, l.Generation)
}

// stop terminates what is recorded of the burnt generations, and returns when to look again.
func (g *guardian) stop(ctx context.Context, l runstate.Lease, burnt model.Generation) time.Duration {
	records, damage := g.store.Resources()
	for _, d := range damage {
		g.opts.Log.Error(d.Err, "a record cannot be read", "path", d.Path)
	}
	var mine []*runstate.Resource
	for _, r := range records {
		if r.Generation <= burnt {
			mine = append(mine, r)
		}
	}
	if len(mine)+len(damage) == 0 {
		return g.safe()
	}
	fence := selfFence(l)
	// A guardian that is itself late (the host was frozen) still gives each kill a moment.
	left := max(l.StopBegins()+fence-g.opts.Now(), fence/4)
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	reaper := monitor.Reaper{
		Types: g.opts.Types, Store: g.store, CgroupRoot: g.opts.CgroupRoot, RunDir: g.opts.RunDir, Ordered: left / 3, Log: g.opts.Log,
	}
	leftovers := reaper.Reap(bounded, mine)
	if len(leftovers) == 0 && len(damage) > 0 && g.opts.Now() < l.StopBegins()+fence {
		return fence / 8 // who knows what it stands for; perhaps it can be read the next time
	}
	for _, d := range damage {
		leftovers = append(leftovers, monitor.Leftover{Message: "a record of what runs cannot be read: " + d.Error(), Unreadable: true})
	}
	if len(leftovers) == 0 {
		g.opts.Log.Info("everything is stopped", "resources", len(mine), "after", (g.opts.Now() - l.KeepingUntil).String())
		return g.safe()
	}
	for _, left := range leftovers {
		g.opts.Log.Info("it could not be stopped", "resource", left.Resource.String(), "type", left.Type, "message", left.Message)
	}
	if g.opts.Stuck != nil && ctx.Err() == nil {
		g.opts.Stuck(leftovers)
	}
	return again
}
