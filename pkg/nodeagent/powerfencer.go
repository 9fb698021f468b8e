package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/fenceplan"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/powerfence"
)

// fencingFile is in the state directory, since what it proves outlives this host's reboot.
const fencingFile = "fencing.json"

// maxFencingTimes is how many times of attempts are kept of a node.
const maxFencingTimes = 16

// powerSwitch is what the fencer needs of powerfence.Fencer.
type powerSwitch interface {
	Check(ctx context.Context, l *powerfence.Level) error
	Off(ctx context.Context, levels []powerfence.Level, still func() error) (powerfence.Result, error)
	On(ctx context.Context, l *powerfence.Level) error
}

// powerFencer cuts the power of lost nodes when package fenceplan says so, and keeps what operators confirm on this host.
type powerFencer struct {
	log               logr.Logger
	nodeName, cluster string
	standing          func() *standing
	world             func() *world
	power             powerSwitch
	path              string
	problems          *problems
	// changed is called when there is something new to tell, or a new proof.
	changed func()
	now     func() time.Time

	wake chan struct{}
	// recheck asks for the levels to be looked at now.
	recheck chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// memory is what is kept over restarts.
	memory fencingMemory
	// usable are the levels that this host can use, by node.
	usable map[string][]powerfence.Level
	// checked are the generations of the Nodes' specs that usable was made from.
	checked  map[string]int64
	verdicts []fenceplan.Verdict
}

// fencingMemory is by the node's name.
type fencingMemory struct {
	Fencings      map[string]v1alpha1.AgentFencing      `json:"fencings,omitempty"`
	Confirmations map[string]v1alpha1.AgentConfirmation `json:"confirmations,omitempty"`
}

// load reads what an earlier agent did. What was under way when it ended has failed as far as anyone knows.
func (f *powerFencer) load() error {
	f.memory = fencingMemory{Fencings: map[string]v1alpha1.AgentFencing{}, Confirmations: map[string]v1alpha1.AgentConfirmation{}}
	memory, err := readJSON[fencingMemory](f.path)
	if err != nil {
		return err
	}
	if memory != nil {
		maps.Copy(f.memory.Fencings, memory.Fencings)
		maps.Copy(f.memory.Confirmations, memory.Confirmations)
	}
	for name, r := range f.memory.Fencings {
		if r.State == v1alpha1.FencingRunning {
			r.State, r.Message = v1alpha1.FencingFailed, "the agent ended before it was done"
			r.Failures++
			f.memory.Fencings[name] = r
		}
	}
	return nil
}

func (f *powerFencer) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run decides whenever something may have changed, until ctx ends; a fencing that is under way then is cut short.
func (f *powerFencer) run(ctx context.Context) {
	defer f.running.Wait()
	f.running.Go(func() { f.checkLevels(ctx) })
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		timer.Reset(f.pass(ctx))
	}
}

// pass decides once and returns when to decide again.
func (f *powerFencer) pass(ctx context.Context) time.Duration {
	const otherwise = 5 * time.Second
	w, s := f.world(), f.standing()
	if w == nil || s.Settings == nil || s.View == nil {
		return otherwise
	}
	facts, err := f.facts(ctx, w, s)
	if err != nil {
		f.log.Info("What is to be fenced cannot be decided", "reason", err.Error())
		return time.Second
	}
	if facts == nil {
		f.setVerdicts(nil)
		return otherwise
	}
	now := f.now()
	plan := fenceplan.Plan(facts, now)
	f.setVerdicts(plan.Verdicts)
	for _, order := range plan.Orders {
		f.begin(ctx, order)
	}
	if !plan.Next.IsZero() {
		return min(otherwise, max(plan.Next.Sub(now), 10*time.Millisecond))
	}
	return otherwise
}

func (f *powerFencer) setVerdicts(verdicts []fenceplan.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range verdicts {
		if !slices.Contains(f.verdicts, v) {
			f.log.Info("Fencing of a lost node", "node", v.Node, "verdict", v.Code, "reason", v.Message)
		}
	}
	f.verdicts = verdicts
}

// begin carries an order out beside everything else.
func (f *powerFencer) begin(ctx context.Context, order fenceplan.Order) {
	f.mu.Lock()
	var levels []powerfence.Level
	for _, l := range f.usable[order.Node] {
		if slices.Contains(order.Levels, l.Number) {
			levels = append(levels, l)
		}
	}
	f.mu.Unlock()
	f.log.Info("Cutting the power of a node", "node", order.Node, "generation", order.Target.Generation, "levels", order.Levels, "reason", order.Reason)
	f.record(order, func(r *v1alpha1.AgentFencing) {
		r.State, r.Level, r.Driver, r.Message = v1alpha1.FencingRunning, 0, "", order.Reason
		r.Attempts = appendTime(r.Attempts, *r.Time)
	})
	f.running.Go(func() { f.carryOut(ctx, order, levels) })
}

func (f *powerFencer) carryOut(ctx context.Context, order fenceplan.Order, levels []powerfence.Level) {
	result, err := f.power.Off(ctx, levels, func() error { return f.still(order.Target) })
	if err != nil {
		f.log.Error(err, "A node is not fenced; it may be on", "node", order.Node, "generation", order.Target.Generation)
		f.record(order, func(r *v1alpha1.AgentFencing) {
			r.State, r.Message = v1alpha1.FencingFailed, cut(err.Error(), maxProblemText)
			r.Failures++
		})
		return
	}
	f.log.Info("A node is fenced: its status is off", "node", order.Node, "generation", order.Target.Generation, "level", result.Level,
		"driver", result.Driver, "failedBefore", result.Failures)
	f.record(order, func(r *v1alpha1.AgentFencing) {
		r.State, r.Level, r.Driver, r.Message = v1alpha1.FencingFenced, int32(result.Level), result.Driver, order.Reason
	})
	if !order.PowerOn {
		return
	}
	at := slices.IndexFunc(levels, func(l powerfence.Level) bool { return l.Number == result.Level })
	if err := f.power.On(ctx, &levels[at]); err != nil {
		// It is proven harmless all the same.
		f.log.Error(err, "A fenced node is not switched on again", "node", order.Node)
		f.record(order, func(r *v1alpha1.AgentFencing) {
			r.Message = cut("it is off, but could not be switched on again: "+err.Error(), maxProblemText)
		})
		return
	}
	f.record(order, func(r *v1alpha1.AgentFencing) { r.Cycles = appendTime(r.Cycles, metav1.NewMicroTime(f.now())) })
}

// still says why a life is not to be fenced any more: what was true when it was decided may have changed.
func (f *powerFencer) still(target model.Member) error {
	s := f.standing()
	if !s.Acting || s.View == nil {
		return errors.New("this node may not act any more")
	}
	if s.View.Has(target.ID) {
		return errors.New("the node is in the view again")
	}
	if p, found := s.peer(target.ID); found && p.Generation > target.Generation {
		return errors.New("the node is back in a newer life")
	}
	return nil
}

// record changes what is kept of a node's fencing, on disk first, and has it published.
func (f *powerFencer) record(order fenceplan.Order, change func(*v1alpha1.AgentFencing)) {
	f.mu.Lock()
	r := f.memory.Fencings[order.Node]
	if r.Generation != int64(order.Target.Generation) || r.NodeID != int32(order.Target.ID) {
		r = v1alpha1.AgentFencing{
			Node: order.Node, NodeID: int32(order.Target.ID), Generation: int64(order.Target.Generation), Attempts: r.Attempts, Cycles: r.Cycles,
		}
	}
	at := metav1.NewMicroTime(f.now().Truncate(time.Microsecond))
	state := r.State
	r.Time = &at
	before := f.memory.Fencings[order.Node].Time
	change(&r)
	if r.State == state && before != nil {
		r.Time = before
	}
	f.memory.Fencings[order.Node] = r
	f.save()
	f.mu.Unlock()
	f.changed()
	f.wakeUp()
}

// save writes the memory; the caller holds the lock. A proof that is not on disk is still a proof.
func (f *powerFencer) save() {
	if err := writeDurable(f.path, f.memory); err != nil {
		f.log.Error(err, "What was fenced is not kept over a restart of the agent")
	}
}

func appendTime(times []metav1.MicroTime, t metav1.MicroTime) []metav1.MicroTime {
	times = append(slices.Clone(times), metav1.NewMicroTime(t.Truncate(time.Microsecond)))
	return times[max(0, len(times)-maxFencingTimes):]
}

// forget drops what is known of nodes that are gone, and of lives that a later one has proven over; attempts count for an hour.
func (f *powerFencer) forget(newest map[model.NodeID]model.Generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := len(f.memory.Fencings) + len(f.memory.Confirmations)
	maps.DeleteFunc(f.memory.Fencings, func(_ string, r v1alpha1.AgentFencing) bool {
		generation, known := newest[model.NodeID(r.NodeID)]
		recent := r.Time != nil && f.now().Sub(r.Time.Time) < time.Hour
		return r.State != v1alpha1.FencingRunning && (!known || int64(generation) > r.Generation && !recent)
	})
	maps.DeleteFunc(f.memory.Confirmations, func(_ string, c v1alpha1.AgentConfirmation) bool {
		generation, known := newest[model.NodeID(c.NodeID)]
		return !known || int64(generation) > c.Generation
	})
	if len(f.memory.Fencings)+len(f.memory.Confirmations) != size {
		f.save()
	}
}

// report is the fencer's part of status.agent.
func (f *powerFencer) report() (can []v1alpha1.AgentFenceTarget, fencings []v1alpha1.AgentFencing, confirmations []v1alpha1.AgentConfirmation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, node := range slices.Sorted(maps.Keys(f.usable)) {
		target := v1alpha1.AgentFenceTarget{Node: node}
		for _, l := range f.usable[node] {
			target.Levels = append(target.Levels, int32(l.Number))
		}
		if len(target.Levels) > 0 {
			can = append(can, target)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(f.memory.Fencings)) {
		fencings = append(fencings, f.memory.Fencings[node])
	}
	for _, node := range slices.Sorted(maps.Keys(f.memory.Confirmations)) {
		confirmations = append(confirmations, f.memory.Confirmations[node])
	}
	return can, fencings, confirmations
}

// fencingPath is where the memory is kept.
func (f *files) fencingPath() string { return filepath.Join(f.stateDir, fencingFile) }

// failedFencings tells of nodes that could not be fenced.
func (f *powerFencer) failedFencings() []v1alpha1.AgentProblem {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []v1alpha1.AgentProblem
	for _, name := range slices.Sorted(maps.Keys(f.memory.Fencings)) {
		if r := f.memory.Fencings[name]; r.State == v1alpha1.FencingFailed {
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemFencing, Object: name,
				Message: fmt.Sprintf("generation %d of the node is not fenced: %s", r.Generation, r.Message),
			})
		}
	}
	return list
}
