package cluster

import (
	"errors"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// watching is the health checks of one resource.
type watching struct {
	serial uint64
	op     *operation
}

func (g *group) unwatch(uid string) {
	if w := g.watches[uid]; w != nil {
		w.op.cancelled = true
		delete(g.watches, uid)
	}
}

// watch begins the checks of an online resource: a disk's reservation every few seconds, and whether it is there twice a second.
func (g *group) watch(act lifecycle.Action) {
	g.unwatch(act.UID)
	w := &watching{serial: act.Serial, op: &operation{g: g, spec: g.spec(act.UID), epoch: g.machine.Epoch()}}
	g.watches[act.UID] = w
	t := g.agent.spawn(func(t *thread) {
		w.op.thread = t
		reason, err := w.op.check()
		if t.err() != nil || err == nil {
			return
		}
		g.agent.after(0, func() { g.unhealthy(w, act.UID, reason, err) })
	})
	w.op.thread = t
}

// check returns when the resource has failed, or the checks have ended.
func (o *operation) check() (lifecycle.Reason, error) {
	next := o.node().now() + o.between(resourcetype.VerifyInterval/2, resourcetype.VerifyInterval)
	for {
		if err := o.sleep(o.between(200*time.Millisecond, 500*time.Millisecond)); err != nil {
			return "", err
		}
		if inst := o.instance(); inst == nil || inst.failed {
			return lifecycle.ReasonExited, errors.New("it is not there, or does not take writes")
		}
		if o.spec.Kind != lifecycle.KindDisk || o.node().now() < next {
			continue
		}
		next = o.node().now() + resourcetype.VerifyInterval
		err := o.verify()
		if err != nil && !errors.Is(err, reservation.ErrLost) && o.err() == nil {
			err = o.verify() // LooksAlive has failed, so IsAlive decides
		}
		switch {
		case o.err() != nil:
			return "", o.err()
		case errors.Is(err, reservation.ErrLost):
			return lifecycle.ReasonReservationLost, err
		case err != nil:
			return lifecycle.ReasonHealthCheckFailed, err
		}
	}
}

func (g *group) unhealthy(w *watching, uid string, reason lifecycle.Reason, err error) {
	if g.watches[uid] != w {
		return
	}
	in := lifecycle.Unhealthy{UID: uid, Serial: w.serial, Reason: reason, Message: err.Error()}
	var stale *reservation.StaleError
	if errors.As(err, &stale) {
		in.Stale, in.Floor = true, stale.Epoch
	}
	g.agent.node.c.Trace("node %d %s has failed: %s %v", g.agent.node.id, w.op.spec.Name, reason, err)
	g.step(in)
}

// exited tells a living agent at once that a process is gone.
func (n *node) exited(inst *instance) {
	n.end(inst, "it exits")
	if n.agent == nil {
		return
	}
	a := n.agent
	a.after(time.Millisecond, func() {
		if g := a.groups[inst.group]; g != nil && g.watches[inst.resource] != nil && n.instances[inst.resource] == nil {
			g.unhealthy(g.watches[inst.resource], inst.resource, lifecycle.ReasonExited, errors.New("it has exited"))
		}
	})
}
