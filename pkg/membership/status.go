package membership

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Status pictures the machine at now, which must not be before the last step. Views, proposals and records in it are those of the
// machine, which replaces and never changes them; the caller does not change them either.
func (m *Machine) Status(now time.Duration) Status {
	s := Status{
		Self: m.self(), Incarnation: m.p.Incarnation,
		Ready: !m.notReady(now), Leaving: m.v.Leaving, Left: m.v.Left, ReachesAPI: m.v.ReachesAPI, Pending: m.v.Pending,
		View: m.v.View, ViewSince: m.v.ViewSince, Proposal: m.v.Proposal, HighestView: m.p.HighestView,
		Committed: m.p.Committed, Tentative: m.p.Tentative,
		NextDeadline: m.NextDeadline(now),
	}
	s.ActingUntil, s.KeepingUntil = m.Leases(now)
	s.Acting, s.Keeping = s.ActingUntil != 0, s.KeepingUntil != 0
	s.Suspended, s.StopAt = m.v.Suspended.Number != 0, m.v.SuspendedUntil
	s.Prevented, s.Witness = m.p.Prevent, m.witnessStatus(now)
	if s.Acting {
		s.Reporter = m.reporter()
	}
	s.Peers = make([]PeerStatus, 0, len(m.v.Peers))
	for i := range m.v.Peers {
		if m.has(m.v.Peers[i].ID) {
			s.Peers = append(s.Peers, m.v.Peers[i].status(m.cfg.Self, now))
		}
	}
	return s
}

// Leases are Status's ActingUntil and KeepingUntil, 0 for what is over: cheap enough to ask after every step.
func (m *Machine) Leases(now time.Duration) (actingUntil, keepingUntil time.Duration) {
	if until := m.actingUntil(now); until > now {
		actingUntil = until
	}
	if until := m.keepingUntil(now); until > now {
		keepingUntil = until
	}
	return actingUntil, keepingUntil
}

// reporter is the lowest id in the view that reaches the API server, 0 if none does.
func (m *Machine) reporter() model.NodeID {
	for _, o := range m.v.View.Members {
		p := m.peer(o.ID)
		if o.ID == m.cfg.Self && m.v.ReachesAPI || p != nil && p.ReachesAPI && !p.Silent {
			return o.ID
		}
	}
	return 0
}

func (p *Peer) status(self model.NodeID, now time.Duration) PeerStatus {
	s := PeerStatus{
		ID: p.ID, Incarnation: p.Incarnation, Generation: p.Generation, Heard: p.Incarnation != 0, LastHeard: p.LastHeard,
		Silent: p.Silent, Ready: p.Incarnation != 0 && !p.NotReady, Leaving: p.Leaving, Left: p.Released, ReachesAPI: p.ReachesAPI,
		ReachesWitness: p.ReachesWitness, CannotServe: p.CannotServe, HearsUs: p.hears(self), View: p.View, HasRecord: p.Committed != nil,
		Pending: p.Pending,
	}
	if p.GrantUntil > now {
		s.GrantUntil = p.GrantUntil
	}
	if p.PromisedUntil > now {
		s.PromisedUntil = p.PromisedUntil
	}
	return s
}
