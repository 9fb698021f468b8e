package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
)

// witnessCluster is the cluster number in the keys of the simulation.
const witnessCluster = 1

// witnessTimeout is when the shell gives an operation up; what was begun may still take effect.
const witnessTimeout = 400 * time.Millisecond

// witnessDisk is a disk that all hosts share: reservations as a target has them, and a slot per host for what is written.
type witnessDisk struct {
	w     *World
	array reservation.Array
	// identity is written by who takes it first.
	identity uint32
	slots    map[model.NodeID]membership.WitnessContent
	// state is the agents', of the highest version that any has saved.
	state   any
	version uint64
	// hung stops what is under way, for one host or, under 0, for all; failed makes it fail.
	hung, failed map[model.NodeID]bool
	// busy are the hosts with an operation that was given up and has not ended.
	busy map[model.NodeID]bool
}

func newWitnessDisk(w *World) *witnessDisk {
	return &witnessDisk{
		w: w, slots: map[model.NodeID]membership.WitnessContent{}, hung: map[model.NodeID]bool{}, failed: map[model.NodeID]bool{},
		busy: map[model.NodeID]bool{},
	}
}

func witnessKey(k membership.WitnessKey) reservation.Key {
	if k == (membership.WitnessKey{}) {
		return 0
	}
	key, err := reservation.NewKey(witnessCluster, k.Node, model.Epoch(k.Incarnation))
	if err != nil {
		panic(err)
	}
	return key
}

func witnessOf(k reservation.Key) membership.WitnessKey {
	return membership.WitnessKey{Node: k.Node(), Incarnation: uint32(k.Epoch())}
}

// begin starts an operation of a host. It takes effect at a moment of its own and is answered later; both may meet a host that is
// frozen, dead or in another life.
func (d *witnessDisk) begin(h *Host, op membership.WitnessOp) {
	life, boot := h.life, h.boots
	answer := func(r membership.WitnessResult) {
		r.Serial = op.Serial
		h.answer(life, r)
	}
	if d.busy[h.id] {
		d.w.After(time.Millisecond, func() { answer(membership.WitnessResult{Err: "an earlier operation hangs"}) })
		return
	}
	d.busy[h.id] = true
	keeper, _ := h.agent.(Keeper)
	w := &writing{op: op}
	if keeper != nil && op.Act == membership.WitnessSave {
		w.version, w.state = keeper.Keeps()
	}
	given := false
	d.w.After(witnessTimeout, func() {
		if d.busy[h.id] && !given && h.life == life {
			given = true
			answer(membership.WitnessResult{Err: "timed out"})
		}
	})
	d.attempt(h, boot, w, func(r membership.WitnessResult) {
		if h.boots == boot {
			d.busy[h.id] = false
		}
		if given {
			return
		}
		if keeper == nil || r.Err != "" || h.life != life {
			given = true
			answer(r)
			return
		}
		d.tell(h, keeper, w, func() {
			if !given {
				given = true
				answer(r)
			}
		})
	})
}

// writing is an operation with what goes to the witness, or comes from it, for the agent.
type writing struct {
	op      membership.WitnessOp
	version uint64
	state   any
}

// tell tells the agent what has happened to its state, then goes on.
func (d *witnessDisk) tell(h *Host, k Keeper, w *writing, next func()) {
	switch w.op.Act {
	case membership.WitnessSave:
		k.Saved(w.version)
	case membership.WitnessLoad:
		k.Loaded(w.version, w.state, next)
		return
	case membership.WitnessLook, membership.WitnessRegister, membership.WitnessRemove, membership.WitnessTake, membership.WitnessRelease:
	}
	next()
}

// attempt lets an operation take effect once nothing hangs.
func (d *witnessDisk) attempt(h *Host, boot int, w *writing, done func(membership.WitnessResult)) {
	takes := d.w.between(200*time.Microsecond, 4*time.Millisecond)
	if slow := d.w.opts.SlowSaves; slow > 0 && w.op.Act == membership.WitnessSave {
		takes += d.w.between(0, slow)
	}
	d.w.After(takes, func() {
		switch {
		case h.boots != boot && d.w.chance(0.5): // lost with the host's power
		case d.hung[h.id] || d.hung[0]:
			d.w.After(20*time.Millisecond, func() { d.attempt(h, boot, w, done) })
		case d.failed[h.id] || d.failed[0]:
			done(membership.WitnessResult{Err: "input/output error"})
		default:
			r := d.effect(h, w)
			d.w.trace("wit    %d %s %v: conflict=%t holder %v of %v", h.id, w.op.Act, w.op.Victim, r.Conflict, r.Holder, r.Registered)
			d.w.After(d.w.between(100*time.Microsecond, 2*time.Millisecond), func() { done(r) })
		}
	})
}

func (d *witnessDisk) effect(h *Host, w *writing) membership.WitnessResult {
	op, nexus := w.op, hostNexus(h.id)
	me, victim := witnessKey(op.Me), witnessKey(op.Victim)
	const kind = reservation.WriteExclusiveRegistrantsOnly
	switch op.Act {
	case membership.WitnessLook:
		return d.look()
	case membership.WitnessLoad:
		w.version, w.state = d.version, d.state
		c := d.load()
		c.State = d.version
		return membership.WitnessResult{Content: c}
	case membership.WitnessSave:
		if !d.array.MayWrite(nexus) || d.array.Registrations[nexus] != me {
			return membership.WitnessResult{Err: "reservation conflict on write"}
		}
		d.slots[h.id] = op.Content
		if w.version > d.version {
			d.version, d.state = w.version, w.state
		}
		return membership.WitnessResult{}
	case membership.WitnessRegister:
		return d.do(nexus, reservation.Command{Service: reservation.ServiceRegisterIgnore, ServiceKey: me})
	case membership.WitnessRemove:
		var r membership.WitnessResult
		for _, v := range op.Victims {
			// A conflict may also mean that the challenger is gone already.
			r = d.do(nexus, reservation.Command{Service: reservation.ServicePreemptAbort, Key: me, ServiceKey: witnessKey(v), Type: kind})
		}
		return r
	case membership.WitnessTake:
		if d.identity == 0 {
			d.identity = 1 + d.w.rng.Uint32N(1<<30)
		}
		if victim == 0 {
			return d.do(nexus, reservation.Command{Service: reservation.ServiceReserve, Key: me, Type: kind})
		}
		return d.do(nexus, reservation.Command{Service: reservation.ServicePreemptAbort, Key: me, ServiceKey: victim, Type: kind})
	case membership.WitnessRelease:
		return d.do(nexus, reservation.Command{Service: reservation.ServiceRelease, Key: me, Type: kind})
	}
	panic("unknown act " + string(op.Act))
}

func (d *witnessDisk) do(nexus string, c reservation.Command) membership.WitnessResult {
	_, err := d.array.Do(nexus, c)
	switch {
	case errors.Is(err, reservation.ErrConflict):
		return membership.WitnessResult{Conflict: true}
	case err != nil:
		return membership.WitnessResult{Err: err.Error()}
	}
	return membership.WitnessResult{}
}

func (d *witnessDisk) look() membership.WitnessResult {
	st := d.array.Status()
	r := membership.WitnessResult{Identity: d.identity}
	if st.Holder != 0 {
		r.Holder = witnessOf(st.Holder)
	}
	for _, k := range st.Keys {
		r.Registered = append(r.Registered, witnessOf(k))
	}
	return r
}

// load merges the slots as the shell does: the highest of each.
func (d *witnessDisk) load() membership.WitnessContent {
	var c membership.WitnessContent
	for id := model.NodeID(1); int(id) <= len(d.w.Hosts); id++ {
		s := d.slots[id]
		if s.View.Number > c.View.Number {
			c.View = s.View
		}
		if quorum.Compare(s.Committed, c.Committed) > 0 {
			c.Committed = s.Committed
		}
		if quorum.Compare(s.Tentative, c.Tentative) > 0 {
			c.Tentative = s.Tentative
		}
	}
	return c
}

// PowerLoss forgets registrations and reservation, as a target without APTPL does.
func (d *witnessDisk) PowerLoss() {
	d.w.trace("wit    loses its reservations")
	d.array = reservation.Array{Generation: d.array.Generation + 1}
}

func hostNexus(id model.NodeID) string { return string(rune('A' + id)) }

// answer hands the outcome of an operation in, or leaves it for later while the process cannot read.
func (h *Host) answer(life int, r membership.WitnessResult) {
	switch {
	case h.machine == nil || h.life != life:
	case h.frozen || h.busy:
		h.answers = append(h.answers, r)
	default:
		h.step(func(now time.Duration) { h.machine.WitnessDone(now, r) })
	}
}

// witness returns the witness that is configured now; nil when there is none.
func (w *World) witness() *witnessDisk { return w.witnesses[w.cfg.Witness.ID] }

// setConfig gives every host the present configuration, each at a moment of its own within spread.
func (w *World) setConfig(spread time.Duration) {
	for _, h := range w.Hosts {
		w.After(w.between(0, spread), func() { h.configure() })
	}
}

func (h *Host) configure() {
	if h.machine == nil {
		return
	}
	if h.frozen || h.busy {
		h.w.After(50*time.Millisecond, h.configure)
		return
	}
	cfg := h.w.cfg
	cfg.Self = h.id
	h.step(func(now time.Duration) {
		if err := h.machine.SetConfig(cfg, now); err != nil {
			h.w.fail("host %d: %v", h.id, err)
		}
	})
}

// ChangeWitness configures another witness, or with only that it alone votes.
func (w *World) ChangeWitness(only bool, spread time.Duration) {
	before := w.cfg.Witness
	next := before.ID + 1
	w.witnesses[next] = newWitnessDisk(w)
	w.cfg.Witness = membership.WitnessConfig{ID: next, Only: only, Earlier: append(slices.Clone(before.Earlier), before.ID)}
	w.trace("config witness %d after %d, only=%t", next, before.ID, only)
	w.setConfig(spread)
}

// SetServes says whether a host can serve clients.
func (w *World) SetServes(id model.NodeID, serves bool) {
	h := w.Host(id)
	h.cannotServe = !serves
	h.serve()
}

func (h *Host) serve() {
	if h.machine == nil {
		return
	}
	if h.frozen || h.busy {
		h.w.After(50*time.Millisecond, h.serve)
		return
	}
	h.w.trace("host %d serves clients: %t", h.id, !h.cannotServe)
	h.step(func(now time.Duration) { h.machine.SetServes(!h.cannotServe, now) })
}

// healWitness ends all faults of witnesses.
func (w *World) healWitness() {
	for _, d := range w.witnesses {
		clear(d.hung)
		clear(d.failed)
	}
	for _, h := range w.Hosts {
		if h.cannotServe {
			w.SetServes(h.id, true)
		}
	}
}

// disturbWitness makes one fault of the witness.
func (w *World) disturbWitness(h *Host) {
	d := w.witness()
	if d == nil {
		return
	}
	whom := h.id
	if w.chance(0.3) {
		whom = 0
	}
	switch w.rng.IntN(5) {
	case 0, 1:
		w.trace("wit    hangs for %d", whom)
		d.hung[whom] = true
		w.After(w.between(50*time.Millisecond, 4*time.Second), func() { delete(d.hung, whom) })
	case 2:
		w.trace("wit    fails for %d", whom)
		d.failed[whom] = true
		w.After(w.between(50*time.Millisecond, 4*time.Second), func() { delete(d.failed, whom) })
	case 3:
		d.PowerLoss()
	case 4:
		w.SetServes(h.id, h.cannotServe)
	}
}
