package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/addressguard"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/runstate"
)

// lease hands the right to go on, which membership renews with each datagram, to those who enforce it: the guardian (through a
// file), the kernel (through the address guard), and every act of the monitor (through mayAct).
type lease struct {
	log  logr.Logger
	now  func() time.Duration
	file *runstate.LeaseFile
	// actingUntil and actingGeneration are what mayAct looks at.
	actingUntil      atomic.Int64
	actingGeneration atomic.Uint64
	// renewed wakes the goroutine that talks to the kernel: it may take milliseconds, which the loop has not got.
	renewed chan struct{}
	until   atomic.Int64

	mu      sync.Mutex
	content runstate.Lease
}

// openLease writes this process into the lease and leaves everything else as an earlier agent of this boot left it.
func openLease(runDir, bootID string, now func() time.Duration, log logr.Logger) (*lease, error) {
	content, err := runstate.ReadLease(runDir)
	if err != nil && !errors.Is(err, runstate.ErrNoLease) {
		log.Error(err, "The lease is garbled; it is written anew")
	}
	if content.BootID != bootID {
		content = runstate.Lease{BootID: bootID}
	}
	content.PID = os.Getpid()
	if content.StartTime, err = runstate.StartTime(content.PID); err != nil {
		return nil, err
	}
	file, err := runstate.OpenLease(runDir)
	if err != nil {
		return nil, err
	}
	l := &lease{log: log, now: now, file: file, renewed: make(chan struct{}, 1), content: content}
	if err := file.Write(content); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// renew is called by the loop after each step.
func (l *lease) renew(s *membership.Status) {
	l.actingGeneration.Store(uint64(s.Self.Generation))
	l.actingUntil.Store(int64(s.ActingUntil))
	until := time.Duration(0)
	if s.Keeping {
		until = s.KeepingUntil
	}
	if l.until.Swap(int64(until)) != int64(until) {
		select {
		case l.renewed <- struct{}{}:
		default:
		}
	}
	switch {
	case s.Suspended:
		// The addresses are silent, the stop waits for the end of a challenge (R8).
		l.write(func(c *runstate.Lease) { c.StopAt = s.StopAt })
	case s.Keeping:
		// Without keeping the lease stays as it was: it has run out, and the guardian knows for which generation.
		l.write(func(c *runstate.Lease) {
			c.KeepingUntil, c.StopAt, c.Generation = s.KeepingUntil, s.KeepingUntil, s.Self.Generation
		})
	}
}

func (l *lease) write(change func(*runstate.Lease)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.content
	change(&l.content)
	if l.content == before {
		return
	}
	if err := l.file.Write(l.content); err != nil {
		l.log.Error(err, "The guardian cannot be told of the lease")
	}
}

func (l *lease) setSelfFence(d time.Duration) {
	l.write(func(c *runstate.Lease) { c.SelfFence = d })
}

// setActive tells the guardian whether anything runs or may run. It is set before anything is started.
func (l *lease) setActive(active bool) {
	l.write(func(c *runstate.Lease) { c.Active = active })
}

// setStopping tells the guardian that the agent is stopping everything itself.
func (l *lease) setStopping() {
	l.write(func(c *runstate.Lease) { c.Stopping = c.Active })
}

// generation is the life of which the lease is: after a start, that of the agent before.
func (l *lease) generation() model.Generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Generation
}

// keepingUntil is when the lease ends or has ended: after a start, that of the agent before.
func (l *lease) keepingUntil() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.KeepingUntil
}

// stopBegins is when the stop after the last lease begins, a time since boot: the self-fence deadline counts from it.
func (l *lease) stopBegins() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.StopBegins()
}

// setClean tells the guardian of a new life in which nothing runs yet.
func (l *lease) setClean(generation model.Generation) {
	l.write(func(c *runstate.Lease) { c.Generation, c.Active, c.Stopping = generation, false, false })
}

// close tells the guardian that the agent has ended of its own accord; the lease still runs out when nobody comes back.
func (l *lease) close() error {
	l.write(func(c *runstate.Lease) { c.PID, c.StartTime = 0, 0 })
	return l.file.Close()
}

// acting is the life that may act, and until when; 0 when none may.
func (l *lease) acting() (model.Generation, time.Duration) {
	return model.Generation(l.actingGeneration.Load()), time.Duration(l.actingUntil.Load())
}

// errNoQuorum says why nothing may be started (rule O8).
var errNoQuorum = errors.New("this node has no quorum at the moment")

// mayAct is the check of rule O8 for what belongs to a generation.
func (l *lease) mayAct(generation model.Generation) error {
	switch {
	case model.Generation(l.actingGeneration.Load()) != generation:
		return fmt.Errorf("generation %d is over: the node has lost quorum", generation)
	case int64(l.now()) >= l.actingUntil.Load():
		return errNoQuorum
	}
	return nil
}

// addresses renews the leases of guarded addresses in the kernel until ctx ends; they then run out by themselves. A renewal that
// moves the end by less than step is left out.
func (l *lease) addresses(ctx context.Context, guard addressguard.Guard, step func() time.Duration) {
	var last time.Duration
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.renewed:
		}
		until := time.Duration(l.until.Load())
		switch {
		case until == 0 && last != 0:
			last = 0
			if err := guard.Silence(); err != nil {
				l.log.Error(err, "The addresses are not silenced at once; the kernel does it when their lease ends")
			}
		case until != 0 && last == 0:
			last = until
			if err := guard.Resume(until); err != nil {
				l.log.Error(err, "Address leases do not begin")
			}
		case until != 0 && (until < last || until-last >= step()): // a lease may also become shorter, when a record asks for more grants
			last = until
			err := guard.Renew(until)
			if err != nil && err.Error() != said {
				l.log.Error(err, "Address leases were not renewed")
			}
			said = fmt.Sprint(err)
		}
	}
}
