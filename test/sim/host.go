package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// Host is one node's shell: a clock, a disk, a tmpfs and a process that owns a machine.
type Host struct {
	w  *World
	id model.NodeID

	// rate and zero make the local clock: CLOCK_BOOTTIME, which begins again with each boot.
	rate float64
	zero time.Duration

	machine *membership.Machine
	// life invalidates timers of an earlier process; boots counts the boots.
	life int
	// boots tells what was begun before a power cut from what was begun after it.
	boots int
	// disk survives everything but its loss, tmpfs a crash of the process.
	disk  *membership.Persistent
	tmpfs *membership.Volatile

	// reported is what the API server last heard of this node, up to a second late.
	reported   membership.Persistent
	reportedAt time.Duration

	frozen  bool
	busy    bool // in fsync
	pending *membership.Ready
	inbox   []*membership.Message
	answers []membership.WitnessResult
	// lost is what the last view has lost.
	lost []membership.LostMember
	// cannotServe says that no client network works.
	cannotServe bool
	wake        time.Duration // true time of the next tick

	// agent runs beside the machine; nil in a world of membership alone.
	agent Agent
}

func newHost(w *World, id model.NodeID) *Host {
	h := &Host{w: w, id: id, rate: 1}
	if w.opts.Drift {
		h.rate = 0.99 + 0.02*w.rng.Float64()
	}
	if w.opts.Agent != nil {
		h.agent = w.opts.Agent(h)
	}
	return h
}

// local is the host's clock.
func (h *Host) local() time.Duration {
	return time.Duration(float64(h.w.now-h.zero)*h.rate) + time.Second
}

// truly converts a local time into true time.
func (h *Host) truly(local time.Duration) time.Duration {
	return h.zero + time.Duration(float64(local-time.Second)/h.rate)
}

// On reports whether the process runs.
func (h *Host) On() bool { return h.machine != nil }

// Status is the machine's, now; zero when the process does not run.
func (h *Host) Status() membership.Status {
	if h.machine == nil {
		return membership.Status{}
	}
	return h.machine.Status(h.local())
}

// boot switches the host on: another boot time, an empty tmpfs.
func (h *Host) boot() {
	h.zero, h.tmpfs = h.w.now, nil
	h.launch()
}

// launch starts the process with what the disk and the tmpfs hold.
func (h *Host) launch() {
	cfg := h.w.cfg
	cfg.Self = h.id
	m, err := membership.New(cfg, h.disk, h.reload(), h.local())
	if err != nil {
		h.w.fail("host %d: %v", h.id, err)
		return
	}
	h.life++
	h.machine, h.frozen, h.busy, h.pending, h.inbox, h.wake = m, false, false, nil, nil, 0
	h.answers = nil
	st := m.Status(h.local())
	h.w.trace("host %d launch %v incarnation %d view %s", h.id, st.Self, st.Incarnation, viewString(st.View))
	switch {
	case h.agent != nil:
		h.agent.Start()
	case !st.Ready:
		h.cleanLater()
	}
	h.step(m.Tick)
	if h.cannotServe {
		h.serve()
	}
}

// reload passes the tmpfs through its encoding, as a real agent does.
func (h *Host) reload() *membership.Volatile {
	if h.tmpfs == nil {
		return nil
	}
	raw, err := json.Marshal(h.tmpfs)
	if err != nil {
		h.w.fail("host %d: %v", h.id, err)
		return nil
	}
	v := new(membership.Volatile)
	if err := json.Unmarshal(raw, v); err != nil {
		h.w.fail("host %d: %v", h.id, err)
	}
	return v
}

// cleanLater is the stop of what was burnt: it takes a while, then the node is ready (O3).
func (h *Host) cleanLater() {
	life := h.life
	h.w.After(h.w.between(0, time.Second), func() {
		if h.machine == nil || h.life != life {
			return
		}
		if h.frozen || h.busy {
			h.cleanLater()
			return
		}
		h.w.check.cleaned(h)
		h.step(func(now time.Duration) { h.machine.SetReady(true, now) })
	})
}

// deliver hands in a message, or leaves it in the socket while the process cannot read.
func (h *Host) deliver(msg *membership.Message) {
	switch {
	case h.machine == nil:
	case h.frozen || h.busy:
		if len(h.inbox) < 256 {
			h.inbox = append(h.inbox, msg)
		}
	default:
		h.receive(msg)
	}
}

func (h *Host) receive(msg *membership.Message) {
	h.step(func(now time.Duration) { h.take(now, msg, h.machine.Receive) })
}

func (h *Host) take(now time.Duration, msg *membership.Message, hand func(time.Duration, *membership.Message) error) {
	err := hand(now, msg)
	if err != nil && !errors.Is(err, membership.ErrOldSequence) && !errors.Is(err, membership.ErrOldIncarnation) {
		h.w.fail("host %d: %v", h.id, err)
	}
}

// step calls the machine and carries out what it asks for, in the order that its package prescribes.
func (h *Host) step(do func(now time.Duration)) {
	if h.machine == nil || h.w.err != nil {
		return
	}
	do(h.local())
	rd := h.machine.Ready()
	if h.agent != nil && slices.ContainsFunc(rd.Events, isLoss) {
		h.agent.Lost() // only stops follow from it, and they do not wait for a disk
	}
	if rd.Persist == nil {
		h.finish(&rd)
		return
	}
	h.busy, h.pending = true, &rd
	life := h.life
	h.w.After(h.w.between(200*time.Microsecond, 5*time.Millisecond), func() { h.synced(life) })
}

// synced is the end of an fsync; a frozen process learns of it when it thaws.
func (h *Host) synced(life int) {
	if h.life != life || h.machine == nil || h.frozen || h.pending == nil {
		return
	}
	rd := h.pending
	h.disk, h.busy, h.pending = rd.Persist, false, nil
	h.finish(rd)
	h.drain()
}

// drain reads the socket empty before any timer is looked at (freeze and thaw), and carries out what comes of it at once.
func (h *Host) drain() {
	msgs, answers := h.inbox, h.answers
	h.inbox, h.answers = nil, nil
	h.step(func(now time.Duration) {
		for _, msg := range msgs {
			h.take(now, msg, h.machine.Hear)
		}
		for _, r := range answers {
			h.machine.WitnessDone(now, r)
		}
		h.machine.Tick(now)
	})
}

func (h *Host) finish(rd *membership.Ready) {
	if rd.Volatile != nil {
		h.tmpfs = rd.Volatile
	}
	left := false
	for _, e := range rd.Events {
		h.w.trace("host %d %s", h.id, eventString(e))
		h.w.check.event(h, e)
		switch e := e.(type) {
		case membership.ViewInstalled:
			h.lost = e.Lost
		case membership.QuorumLost:
			if h.agent == nil {
				h.cleanLater()
			}
		case membership.Left:
			left = true
		}
	}
	h.w.check.status(h)
	if h.agent != nil {
		h.agent.Step(h.Status())
	}
	for i := range rd.Messages {
		h.w.net.send(h.id, &rd.Messages[i])
	}
	if rd.Witness != nil {
		h.w.witnesses[rd.Witness.Witness].begin(h, *rd.Witness)
	}
	if left {
		h.w.check.gone(h)
		h.off()
		h.stopped(false)
		return
	}
	h.arm()
}

// arm sets the timer for the machine's next deadline.
func (h *Host) arm() {
	if h.machine == nil || h.busy || h.frozen {
		return
	}
	at := h.truly(h.machine.NextDeadline(h.local())) + time.Microsecond
	if h.wake > h.w.now && h.wake <= at {
		return
	}
	h.wake = at
	life := h.life
	h.w.After(at-h.w.now, func() {
		if h.life == life && h.machine != nil && !h.frozen && !h.busy && h.wake == at {
			h.step(h.machine.Tick)
		}
	})
}

func (h *Host) off() {
	h.machine, h.frozen, h.busy, h.inbox = nil, false, false, nil
	h.life++
}

// Crash kills the process (its host runs on). A write under way may or may not have reached the disk, and the tmpfs after it.
func (h *Host) Crash() {
	if h.machine == nil {
		return
	}
	h.tear()
	h.w.trace("host %d crashes", h.id)
	h.off()
	h.stopped(false)
}

func (h *Host) tear() {
	if h.pending != nil && h.w.chance(0.5) {
		h.disk = h.pending.Persist
		if h.w.chance(0.5) && h.pending.Volatile != nil {
			h.tmpfs = h.pending.Volatile
		}
	}
	h.pending = nil
}

// Restart starts the process again after a crash.
func (h *Host) Restart() {
	if h.machine == nil {
		h.launch()
	}
}

// PowerOff cuts the power: everything on the host stops at once.
func (h *Host) PowerOff() {
	h.tear()
	h.w.trace("host %d loses power", h.id)
	h.w.check.gone(h)
	h.off()
	h.boots++
	h.tmpfs = nil
	h.stopped(true)
	for _, d := range h.w.witnesses {
		d.busy[h.id] = false
	}
}

// PowerOn boots the host.
func (h *Host) PowerOn() {
	if h.machine == nil {
		h.boot()
	}
}

// Freeze stops the process, not the clock.
func (h *Host) Freeze() {
	if h.machine != nil {
		h.w.trace("host %d freezes", h.id)
		h.frozen = true
	}
}

// Thaw lets the process go on.
func (h *Host) Thaw() {
	if h.machine == nil || !h.frozen {
		return
	}
	h.w.trace("host %d thaws", h.id)
	h.frozen = false
	if h.busy {
		h.synced(h.life)
	} else {
		h.drain()
	}
	if h.agent != nil {
		h.agent.Thaw()
	}
}

// report tells the API server of this life: at once of a new incarnation, else now and then.
func (h *Host) report(st membership.Status) {
	if h.w.now-h.reportedAt >= time.Second || st.Incarnation != h.reported.Incarnation {
		h.reportedAt = h.w.now
		h.reported = membership.Persistent{Incarnation: st.Incarnation, Generation: st.Self.Generation, HighestView: st.HighestView}
	}
}

// remembered is what a host that has lost its disk starts from: what was reported of it, and of the others' views.
func (h *Host) remembered() *membership.Persistent {
	p := h.reported
	for _, o := range h.w.Hosts {
		p.HighestView = max(p.HighestView, o.reported.HighestView)
	}
	p.Incarnation += membership.LostDiskMargin
	p.Generation += membership.LostDiskMargin
	p.HighestView += membership.LostDiskMargin
	return &p
}

func (h *Host) describe() string {
	if h.machine == nil {
		return "off"
	}
	st := h.Status()
	return fmt.Sprintf("%v ready=%t acting=%t keeping=%t witness=%+v view %s proposal %v highest %d committed [%s] tentative [%s] frozen=%t",
		st.Self, st.Ready, st.Acting, st.Keeping, st.Witness, viewString(st.View), st.Proposal, st.HighestView, st.Committed, st.Tentative, h.frozen)
}

func viewString(v *membership.View) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%v%v", v.ID, v.Members)
}

func eventString(e membership.Event) string {
	switch e := e.(type) {
	case membership.ViewInstalled:
		return fmt.Sprintf("installs %s lost %v", viewString(&e.View), e.Lost)
	case membership.QuorumGained:
		return fmt.Sprintf("acts in %s", viewString(&e.View))
	case membership.QuorumLost:
		return fmt.Sprintf("loses quorum of %s, burns generation %d", viewString(e.View), e.Burnt)
	case membership.RecordCommitted:
		return fmt.Sprintf("commits record %s", &e.Record)
	case membership.Suspended:
		return fmt.Sprintf("is suspended from %s until %v", viewString(e.View), e.Until)
	case membership.Left:
		return "has left"
	}
	return fmt.Sprintf("%T", e)
}
