package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// group is one group with its machine. Everything below mu is guarded by it; ops and health checks run without it.
type group struct {
	monitor *Monitor
	id      resourcetype.Identity

	mu      sync.Mutex
	machine *lifecycle.Machine
	desired GroupDesired
	raw     json.RawMessage // desired, as it is kept in the record
	timer   *time.Timer
	wake    time.Duration
	closed  bool
	// forgotten says that the group is dropped as soon as it is down.
	forgotten bool
	// applied says that desired was told by the agent, and is not what the record has of it, which may be older.
	applied   bool
	resources map[string]*resource
	// cancels end the ops under way, by serial.
	cancels   map[uint64]context.CancelFunc
	saved     *lifecycle.SavedGroup
	report    GroupReport
	announced bool
}

// resource is what the monitor keeps of a resource beside its machine.
type resource struct {
	record runstate.Resource
	// written says that the record is on disk; dirty that it has changed in more than the machine's part.
	written, dirty bool
	unwatch        context.CancelFunc
	// apart says that a call of it has hung in this process: the next ones run in a process of its own.
	apart bool
}

func newGroup(m *Monitor, id resourcetype.Identity, machine *lifecycle.Machine) *group {
	return &group{
		monitor: m, id: id, machine: machine,
		desired:   GroupDesired{Group: id},
		resources: map[string]*resource{}, cancels: map[uint64]context.CancelFunc{},
		report: GroupReport{Group: id, Generation: m.opts.Generation},
	}
}

func (g *group) apply(d GroupDesired) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.forgotten || g.closed {
		return &lifecycle.RefusedError{Message: fmt.Sprintf("group %s is being forgotten", g.id)}
	}
	machineWants, err := g.translate(d)
	if err != nil {
		return err
	}
	if err := g.machine.Refuses(machineWants); err != nil {
		g.publish() // the controller has to hear of the epoch that is known here, or it never goes above it (O7)
		return err
	}
	if err := g.monitor.opts.Store.RaiseFloor(g.id.UID, d.Epoch); err != nil {
		if d.Run {
			return fmt.Errorf("group %s: %w", g.id, err)
		}
		// A stop must not depend on a disk that is full.
		g.monitor.opts.Log.Error(err, "the epoch of a withdrawal is not on disk", "group", g.id.String(), "epoch", d.Epoch)
	}
	if !d.Run {
		// What it ran with stays known until it has stopped.
		d.Resources, d.Networks = g.desired.Resources, g.desired.Networks
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("group %s: encoding its assignment: %w", g.id, err)
	}
	g.desired, g.raw, g.applied = d, raw, true
	g.step(g.monitor.currentFacts())
	g.step(lifecycle.Apply{Desired: machineWants})
	g.simulate()
	return nil
}

// simulate fails the resources whose token has changed; one that is being started, stopped or adopted waits for the end of that. The token is on disk before the failure is counted, in the same write: after a crash
// between the two it would otherwise fail twice.
func (g *group) simulate() {
	if !g.desired.Run || !g.applied {
		return
	}
	for _, d := range g.desired.Resources {
		r := g.resources[d.Resource.UID]
		if r == nil || r.record.FailToken == d.FailToken || g.machine.Busy(d.Resource.UID) {
			continue
		}
		r.record.FailToken, r.dirty = d.FailToken, true
		if d.FailToken == "" {
			continue // it is withdrawn, or its author cleans up
		}
		g.monitor.opts.Log.Info("an operator wants a resource to fail", "group", g.id.String(), "resource", d.Resource.Name, "token", d.FailToken)
		g.step(lifecycle.Simulate{UID: d.Resource.UID, Message: "an operator asked for it (" + d.FailToken + ")"})
	}
}

func (g *group) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgotten = true
	epoch := g.desired.Epoch
	if g.desired.Run {
		epoch++ // a withdrawal that nobody has written
	}
	g.desired.Run, g.desired.Epoch = false, epoch
	g.step(lifecycle.Apply{Desired: lifecycle.Desired{Epoch: epoch, View: g.desired.View}})
}

func (g *group) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step(g.monitor.currentFacts())
}

func (g *group) burn(b lifecycle.Burn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step(b)
}

func (g *group) down() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.machine.Down()
}

func (g *group) lastReport() GroupReport {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.report
}

func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.timer != nil {
		g.timer.Stop()
	}
	for _, r := range g.resources {
		if r.unwatch != nil {
			r.unwatch()
		}
	}
	for _, cancel := range g.cancels {
		cancel()
	}
}

// step feeds the machine, writes what it says to the run state, and only then acts (rule O8).
func (g *group) step(in lifecycle.Input) {
	if g.closed {
		return
	}
	actions := g.machine.Step(g.monitor.opts.Now(), in)
	for _, a := range actions {
		if a.Op == lifecycle.OpReserve || a.Op == lifecycle.OpOnline {
			g.renewRecord(a.UID, a.Op)
		}
	}
	err := g.persist()
	if err != nil {
		g.monitor.opts.Log.Error(err, "the run state cannot be written; nothing is started", "group", g.id.String())
	}
	for _, a := range actions {
		g.act(a, err)
	}
	g.arm()
	g.publish()
}

// arm sets the timer to the machine's next deadline.
func (g *group) arm() {
	at, ok := g.machine.Deadline()
	if !ok {
		if g.timer != nil {
			g.timer.Stop()
		}
		g.wake = 0
		return
	}
	if g.timer != nil && g.wake == at {
		return
	}
	g.wake = at
	wait := max(0, at-g.monitor.opts.Now())
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, g.tick)
		return
	}
	g.timer.Reset(wait)
}

func (g *group) tick() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wake = 0
	g.step(lifecycle.Tick{})
}

// publish tells a changed report, and ends a forgotten group.
func (g *group) publish() {
	report := GroupReport{Group: g.id, Generation: g.report.Generation, Report: g.machine.Report()}
	report.Gone = g.forgotten && g.machine.Down()
	if !g.announced || !reflect.DeepEqual(report, g.report) {
		g.report, g.announced = report, true
		if g.monitor.opts.OnChange != nil {
			g.monitor.opts.OnChange(report)
		}
		g.monitor.announce()
	}
	if report.Gone && !g.closed {
		g.closed = true
		if g.timer != nil {
			g.timer.Stop()
		}
		go g.monitor.drop(g) // it takes this group's lock
	}
}

// leftovers names what is not gone.
func (g *group) leftovers() []Leftover {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.machine.Down() {
		return nil
	}
	var left []Leftover
	_, saved := g.machine.Saved()
	for uid, s := range saved {
		if s.Phase == lifecycle.PhaseIdle {
			continue
		}
		l := Leftover{Group: g.id, Message: "it is still " + string(s.Phase)}
		if r := g.resources[uid]; r != nil {
			l.Resource, l.Type = r.record.Resource, r.record.Type
		}
		left = append(left, l)
	}
	if len(left) == 0 {
		left = append(left, Leftover{Group: g.id, Message: "a call that was cancelled has not returned"})
	}
	return left
}
