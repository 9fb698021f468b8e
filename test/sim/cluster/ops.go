package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
)

// clusterNumber is the cluster's part of reservation keys.
const clusterNumber = 0xabcdef

// errBusy is rule O17: the disk is in use on this host.
var errBusy = errors.New("the disk is still in use on this host")

// operation is one op of a resource, carried out by a thread.
type operation struct {
	*thread
	g     *group
	spec  lifecycle.Resource
	epoch model.Epoch
	life  model.Generation
	// unfinished says that an adoption finds something that was being started.
	unfinished bool
}

// launch begins an op; its outcome comes back as a Result.
func (g *group) launch(act lifecycle.Action) {
	o := &operation{
		g: g, spec: g.spec(act.UID), epoch: g.machine.Epoch(), life: g.agent.facts.Self.Generation,
		unfinished: g.agent.node.records[g.uid].resources[act.UID].Phase == lifecycle.PhaseOnlining,
	}
	t := g.agent.spawn(func(t *thread) {
		o.thread = t
		result := lifecycle.Result{UID: act.UID, Serial: act.Serial}
		err := o.run(act.Op, &result)
		if t.killed {
			return
		}
		g.agent.after(10*time.Microsecond, func() { g.finish(act, result, err) })
	})
	g.ops[act.Serial] = t
}

func (g *group) finish(act lifecycle.Action, result lifecycle.Result, err error) {
	delete(g.ops, act.Serial)
	var stale *reservation.StaleError
	switch {
	case err == nil:
	case errors.Is(err, errDenied):
		result.Denied, result.Err = true, err.Error()
	case errors.As(err, &stale):
		result.Stale, result.Floor, result.Err = true, stale.Epoch, err.Error()
	default:
		result.Err = err.Error()
	}
	if err != nil {
		g.agent.node.c.Trace("node %d %s of %s: %v", g.agent.node.id, act.Op, g.spec(act.UID).Name, err)
	}
	if result.Floor > 0 {
		g.agent.node.floors[g.uid] = max(g.agent.node.floors[g.uid], result.Floor)
	}
	g.step(result)
}

func (o *operation) run(op lifecycle.Op, result *lifecycle.Result) error {
	switch op {
	case lifecycle.OpReserve:
		return o.reserve(result)
	case lifecycle.OpOnline:
		if err := o.mayAct(); err != nil {
			return err
		}
		return o.online()
	case lifecycle.OpOffline:
		return o.offline()
	case lifecycle.OpTerminate:
		return o.terminate()
	case lifecycle.OpAdopt:
		return o.adopt()
	case lifecycle.OpCancel, lifecycle.OpWatch, lifecycle.OpUnwatch:
	}
	return nil
}

func (o *operation) node() *node         { return o.agent.node }
func (o *operation) mayAct() error       { return errors.Join(o.agent.mayAct(), o.err()) }
func (o *operation) instance() *instance { return o.node().instances[o.spec.UID] }
func (o *operation) disk() *disk         { return o.node().c.disks[o.spec.Device] }
func (o *operation) path() *path         { return &path{t: o.thread, d: o.disk()} }

func (o *operation) between(lo, hi time.Duration) time.Duration { return o.node().c.Between(lo, hi) }

func key(n *node, epoch model.Epoch) reservation.Key {
	k, err := reservation.NewKey(clusterNumber, n.id, epoch)
	if err != nil {
		n.c.Fail("O7: %v", err)
	}
	return k
}

// reserve is LoopbackDisk's Reserve around the real protocol.
func (o *operation) reserve(result *lifecycle.Result) error {
	if err := o.mayAct(); err != nil {
		return err
	}
	n, record := o.node(), o.node().disks[o.spec.UID]
	me := key(n, o.epoch)
	if inst := o.instance(); inst != nil && record.online && record.epoch > 0 && record.epoch <= o.epoch {
		if err := reservation.Advance(context.Background(), o.path(), key(n, record.epoch), me); err != nil || o.killed {
			return err
		}
		record.result.EpochFound = max(record.result.EpochFound, record.epoch)
		record.result.Preempted = true
		record.epoch, inst.epoch = o.epoch, o.epoch
	} else {
		if o.instance() != nil && enforced(ruleIdle) {
			return errBusy
		}
		found, err := reservation.Acquire(context.Background(), o.path(), me, o.mayAct)
		if err != nil || o.killed {
			return err
		}
		if found.Held && record.epoch == o.epoch {
			found.Preempted, found.EpochFound = record.result.Preempted, max(found.EpochFound, record.result.EpochFound)
		}
		record.epoch, record.result = o.epoch, found
	}
	n.disks[o.spec.UID] = record
	result.Reservation = lifecycle.Reservation{Enforced: record.result.Enforced, Proof: record.result.Proof()}
	result.Floor = min(record.result.EpochFound, o.epoch)
	return nil
}

// verify is the check of the reservation, at the epoch that the disk was reserved for last.
func (o *operation) verify() error {
	epoch := max(o.epoch, o.node().disks[o.spec.UID].epoch)
	return reservation.Verify(context.Background(), o.path(), key(o.node(), epoch))
}

func (o *operation) online() error {
	if old := o.instance(); old != nil { // what an interrupted start has left
		if err := o.terminate(); err != nil {
			return err
		}
	}
	switch o.spec.Kind {
	case lifecycle.KindDisk:
		return o.mount()
	case lifecycle.KindAddress:
		if err := o.sleep(o.between(500*time.Microsecond, 20*time.Millisecond)); err != nil {
			return err
		}
	case lifecycle.KindProcess:
		if err := o.sleep(o.between(100*time.Microsecond, 5*time.Millisecond)); err != nil {
			return err
		}
	}
	if err := o.mayAct(); err != nil {
		return err
	}
	if o.node().c.Chance(0.01) {
		return errors.New("it does not start")
	}
	o.begin()
	return o.sleep(o.between(time.Millisecond, 100*time.Millisecond))
}

// mount checks the lease and the reservation before each step that writes (rule O8).
func (o *operation) mount() error {
	for range 2 {
		if err := o.verify(); err != nil {
			return err
		}
		if err := o.mayAct(); err != nil {
			return err
		}
		if err := o.sleep(o.between(100*time.Microsecond, 30*time.Millisecond)); err != nil {
			return err
		}
	}
	if o.instance() != nil {
		return errBusy
	}
	o.begin()
	if err := o.mayAct(); err != nil {
		return errors.Join(err, o.terminate())
	}
	record := o.node().disks[o.spec.UID]
	record.online = true
	o.node().disks[o.spec.UID] = record
	return nil
}

func (o *operation) begin() {
	if o.killed {
		return
	}
	inst := &instance{
		node: o.node(), group: o.g.uid, of: o.g.name, resource: o.spec.UID, name: o.spec.Name, kind: o.spec.Kind, epoch: o.epoch, life: o.life,
	}
	if inst.kind == lifecycle.KindDisk {
		inst.disk = o.disk()
	}
	o.node().begin(inst)
}

func (o *operation) offline() error {
	inst := o.instance()
	if inst == nil {
		return nil
	}
	if inst.kind != lifecycle.KindDisk {
		wait := o.between(200*time.Microsecond, 3*time.Millisecond)
		if inst.kind == lifecycle.KindProcess {
			wait = o.between(time.Millisecond, 150*time.Millisecond)
			if o.node().c.Chance(0.02) {
				wait = o.between(time.Second, 6*time.Second)
			}
		}
		if err := o.sleep(wait); err != nil {
			return err
		}
		o.node().end(inst, "offline")
		return nil
	}
	return o.unmount(inst, "offline")
}

// unmount ends a mount when what is in flight has come back.
func (o *operation) unmount(inst *instance, why string) error {
	inst.shutDown = true
	for range 1000 {
		if err := o.sleep(2 * time.Millisecond); err != nil {
			return err
		}
		if inst.inFlight == 0 {
			o.node().end(inst, why)
			record := o.node().disks[o.spec.UID]
			record.online = false
			o.node().disks[o.spec.UID] = record
			if !enforced(ruleParked) {
				return reservation.Decommission(context.Background(), o.path(), key(o.node(), record.epoch))
			}
			return nil
		}
	}
	return fmt.Errorf("%s is busy", o.spec.Name)
}

func (o *operation) terminate() error {
	inst := o.instance()
	if inst == nil {
		return nil
	}
	if err := o.sleep(o.between(100*time.Microsecond, 5*time.Millisecond)); err != nil {
		return err
	}
	if inst.kind == lifecycle.KindDisk {
		return o.unmount(inst, "terminated")
	}
	if o.node().c.Chance(0.02) {
		return errors.New("it is still there")
	}
	o.node().end(inst, "terminated")
	return nil
}

// adopt looks whether what the record says is there.
func (o *operation) adopt() error {
	if err := o.sleep(o.between(100*time.Microsecond, 5*time.Millisecond)); err != nil {
		return err
	}
	inst := o.instance()
	if inst == nil || inst.failed {
		return errors.New("it is not there any more")
	}
	if inst.kind != lifecycle.KindDisk {
		return nil
	}
	record := o.node().disks[o.spec.UID]
	if !record.online {
		return errors.New("its mount was not complete")
	}
	return reservation.Holds(context.Background(), o.path(), key(o.node(), record.epoch))
}
