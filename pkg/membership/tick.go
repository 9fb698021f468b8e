package membership

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Tick lets time pass: peers fall silent, starts end their wait, keeping ends, heartbeats are due. Hand in everything that has
// been received first.
func (m *Machine) Tick(now time.Duration) {
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if !p.Silent && p.LastHeard+m.cfg.Hold() <= now {
			p.Silent, m.changed, m.stale = true, true, true
		}
	}
	if m.v.QuietUntil != 0 && m.v.QuietUntil <= now {
		m.endQuiet()
	}
	if m.lapsed(now) {
		m.lapse(now)
	}
	if m.v.Suspended.Number != 0 && m.v.SuspendedUntil <= now {
		m.loseQuorum(now)
	}
	m.proceed(now) // whatever had lapsed is over
}

// endQuiet ends the wait of a start (R2): nothing promised earlier is open, so the present T is what a next start waits out.
func (m *Machine) endQuiet() {
	m.v.QuietUntil, m.changed, m.stale = 0, true, true
	if h := m.cfg.Hold(); h < m.p.LongestHold {
		m.p.LongestHold, m.persist = h, true
	}
}

// lapsed reports whether keeping has run out and Tick has not burnt the generation yet (R6).
func (m *Machine) lapsed(now time.Duration) bool {
	return enforced(R6) && m.v.Acted && m.keepingUntil(now) <= now
}

// loseQuorum burns the generation (R6, O3).
func (m *Machine) loseQuorum(now time.Duration) {
	burnt := m.p.Generation
	m.p.Generation++
	m.persist = true
	m.dropGeneration(now, burnt)
}

// dropGeneration leaves the view and counts no grant again that the burnt generation was given.
func (m *Machine) dropGeneration(now time.Duration, burnt model.Generation) {
	m.events = append(m.events, QuorumLost{View: m.v.View, Burnt: burnt, Generation: m.p.Generation, At: now})
	m.v.Generation = m.p.Generation
	m.v.View, m.v.Proposal, m.v.Acted, m.v.ActedInView, m.v.Clean = nil, nil, false, false, false
	m.v.Suspended, m.v.SuspendedUntil, m.v.Dropped = model.ViewID{}, 0, nil
	m.dropGrants()
	m.changed, m.stale = true, true
}

func (m *Machine) dropGrants() {
	for i := range m.v.Peers {
		m.v.Peers[i].GrantUntil = 0
	}
}

// NextDeadline is the earliest time at which Tick has something to do; now if it has already. It is cheaper than Status.
func (m *Machine) NextDeadline(now time.Duration) time.Duration {
	next := m.v.NextBeat
	sooner := func(t time.Duration) {
		if t > now && t < next {
			next = t
		}
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if !p.Silent {
			sooner(p.LastHeard + m.cfg.Hold())
		}
		// R1: an installation may wait for the end of this promise.
		sooner(p.PromisedUntil)
	}
	sooner(m.v.QuietUntil)
	if m.v.Acted {
		until := m.keepingUntil(now)
		if until <= now && enforced(R6) {
			return now // it has lapsed
		}
		sooner(until)
	}
	sooner(m.v.SuspendedUntil)
	if m.a.witness != 0 {
		next = min(next, m.witnessDue(now))
	}
	return next
}
