package guardian

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/watchdog"
)

const (
	// safeFor is how long a look at the host that found it safe allows to feed: a guardian that hangs later does not feed.
	safeFor = 250 * time.Millisecond
	// lastMoment is how long before the end of what is allowed the device is fed for the last time.
	lastMoment = 10 * time.Millisecond
	// openAgain is how long a device that could not be armed is left alone.
	openAgain = 5 * time.Second
)

// feeder feeds the watchdog device until the moment up to which the guardian has found the host safe, and no further: when the
// guardian hangs, dies, or cannot stop something, the kernel resets the host.
type feeder struct {
	log    logr.Logger
	now    func() time.Duration
	runDir string
	open   func(path string, timeout time.Duration) (watchdog.Device, error)
	until  atomic.Int64
	wake   chan struct{}

	mu     sync.Mutex
	device watchdog.Device
	// path and asked are what the device was opened with; retry is when one that could not be armed is tried again.
	path   string
	asked  time.Duration
	retry  time.Duration
	status runstate.GuardStatus
}

func newFeeder(opts *Options) *feeder {
	f := &feeder{log: opts.Log, now: opts.Now, runDir: opts.RunDir, open: opts.Watchdog, wake: make(chan struct{}, 1)}
	if f.open == nil {
		f.open = watchdog.Open
	}
	return f
}

// allow lets the device be fed until then.
func (f *feeder) allow(until time.Duration) {
	if before := time.Duration(f.until.Swap(int64(until))); before < f.now() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// timeout is that of the armed device; 0 without one.
func (f *feeder) timeout() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.device == nil {
		return 0
	}
	return f.device.Timeout()
}

// configure arms, changes or disarms the device as the cluster wants it, and tells the agent how that went.
func (f *feeder) configure(selfFence time.Duration) {
	config, err := runstate.ReadGuardConfig(f.runDir)
	if err != nil {
		f.log.Error(err, "the watchdog stays as it is")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := watchdog.Timeout(selfFence)
	if f.device != nil && f.path != config.WatchdogDevice {
		f.report(f.device.Disarm())
		f.device = nil
	}
	switch {
	case config.WatchdogDevice == "":
		f.path, f.retry = "", 0
		f.tell(runstate.GuardStatus{})
	case f.device == nil && f.path == config.WatchdogDevice && f.now() < f.retry:
	case f.device == nil:
		f.path, f.asked = config.WatchdogDevice, wanted
		if f.device, err = f.open(f.path, wanted); err != nil {
			f.device, f.retry = nil, f.now()+openAgain
			f.tell(runstate.GuardStatus{Problem: err.Error()})
			return
		}
		f.log.Info("watchdog armed", "device", f.path, "driver", f.device.Identity(), "timeout", f.device.Timeout().String())
		f.armed()
	case f.asked != wanted:
		f.asked = wanted
		f.report(f.device.SetTimeout(wanted))
		f.armed()
	}
}

func (f *feeder) armed() {
	f.tell(runstate.GuardStatus{Watchdog: f.path, Identity: f.device.Identity(), Timeout: f.device.Timeout()})
}

func (f *feeder) report(err error) {
	if err != nil {
		f.log.Error(err, "the watchdog does not obey")
	}
}

// tell writes what has changed for the agent; the caller holds mu.
func (f *feeder) tell(s runstate.GuardStatus) {
	s.PID = os.Getpid()
	if s == f.status {
		return
	}
	if s.Problem != "" {
		f.log.Info("no watchdog is armed", "reason", s.Problem)
	}
	if err := runstate.WriteGuardStatus(f.runDir, s); err != nil {
		f.log.Error(err, "the agent is not told of the watchdog")
		return
	}
	f.status = s
}

// run feeds until ctx ends.
func (f *feeder) run(ctx context.Context) {
	for {
		timer := time.NewTimer(f.feed())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// feed feeds the device if that is allowed, and returns when to come back.
func (f *feeder) feed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.device == nil {
		return idle
	}
	now, until := f.now(), time.Duration(f.until.Load())
	if now < until {
		f.report(f.device.Feed())
	}
	return nextFeed(now, until, f.device.Timeout())
}

// nextFeed is four times in a timeout, and just before the end of what is allowed: a stop that goes as it should gets all the time that
// it may have.
func nextFeed(now, until, timeout time.Duration) time.Duration {
	step := timeout / 4
	if left := until - now - lastMoment; left > 0 && left < step {
		return left
	}
	return step
}

// end gives the device up: for good on a host where nothing runs that needs it, else for the next guardian, which has the timeout.
func (f *feeder) end(safe bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.device == nil {
		return
	}
	if safe {
		f.report(f.device.Disarm())
	} else {
		f.log.Info("the watchdog counts on: another guardian must take it over", "timeout", f.device.Timeout().String())
		f.report(f.device.Leave())
	}
	f.device = nil
}
