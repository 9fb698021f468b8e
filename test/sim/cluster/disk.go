package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
)

var errPath = errors.New("the path to the disk is dead")

// disk is one disk of the array: its reservations are the real emulation's.
type disk struct {
	c      *Cluster
	device string
	array  reservation.Array
	// enforced disks refuse writes by themselves; ptpl ones remember through a power loss.
	enforced, ptpl bool
	// attention is a pending UNIT ATTENTION of a host, cut a dead path.
	attention, cut map[model.NodeID]bool
	hung           bool
	// waiting is what begins when the disk goes on.
	waiting []func()
	// accepted are the writes that the target has taken and not yet carried out.
	accepted []*diskWrite
	counter  uint64
	// newest is the mount that began last.
	newest *instance
}

// diskWrite is what a writer puts on the disk.
type diskWrite struct {
	inst    *instance
	counter uint64
	aborted bool
	// stuck says that the target itself has held it back, while it hung.
	stuck bool
}

func nexus(id model.NodeID) string { return string(rune('0' + id)) }

// reach runs f when the command is at the target: after the way there, and not while the disk hangs.
func (d *disk) reach(f func()) {
	d.c.After(d.c.Between(50*time.Microsecond, 2*time.Millisecond), func() {
		if d.hung {
			d.waiting = append(d.waiting, f)
			return
		}
		f()
	})
}

func (d *disk) setHung(hung bool) {
	d.hung = hung
	if hung {
		return
	}
	waiting := d.waiting
	d.waiting = nil
	for _, f := range waiting {
		d.c.After(0, f)
	}
}

// reset is an array that restarts: what it had accepted is lost, everybody hears of it, and without PTPL the reservations are gone.
func (d *disk) reset(power bool) {
	for _, w := range d.accepted {
		w.aborted = true
	}
	d.accepted = nil
	for _, n := range d.c.nodes {
		d.attention[n.id] = true
	}
	if power && !d.ptpl {
		d.array = reservation.Array{}
	}
	d.c.dirty = true
}

// mayWrite reports whether a write of the host would be taken now.
func (d *disk) mayWrite(id model.NodeID) bool { return !d.enforced || d.array.MayWrite(nexus(id)) }

// write sends a write of a mounted file system on its way.
func (d *disk) write(inst *instance) {
	d.counter++
	w := &diskWrite{inst: inst, counter: d.counter}
	id := inst.node.id
	inst.inFlight++
	if d.cut[id] {
		d.c.After(d.c.Between(10*time.Millisecond, time.Second), func() { inst.inFlight--; inst.failed = true })
		return
	}
	sent := d.c.Now()
	d.reach(func() {
		w.stuck = d.c.Now()-sent > 2*time.Millisecond
		if d.attention[id] { // the driver sends it again
			delete(d.attention, id)
			inst.inFlight--
			return
		}
		if !d.mayWrite(id) {
			inst.inFlight--
			inst.failed = true
			return
		}
		d.accepted = append(d.accepted, w)
		// Mostly at once; now and then the target's queue is long.
		wait := d.c.Between(20*time.Microsecond, time.Millisecond)
		if d.c.Chance(0.1) {
			wait = d.c.Between(time.Millisecond, 400*time.Millisecond)
		}
		d.c.After(wait, func() { d.land(w) })
	})
}

// land is the moment at which an accepted write reaches the medium; nothing looks at reservations any more.
func (d *disk) land(w *diskWrite) {
	w.inst.inFlight--
	if w.aborted {
		return
	}
	d.accepted = slices.DeleteFunc(d.accepted, func(o *diskWrite) bool { return o == w })
	d.c.check.landed(d, w)
}

// abort drops what the target has accepted from these hosts.
func (d *disk) abort(nexuses []string) {
	d.accepted = slices.DeleteFunc(d.accepted, func(w *diskWrite) bool {
		hit := slices.Contains(nexuses, nexus(w.inst.node.id))
		w.aborted = w.aborted || hit
		return hit
	})
}

// path is the disk as one thread of one host has it: reservation.Device.
type path struct {
	t *thread
	d *disk
}

var _ reservation.Device = (*path)(nil)

func (p *path) Name() string { return p.d.device }

// send issues a command and waits for its answer. The command reaches the target whatever becomes of its sender.
func (p *path) send(at func() error) error {
	c, id := p.d.c, p.t.agent.node.id
	if err := p.t.err(); err != nil {
		return err
	}
	var result error
	if !p.t.block(func(resume func()) {
		if p.d.cut[id] {
			result = errPath
			c.After(c.Between(10*time.Millisecond, time.Second), resume)
			return
		}
		p.d.reach(func() {
			if p.d.attention[id] {
				delete(p.d.attention, id)
				result = reservation.ErrAttention
			} else {
				result = at()
			}
			c.After(c.Between(50*time.Microsecond, 2*time.Millisecond), resume)
		})
	}) {
		return errKilled
	}
	return result
}

func (p *path) ReadStatus(context.Context) (reservation.Status, error) {
	var st reservation.Status
	err := p.send(func() error {
		st = p.d.array.Status()
		st.Enforced, st.PTPL = p.d.enforced, p.d.ptpl
		return nil
	})
	return st, err
}

func (p *path) do(c reservation.Command) error {
	id := p.t.agent.node.id
	return p.send(func() error {
		victims, err := p.d.array.Do(nexus(id), c)
		if err != nil {
			return err
		}
		p.d.c.Trace("disk   %s: node %d %s key %s %s", p.d.device, id, c.Service, c.Key, c.ServiceKey)
		switch c.Service {
		case reservation.ServicePreemptAbort:
			if enforced(ruleAbort) {
				p.d.abort(victims)
			}
			for _, n := range p.d.c.nodes {
				if slices.Contains(victims, nexus(n.id)) {
					p.d.attention[n.id] = true
				}
			}
		case reservation.ServiceLUNReset:
			p.d.reset(false)
			delete(p.d.attention, id)
		case reservation.ServiceRegister, reservation.ServiceRegisterIgnore, reservation.ServiceReserve, reservation.ServiceRelease,
			reservation.ServiceClear:
		}
		p.d.c.dirty = true
		return nil
	})
}

func (p *path) Register(_ context.Context, old, key reservation.Key) error {
	return p.do(reservation.Command{Service: reservation.ServiceRegister, Key: old, ServiceKey: key})
}

func (p *path) RegisterIgnore(_ context.Context, key reservation.Key) error {
	return p.do(reservation.Command{Service: reservation.ServiceRegisterIgnore, ServiceKey: key})
}

func (p *path) Reserve(_ context.Context, key reservation.Key) error {
	return p.do(reservation.Command{Service: reservation.ServiceReserve, Key: key, Type: reservation.WriteExclusiveRegistrantsOnly})
}

func (p *path) Release(_ context.Context, key reservation.Key) error {
	return p.do(reservation.Command{Service: reservation.ServiceRelease, Key: key, Type: reservation.WriteExclusiveRegistrantsOnly})
}

func (p *path) PreemptAbort(_ context.Context, key, victim reservation.Key) error {
	return p.do(reservation.Command{
		Service: reservation.ServicePreemptAbort, Key: key, ServiceKey: victim, Type: reservation.WriteExclusiveRegistrantsOnly,
	})
}

func (p *path) Clear(_ context.Context, key reservation.Key) error {
	return p.do(reservation.Command{Service: reservation.ServiceClear, Key: key})
}

func (p *path) LUNReset(context.Context) error {
	return p.do(reservation.Command{Service: reservation.ServiceLUNReset})
}
