package lifecycle

import (
	"fmt"
	"time"
)

// lostPatience is what a lost disk gets beside selfFence.timeout before its host is fenced: the time of one attempt to take it away.
const lostPatience = terminateTimeout

// Overdue is something that does not stop by its bound: this host must be fenced (rules O10, O17).
type Overdue struct {
	Resource string
	Message  string
}

// fenceAt is when a resource that does not stop is reason enough to reset the host; false when it is none. Quorum that is lost has a
// deadline of its own (Burn).
//
// O17: a disk whose reservation was lost while it was in use is still there selfFence.timeout and the time of one attempt after that was
// found. O10: what was withdrawn from this node is still there deadlockTimeout after the first failed attempt to take it away by force,
// or after the withdrawal if that came later; until then nobody else may start it.
func (m *Machine) fenceAt(r *resource) (time.Duration, bool) {
	if m.burn != nil || r.StuckSince == 0 || r.Phase == PhaseIdle {
		return 0, false
	}
	at := forever
	if r.LostSince != 0 {
		at = r.LostSince + m.facts.Fencing.SelfFence + lostPatience
	}
	if !m.saved.Desired.Run {
		at = min(at, max(r.StuckSince, m.saved.AppliedAt)+r.spec.Timing.Deadlock)
	}
	return at, at < forever
}

// reportStuck tells what does not stop, and what of it has not stopped by its bound.
func (m *Machine) reportStuck(report *Report, r *resource) {
	if r.stuck != "" {
		report.Stuck = append(report.Stuck, fmt.Sprintf("%s: %s", r.spec.Name, r.stuck))
	}
	at, fences := m.fenceAt(r)
	switch {
	case !fences:
	case m.now >= at:
		why := "it was withdrawn from this node"
		if r.LostSince != 0 {
			why = "its reservation is lost"
		}
		report.Overdue = append(report.Overdue, Overdue{Resource: r.spec.Name, Message: why + ", and it cannot be stopped: " + r.stuck})
	case report.FenceAt == 0 || at < report.FenceAt:
		report.FenceAt = at
	}
}
