package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// deniedError marks the node's lease check, so that a type that passes it on is not taken for one that failed.
type deniedError struct{ err error }

func (e *deniedError) Error() string { return "not allowed to start anything now: " + e.err.Error() }
func (e *deniedError) Unwrap() error { return e.err }

func (m *Monitor) mayAct() error {
	if err := m.opts.MayAct(); err != nil {
		return &deniedError{err}
	}
	return nil
}

// act carries out one action. persisted is why the run state could not be written: then nothing is started, but stops go on.
func (g *group) act(a lifecycle.Action, persisted error) {
	switch a.Op {
	case lifecycle.OpCancel:
		if cancel := g.cancels[a.Serial]; cancel != nil {
			cancel()
			time.AfterFunc(hangGrace, func() { g.abandon(a) })
		}
		return
	case lifecycle.OpUnwatch:
		if r := g.resources[a.UID]; r != nil && r.unwatch != nil {
			r.unwatch()
			r.unwatch = nil
		}
		return
	case lifecycle.OpWatch:
		g.watch(a)
		return
	case lifecycle.OpReserve, lifecycle.OpOnline, lifecycle.OpOffline, lifecycle.OpTerminate, lifecycle.OpAdopt:
	}
	g.launch(a, persisted)
}

// launch runs an op beside everything else; its outcome comes back through finish.
func (g *group) launch(a lifecycle.Action, persisted error) {
	ctx, cancel := context.WithCancel(g.monitor.ctx)
	g.cancels[a.Serial] = cancel
	r := g.resources[a.UID]
	var inst *resourcetype.Instance
	var t resourcetype.Type
	var unknown error
	isolated := func() error { return nil }
	if r != nil {
		inst = g.instance(r, a.Serial)
		t, unknown = g.typeOf(r)
		if f := g.isolation(inst.Type, inst.Spec); f != nil && a.Op == lifecycle.OpOnline {
			isolated = f
		}
	}
	unfinished := r != nil && r.record.Machine.Phase == lifecycle.PhaseOnlining
	starting, began := a.Op == lifecycle.OpReserve || a.Op == lifecycle.OpOnline, g.monitor.opts.Now()
	g.monitor.work.Go(func() {
		defer cancel()
		result := lifecycle.Result{UID: a.UID, Serial: a.Serial}
		var err error
		switch {
		case starting && persisted != nil:
			err = fmt.Errorf("the run state cannot be written: %w", persisted)
		case inst == nil && a.Op == lifecycle.OpTerminate:
			// There is no record of it, so nothing of it was ever begun.
		case inst == nil:
			err = errors.New("there is no record of it")
		case unknown != nil:
			err = unknown
		default:
			if err = isolated(); err != nil {
				break
			}
			err = g.call(ctx, t, a, inst, unfinished, &result)
		}
		g.finish(a, began, result, err)
	})
}

// finish hands the outcome to the machine.
func (g *group) finish(a lifecycle.Action, began time.Duration, result lifecycle.Result, err error) {
	var denied *deniedError
	var stale *resourcetype.StaleError
	switch {
	case err == nil:
	case errors.As(err, &denied):
		result.Denied, result.Err = true, err.Error()
	case errors.As(err, &stale):
		result.Stale, result.Floor, result.Err = true, stale.Epoch, err.Error()
	default:
		result.Err, result.Network = err.Error(), lostNetwork(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.cancels, a.Serial)
	if g.closed {
		return
	}
	g.monitor.opts.Log.V(1).Info("an operation ended", "group", g.id.String(), "resource", g.name(a.UID), "op", a.Op, "began", began.String(),
		"took", (g.monitor.opts.Now() - began).String())
	if err != nil {
		g.monitor.opts.Log.Info("an operation failed", "group", g.id.String(), "resource", g.name(a.UID), "op", a.Op, "error", err.Error())
	}
	if result.Floor > 0 {
		if err := g.monitor.opts.Store.RaiseFloor(g.id.UID, result.Floor); err != nil {
			g.monitor.opts.Log.Error(err, "keeping the epoch found on a disk", "group", g.id.String())
		}
	}
	g.step(result)
	g.simulate()
}

func (g *group) name(uid string) string {
	if r := g.resources[uid]; r != nil {
		return r.record.Resource.Name
	}
	return uid
}

// call runs one method of the type. A panic in it is its failure, not the agent's.
func (g *group) call(ctx context.Context, t resourcetype.Type, a lifecycle.Action, inst *resourcetype.Instance, unfinished bool, result *lifecycle.Result) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the resource type %s panicked: %v\n%s", inst.Type, p, debug.Stack())
		}
	}()
	switch a.Op {
	case lifecycle.OpReserve:
		return g.reserve(ctx, t, inst, result)
	case lifecycle.OpOnline:
		return g.online(ctx, t, inst)
	case lifecycle.OpOffline:
		return t.Offline(ctx, inst)
	case lifecycle.OpTerminate:
		return t.Terminate(ctx, inst)
	case lifecycle.OpAdopt:
		if err := t.Adopt(ctx, inst); err != nil || !unfinished {
			return err
		}
		// The agent died while it was starting: it counts as online only if it serves.
		return t.IsAlive(ctx, inst)
	case lifecycle.OpCancel, lifecycle.OpWatch, lifecycle.OpUnwatch:
	}
	return nil
}

func (g *group) online(ctx context.Context, t resourcetype.Type, inst *resourcetype.Instance) (err error) {
	if variables := g.monitor.opts.Variables; variables != nil {
		if inst.Variables, err = variables(ctx, inst.Resource.Namespace, inst.Spec); err != nil {
			return err
		}
	}
	if err := inst.MayStart(); err != nil {
		return err
	}
	return t.Online(ctx, inst)
}

func (g *group) reserve(ctx context.Context, t resourcetype.Type, inst *resourcetype.Instance, result *lifecycle.Result) error {
	reserver, ok := t.(resourcetype.Reserver)
	if !ok {
		return fmt.Errorf("type %s cannot reserve", inst.Type)
	}
	if err := inst.MayStart(); err != nil {
		return err
	}
	reserved, err := reserver.Reserve(ctx, inst)
	if err != nil {
		return err
	}
	result.Reservation = lifecycle.Reservation{Enforced: reserved.Enforced, Proof: reserved.Proof()}
	result.Floor = min(reserved.EpochFound, inst.Epoch)
	return nil
}

// instance is what a type is given: a copy, so that a call that is late and one that is new do not share it.
func (g *group) instance(r *resource, serial uint64) *resourcetype.Instance {
	m, record := g.monitor, &r.record
	inst := instanceOf(record)
	inst.Epoch = g.machine.Epoch()
	inst.MayAct = m.mayAct
	inst.CgroupRoot, inst.RunDir = m.opts.CgroupRoot, m.opts.RunDir
	inst.Log = m.opts.Log.WithValues("resource", record.Resource.String(), "type", record.Type)
	uid := record.Resource.UID
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding the run state: %w", err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.closed {
			return errors.New("the monitor is closed")
		}
		r.record.Data = raw
		if g.resources[uid] != r {
			return errors.New("the resource is gone")
		}
		return m.opts.Store.PutResource(&r.record)
	}
	inst.Progress = func(message string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.step(lifecycle.Progress{UID: uid, Serial: serial, Message: message})
	}
	return inst
}
