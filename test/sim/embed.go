package sim

import (
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// Agent is the rest of an agent's process, for a simulation of more than membership. Everything is called on the world's one
// goroutine.
type Agent interface {
	// Start tells that the process has begun; its machine exists and has not made a step.
	Start()
	// Lost tells that quorum is lost, before anything of that step is on disk.
	Lost()
	// Step tells how the machine stands after a step whose state is on disk.
	Step(membership.Status)
	// Stop tells that the process has ended; power says that its host lost power.
	Stop(power bool)
	// Thaw tells that a frozen process goes on; its socket is drained already.
	Thaw()
}

// Keeper is an Agent that keeps a state of its own on the witness, beside the records.
type Keeper interface {
	Agent
	// Keeps is the state that the next save writes, with its version; 0 for none.
	Keeps() (version uint64, state any)
	// Saved tells that a state of this version, or a newer one, is on the witness.
	Saved(version uint64)
	// Loaded takes what a load has found, nil for nothing. The load ends when done is called.
	Loaded(version uint64, state any, done func())
}

func isLoss(e membership.Event) bool {
	_, lost := e.(membership.QuorumLost)
	return lost
}

func (h *Host) stopped(power bool) {
	if h.agent != nil {
		h.agent.Stop(power)
	}
}

// ID is the host's node id.
func (h *Host) ID() model.NodeID { return h.id }

// Local is the host's clock: CLOCK_BOOTTIME.
func (h *Host) Local() time.Duration { return h.local() }

// Truly converts a time of the host's clock into true time.
func (h *Host) Truly(local time.Duration) time.Duration { return h.truly(local) }

// Frozen reports whether the process is stopped.
func (h *Host) Frozen() bool { return h.frozen }

// SetReady says that nothing of an older generation is left (O3). It is false when the process cannot say so now.
func (h *Host) SetReady(generation model.Generation) bool {
	if h.machine == nil || h.frozen || h.busy || h.Status().Self.Generation != generation {
		return false
	}
	h.w.check.cleaned(h)
	h.step(func(now time.Duration) { h.machine.SetReady(true, now) })
	return true
}

// SetReachesAPI says whether the process reaches the API server. It is false when the process cannot say so now.
func (h *Host) SetReachesAPI(reaches bool) bool {
	if h.machine == nil || h.frozen || h.busy {
		return false
	}
	h.step(func(now time.Duration) { h.machine.SetReachesAPI(reaches, now) })
	return true
}

// SetPending says whether the process goes by its journal. It is false when the process cannot say so now.
func (h *Host) SetPending(pending bool) bool {
	if h.machine == nil || h.frozen || h.busy {
		return false
	}
	h.step(func(now time.Duration) { h.machine.SetPending(pending, now) })
	return true
}

// SetState says that Keeps has a newer state. It is false when the process cannot say so now.
func (h *Host) SetState(version uint64) bool {
	if h.machine == nil || h.frozen || h.busy {
		return false
	}
	h.step(func(now time.Duration) { h.machine.SetState(version, now) })
	return true
}

// Reaches reports whether what a host sends to another arrives on any network.
func (w *World) Reaches(from, to model.NodeID) bool {
	for i := range w.net.networks {
		if !w.net.cut[link{from, to, i}] {
			return true
		}
	}
	return false
}

// Forget loses what the process kept in memory for its successor (a crash that takes the run directory along).
func (h *Host) Forget() { h.tmpfs = nil }

// Degrade sets the chances of each datagram to be lost, to be late by up to 1.5 s, and to come twice.
func (w *World) Degrade(loss, slow, twice float64) {
	w.net.loss, w.net.slow, w.net.twice = loss, slow, twice
}

// Networks is the number of networks.
func (w *World) Networks() int { return w.net.networks }

// Rand is the world's only source of chance.
func (w *World) Rand() *rand.Rand { return w.rng }

// Between draws a duration from [lo, hi).
func (w *World) Between(lo, hi time.Duration) time.Duration { return w.between(lo, hi) }

// Chance is true with probability p.
func (w *World) Chance(p float64) bool { return w.chance(p) }

// Fail notes a violation; the first one ends the run.
func (w *World) Fail(format string, args ...any) { w.fail(format, args...) }

// Tracing reports whether anybody reads the trace: what is costly to say is not made otherwise.
func (w *World) Tracing() bool { return w.opts.Trace != nil }

// Trace prints a line.
func (w *World) Trace(format string, args ...any) { w.trace(format, args...) }

// SetObserver has f called after every event.
func (w *World) SetObserver(f func()) { w.observe = f }

// WitnessWait is how much later a stop may begin because of a challenge under way (R8); 0 without a witness.
func (w *World) WitnessWait() time.Duration { return w.cfg.WitnessWait() }

// DisturbWitness makes one fault of the witness, HealWitness ends all.
func (w *World) DisturbWitness(id model.NodeID) { w.disturbWitness(w.Host(id)) }

// HealWitness ends all faults of witnesses.
func (w *World) HealWitness() { w.healWitness() }
