package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// checker is the health checks of one resource for as long as it is online.
type checker struct {
	group  *group
	typ    resourcetype.Type
	inst   *resourcetype.Instance
	uid    string
	serial uint64
	timing lifecycle.Timing
	// maintaining says that a Maintain is under way.
	maintaining atomic.Bool
	// isolated is nil when the resource needs no network.
	isolated func() error
}

// isolationInterval is how often a resource's network is asked after. What is answered has been confirmed before.
const isolationInterval = time.Second

// isolation is the question whether the network that a resource serves on is lost here; nil when there is nothing to ask.
func (g *group) isolation(typeName string, spec json.RawMessage) func() error {
	ask := g.monitor.opts.Isolated
	t, err := g.monitor.opts.Types.Get(typeName)
	if ask == nil || err != nil {
		return nil
	}
	networked, ok := t.(resourcetype.Networked)
	if !ok {
		return nil
	}
	network := networked.ClientNetwork(spec)
	if network == "" {
		return nil
	}
	return func() error { return ask(network, g.id) }
}

// lostNetwork is the network that a resource has failed for; empty when it has failed by itself.
func lostNetwork(err error) string {
	if lost := (&resourcetype.NetworkLostError{}); errors.As(err, &lost) {
		return lost.Network
	}
	return ""
}

// watch begins the health checks that the action asks for; the group is locked.
func (g *group) watch(a lifecycle.Action) {
	r := g.resources[a.UID]
	if r == nil {
		return
	}
	if r.unwatch != nil {
		r.unwatch()
	}
	g.retune(r)
	t, err := g.typeOf(r)
	if err != nil {
		return // Online or Adopt has failed with this before
	}
	ctx, cancel := context.WithCancel(g.monitor.ctx)
	r.unwatch = cancel
	c := &checker{group: g, typ: t, inst: g.instance(r, 0), uid: a.UID, serial: a.Serial, timing: lifecycle.Timing{}.WithDefaults()}
	for _, d := range g.desired.Resources {
		if d.Resource.UID == a.UID {
			c.timing = d.Timing.WithDefaults()
			c.isolated = g.isolation(d.Type, d.Spec)
		}
	}
	g.monitor.work.Go(func() {
		defer cancel()
		c.run(ctx)
	})
}

func (c *checker) run(ctx context.Context) {
	var failures <-chan error
	if watcher, ok := c.typ.(resourcetype.Watcher); ok {
		var err error
		if failures, err = watcher.Watch(ctx, c.inst); err != nil {
			c.fail(ctx, lifecycle.ReasonExited, err)
			return
		}
	}
	c.maintain(ctx)
	looks := c.timing.LooksAlive
	if _, ok := c.typ.(resourcetype.Reserver); ok {
		looks = min(looks, resourcetype.VerifyInterval)
	}
	// The first polls come early by a random part: a thousand groups that failed over together are not polled together.
	looksTimer := time.NewTimer(spread(looks))
	defer looksTimer.Stop()
	if failures != nil && c.seesAll() {
		looksTimer.Stop()
	}
	isTimer := time.NewTimer(spread(c.timing.IsAlive))
	defer isTimer.Stop()
	networkTicker := time.NewTicker(isolationInterval)
	defer networkTicker.Stop()
	if c.isolated == nil {
		networkTicker.Stop()
	}
	for {
		var ok bool
		select {
		case <-ctx.Done():
			return
		case err, open := <-failures:
			if !open {
				failures = nil
				looksTimer.Reset(looks)
				continue
			}
			c.fail(ctx, lifecycle.ReasonExited, err)
			return
		case <-looksTimer.C:
			ok = c.looks(ctx)
			looksTimer.Reset(looks)
		case <-isTimer.C:
			ok = c.check(ctx, "IsAlive", c.typ.IsAlive)
			isTimer.Reset(c.timing.IsAlive)
			if ok {
				c.maintain(ctx)
			}
		case <-networkTicker.C:
			ok = c.network(ctx)
		}
		if !ok {
			return
		}
	}
}

// maintain has the type look after the resource, beside the checks: it may take long. The machine hears what there is to tell.
func (c *checker) maintain(ctx context.Context) {
	maintainer, ok := c.typ.(resourcetype.Maintainer)
	if !ok || !c.maintaining.CompareAndSwap(false, true) {
		return
	}
	c.group.monitor.work.Go(func() {
		defer c.maintaining.Store(false)
		err := c.maintained(ctx, maintainer)
		if ctx.Err() != nil {
			return
		}
		var note string
		if err != nil {
			note = err.Error()
		}
		c.group.mu.Lock()
		defer c.group.mu.Unlock()
		c.group.step(lifecycle.Noted{UID: c.uid, Serial: c.serial, Message: note})
	})
}

func (c *checker) maintained(ctx context.Context, maintainer resourcetype.Maintainer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the resource type %s panicked: %v", c.inst.Type, p)
		}
	}()
	return maintainer.Maintain(ctx, c.inst)
}

// seesAll says that the watch makes the polls with LooksAlive needless.
func (c *checker) seesAll() bool {
	t, ok := c.typ.(resourcetype.AllSeeing)
	return ok && t.SeesAll(c.inst)
}

func spread(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// looks runs the cheap check; when it fails, the thorough one decides (A05). A lost reservation needs no second opinion.
func (c *checker) looks(ctx context.Context) bool {
	hung, err := c.bounded(ctx, c.typ.LooksAlive)
	switch {
	case ctx.Err() != nil:
		return false
	case hung:
		c.fail(ctx, lifecycle.ReasonDeadlocked, fmt.Errorf("LooksAlive did not return within %s", c.timing.Deadlock))
		return false
	case err == nil:
		return true
	case lost(err):
		c.fail(ctx, lifecycle.ReasonReservationLost, err)
		return false
	}
	return c.check(ctx, "IsAlive after LooksAlive: "+err.Error(), c.typ.IsAlive)
}

func (c *checker) check(ctx context.Context, what string, f func(context.Context, *resourcetype.Instance) error) bool {
	hung, err := c.bounded(ctx, f)
	switch {
	case ctx.Err() != nil:
		return false
	case hung:
		c.fail(ctx, lifecycle.ReasonDeadlocked, fmt.Errorf("%s did not return within %s", what, c.timing.Deadlock))
		return false
	case err == nil:
		return true
	case lost(err):
		c.fail(ctx, lifecycle.ReasonReservationLost, err)
		return false
	}
	if denied := c.inst.MayStart(); denied != nil {
		// Without a lease the kernel silences the addresses, so a check may fail for that alone; and nothing could be restarted. Either
		// all of it stops soon, or the lease comes back (a node that waits for the end of a challenge, R8) and the next check decides.
		c.inst.Log.Info("A failed health check is not counted", "check", what, "failure", err.Error(), "reason", denied.Error())
		return true
	}
	c.fail(ctx, lifecycle.ReasonHealthCheckFailed, fmt.Errorf("%s: %w", what, err))
	return false
}

// network fails a resource whose network is lost here. As in check, a node that may start nothing anyhow waits.
func (c *checker) network(ctx context.Context) bool {
	err := c.isolated()
	if err == nil || c.inst.MayStart() != nil {
		return true
	}
	c.fail(ctx, lifecycle.ReasonNetworkLost, err)
	return false
}

func lost(err error) bool {
	var stale *resourcetype.StaleError
	return errors.Is(err, resourcetype.ErrReservationLost) || errors.As(err, &stale)
}

// bounded gives a check the deadlockTimeout; one that hangs is left behind.
func (c *checker) bounded(ctx context.Context, f func(context.Context, *resourcetype.Instance) error) (hung bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timing.Deadlock)
	defer cancel() // a check that hangs is asked to end, and left behind
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the health check panicked: %v", p)
			}
		}()
		done <- f(ctx, c.inst)
	}()
	select {
	case err = <-done:
		return errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil, err
	case <-ctx.Done():
		hung = errors.Is(ctx.Err(), context.DeadlineExceeded)
		if hung {
			time.AfterFunc(hangGrace, func() {
				c.group.mu.Lock()
				defer c.group.mu.Unlock()
				if len(done) == 0 {
					c.group.setApart(c.uid)
				}
			})
		}
		return hung, ctx.Err()
	}
}

// fail tells the machine, unless the checks were ended in the meantime.
func (c *checker) fail(ctx context.Context, reason lifecycle.Reason, err error) {
	if ctx.Err() != nil {
		return
	}
	in := lifecycle.Unhealthy{UID: c.uid, Serial: c.serial, Reason: reason}
	if err != nil {
		in.Message, in.Network = err.Error(), lostNetwork(err)
	}
	var stale *resourcetype.StaleError
	if errors.As(err, &stale) {
		in.Stale, in.Floor = true, stale.Epoch
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.group.monitor.opts.Log.Info("a resource has failed", "group", c.group.id.String(),
		"resource", c.inst.Resource.Name, "reason", reason, "message", in.Message)
	c.group.step(in)
}
