package sim

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Weights are the relative chances of each fault in a storm.
type Weights struct {
	Isolate, Split, OneWay, OneNetwork, Degrade, Heal           int
	Freeze, Crash, CrashLost, Reboot, Leave, LoseDisk, Reconfig int
	// Witness disturbs the witness, if there is one; NewWitness configures another.
	Witness, NewWitness int
}

// DefaultWeights are those of an ordinary storm.
var DefaultWeights = Weights{
	Isolate: 8, Split: 8, OneWay: 10, OneNetwork: 4, Degrade: 6, Heal: 14,
	Freeze: 10, Crash: 10, CrashLost: 3, Reboot: 6, Leave: 2, Reconfig: 1,
	Witness: 8, NewWitness: 1,
}

// Storm makes faults for this long, with pauses of 20 ms to gap between them.
func (w *World) Storm(length, gap time.Duration, weights Weights) {
	end := w.now + length
	var next func()
	next = func() {
		if w.now >= end {
			return
		}
		w.fault(weights)
		w.After(w.between(20*time.Millisecond, gap), next)
	}
	w.After(w.between(0, gap), next)
}

// fault draws one fault.
func (w *World) fault(weights Weights) {
	h := w.Hosts[w.rng.IntN(len(w.Hosts))]
	other := w.Hosts[w.rng.IntN(len(w.Hosts))]
	faults := []struct {
		weight int
		do     func()
	}{
		{weights.Isolate, func() { w.trace("net    isolates %d", h.id); w.Isolate(h.id, -1) }},
		{weights.Split, w.split},
		{weights.OneWay, func() { w.trace("net    cuts %d->%d", h.id, other.id); w.CutOneWay(h.id, other.id, -1) }},
		{weights.OneNetwork, func() { w.Isolate(h.id, w.rng.IntN(w.net.networks)) }},
		{weights.Degrade, w.degrade},
		{weights.Heal, w.Heal},
		{weights.Freeze, func() { w.freezeFor(h, w.between(50*time.Millisecond, 4*time.Second)) }},
		{weights.Crash, func() { w.crashFor(h, false) }},
		{weights.CrashLost, func() { w.crashFor(h, true) }},
		{weights.Reboot, func() { w.reboot(h, false) }},
		{weights.LoseDisk, func() { w.reboot(h, true) }},
		{weights.Leave, func() { w.leave(h) }},
		{weights.Reconfig, w.reconfigure},
		{weights.Witness, func() { w.disturbWitness(h) }},
		{weights.NewWitness, w.newWitness},
	}
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	n := w.rng.IntN(total)
	for _, f := range faults {
		if n < f.weight {
			f.do()
			return
		}
		n -= f.weight
	}
}

// split cuts the hosts into two sides.
func (w *World) split() {
	side := map[model.NodeID]bool{}
	for _, h := range w.Hosts {
		side[h.id] = w.chance(0.5)
	}
	w.trace("net    splits %v", side)
	for _, a := range w.Hosts {
		for _, b := range w.Hosts {
			if a != b && side[a.id] != side[b.id] {
				w.CutOneWay(a.id, b.id, -1)
			}
		}
	}
}

func (w *World) degrade() {
	w.net.loss = w.rng.Float64() * 0.5
	w.net.slow = w.rng.Float64() * 0.5
	w.net.twice = w.rng.Float64() * 0.3
	w.trace("net    loses %.2f delays %.2f", w.net.loss, w.net.slow)
}

func (w *World) freezeFor(h *Host, d time.Duration) {
	if h.machine == nil || h.frozen {
		return
	}
	h.Freeze()
	life := h.life
	w.After(d, func() {
		if h.life == life {
			h.Thaw()
		}
	})
}

// crashFor kills the process and starts it again soon; with lost, its tmpfs is gone too.
func (w *World) crashFor(h *Host, lost bool) {
	if h.machine == nil {
		return
	}
	h.Crash()
	if lost {
		h.tmpfs = nil
	}
	life := h.life
	w.After(w.between(5*time.Millisecond, 1200*time.Millisecond), func() {
		if h.life == life {
			h.Restart()
		}
	})
}

// reboot cuts the power and boots again later; with wiped, on an empty disk and with what the API remembers.
func (w *World) reboot(h *Host, wiped bool) {
	if h.machine == nil {
		return
	}
	h.PowerOff()
	if wiped {
		w.trace("host %d loses its disk", h.id)
		h.disk = h.remembered()
		w.check.lostDisk(h)
	}
	life := h.life
	w.After(w.between(10*time.Millisecond, 3*time.Second), func() {
		if h.life == life {
			h.PowerOn()
		}
	})
}

// leave stops a host gracefully, and boots it again later; one that cannot leave in time is stopped anyway.
func (w *World) leave(h *Host) {
	if h.machine == nil || h.frozen || h.busy {
		return
	}
	w.trace("host %d leaves", h.id)
	life := h.life
	h.step(h.machine.Leave)
	w.After(w.between(time.Second, 4*time.Second), func() {
		switch h.life {
		case life:
			h.PowerOff()
			h.PowerOn()
		case life + 1:
			h.PowerOn()
		}
	})
}

// reconfigure changes the threshold, and with it T, on each host at a moment of its own.
func (w *World) reconfigure() {
	w.cfg.Threshold = 3 + w.rng.IntN(4)
	w.trace("config threshold %d", w.cfg.Threshold)
	w.setConfig(2 * time.Second)
}

// newWitness configures another witness, or another mode.
func (w *World) newWitness() {
	if w.cfg.Witness.ID != 0 {
		w.ChangeWitness(w.chance(0.2), 2*time.Second)
	}
}

// Calm mends the network and switches everything on.
func (w *World) Calm() {
	w.Heal()
	w.healWitness()
	for _, h := range w.Hosts {
		h.Thaw()
		if h.machine == nil {
			h.boot()
		}
	}
}
