package membership

import (
	"errors"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// ErrQuorate refuses to force quorum on a node that has it.
var ErrQuorate = errors.New("membership: this node is in a quorate view; there is nothing to force")

// forcedStep is how far a forced record's number is above all that this node knows: the others may have made records since that it
// has never heard of, and they must take this one when they return (A42).
const forcedStep = 1 << 20

// Force gives this node a vote record of its own, without asking anybody (WSFC's /FQ). The operator vouches that no other node of the
// cluster acts and that none will before it hears of this one: nothing else keeps two sides apart (S3 excepts it). Others that join
// take the record over. It stops being a forced one when a majority of the configured votes takes part in a record (A40).
func (m *Machine) Force(now time.Duration) error {
	if m.actingUntil(now) > now {
		return ErrQuorate
	}
	number := m.p.HighestView
	for _, r := range []*quorum.Record{m.knownCommitted(), m.p.Tentative} {
		if r != nil {
			number = max(number, r.Number)
		}
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		number = max(number, p.HighestView)
		if p.Tentative != nil {
			number = max(number, p.Tentative.Number)
		}
	}
	r := quorum.NewRecord(number+forcedStep, m.cfg.Self, []model.NodeID{m.cfg.Self})
	r.Forced = true
	m.p.HighestView = r.Number
	m.p.Prevent = false
	m.commit(r, now)
	m.p.Tentative = nil
	m.settle(now)
	return nil
}

// Prevent keeps this node from forming a quorum: it joins one that others have, and takes part from then on (WSFC's /PQ, A41). It is
// remembered over restarts until it has joined, or until it is taken back.
func (m *Machine) Prevent(prevent bool, now time.Duration) {
	if m.p.Prevent != prevent {
		m.p.Prevent = prevent
		m.persist, m.changed, m.stale = true, true, true
	}
	m.settle(now)
}

// prevented says that this node must wait for others that act.
func (m *Machine) prevented() bool {
	if !m.p.Prevent {
		return false
	}
	return !slices.ContainsFunc(m.v.Peers, func(p Peer) bool { return !p.Silent && p.Acting && m.has(p.ID) })
}

// stillForced says whether the record that the view wants is a forced one: those after a forced one are until the view has a majority
// of the configured votes.
func (m *Machine) stillForced() bool {
	if c := m.knownCommitted(); c == nil || !c.Forced {
		return false
	}
	present, total := 0, 0
	for _, n := range m.cfg.Nodes {
		total += n.Votes
		if m.v.View.Has(n.ID) {
			present += n.Votes
		}
	}
	return 2*present <= total
}
