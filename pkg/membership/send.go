package membership

import (
	"slices"
	"time"
)

// send adds a message to Ready, and with it the promises that its grants make (R1).
func (m *Machine) send(now time.Duration) {
	m.changed = false
	m.v.NextBeat = now + m.cfg.Interval
	if len(m.messages) > 0 {
		// Nobody has seen the one before, and this one says all that it did: a datagram is never a difference to an earlier one.
		m.messages, m.v.Sent = nil, m.v.Sent[:len(m.v.Sent)-1]
		m.v.Sequence--
	}
	m.v.Sequence++
	oldest := now - 2*m.cfg.Hold()
	m.v.Sent = slices.DeleteFunc(m.v.Sent, func(s SentAt) bool { return s.At < oldest })
	m.v.Sent = append(m.v.Sent, SentAt{Sequence: m.v.Sequence, At: now})
	msg := Message{
		From: m.cfg.Self, Incarnation: m.p.Incarnation, Generation: m.p.Generation, Sequence: m.v.Sequence, Hold: m.cfg.Hold(),
		NotReady: m.notReady(now) || m.v.Suspended.Number != 0, Leaving: m.v.Leaving, Released: m.v.Left, ReachesAPI: m.v.ReachesAPI,
		Pending:        m.v.Pending,
		ReachesWitness: m.a.witness != 0 && m.a.reached, CannotServe: m.a.cannotServe != 0, Acting: m.actingUntil(now) > now,
		Suspended: m.v.Suspended, Claim: m.claim(now),
		View: m.v.View, Proposal: m.v.Proposal, HighestView: m.p.HighestView, Committed: m.p.Committed, Tentative: m.p.Tentative,
		Heard: make([]Heard, 0, len(m.v.Peers)),
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if p.Incarnation == 0 || !m.has(p.ID) {
			continue
		}
		h := Heard{ID: p.ID, Incarnation: p.Incarnation, Generation: p.Generation, Sequence: p.Sequence, Alive: !p.Silent}
		if m.grants(p, now) {
			h.Grant = true
			p.PromisedUntil = max(p.PromisedUntil, p.LastHeard+m.promiseFor())
		}
		msg.Heard = append(msg.Heard, h)
	}
	m.messages = append(m.messages, msg)
}

// grants says to whom a grant goes: to members of the proposal and of the view (R1); to one of the view that is outside the
// proposal for a whole interval no more (R9a). Who waits after a start grants nothing (R2), who has left neither.
func (m *Machine) grants(p *Peer, now time.Duration) bool {
	if now < m.v.QuietUntil || m.v.Left || p.Released {
		return false
	}
	if _, proposed := memberIn(m.v.Proposal, p.ID); proposed {
		return true
	}
	if !m.v.View.Has(p.ID) {
		return false
	}
	return enforced(R9) && now < p.OutsideSince+m.cfg.Interval
}

// promiseFor is T' (R4).
func (m *Machine) promiseFor() time.Duration {
	if !enforced(R4) {
		return m.cfg.Hold()
	}
	return promiseFor(m.cfg.Hold())
}
