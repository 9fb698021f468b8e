package membership

import (
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// forever is the expiry of this node's own vote: nobody can go on without it while it goes on itself.
const forever = time.Duration(math.MaxInt64)

// hasVote reports whether the node's vote may be counted: without a record it has none (R11).
func (m *Machine) hasVote(id model.NodeID) bool {
	if !enforced(R11) {
		return true
	}
	if id == m.cfg.Self {
		return m.p.Committed != nil
	}
	p := m.peer(id)
	return p != nil && p.Committed != nil
}

// knownCommitted is the highest committed record that this node or one that it hears knows; nil if none does.
func (m *Machine) knownCommitted() *quorum.Record {
	best := m.p.Committed
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if m.has(p.ID) && !p.Silent && quorum.Compare(p.Committed, best) > 0 {
			best = p.Committed
		}
	}
	return best
}

// binding lists the records under which a set needs quorum: the highest committed one, and every tentative one above it that
// this node or any member knows (R5).
func (m *Machine) binding(set []model.NodeID) []*quorum.Record {
	committed := m.knownCommitted()
	if committed == nil {
		return nil
	}
	records := []*quorum.Record{committed}
	if !enforced(R5) {
		return records
	}
	add := func(r *quorum.Record) {
		if quorum.Compare(r, committed) > 0 && !slices.ContainsFunc(records, r.Equal) {
			records = append(records, r)
		}
	}
	add(m.p.Tentative)
	for i := range m.v.Peers {
		if p := &m.v.Peers[i]; p.Tentative != nil && slices.Contains(set, p.ID) {
			add(p.Tentative)
		}
	}
	return records
}

// quorateSet reports whether a set would be quorate if all of it granted, and it held the witness.
func (m *Machine) quorateSet(set []model.NodeID) bool { return m.quorateWith(set, m.a.witness) }

// quorateWith is quorateSet with the witness of this configured ID held, 0 for none.
func (m *Machine) quorateWith(set []model.NodeID, witness uint32) bool {
	has := func(id model.NodeID) bool { return slices.Contains(set, id) && m.hasVote(id) }
	records := m.binding(set)
	return len(records) > 0 && !slices.ContainsFunc(records, func(r *quorum.Record) bool {
		return !r.Quorate(has, witness != 0 && ConfiguredWitness(r.Witness) == witness)
	})
}

// quorumUntil is when the last majority of the grants ends, of those peers that count, under every binding record; witness says
// until when the vote of a record's witness counts.
func (m *Machine) quorumUntil(counts func(*Peer) bool, witness func(full uint64) time.Duration) time.Duration {
	if m.v.View == nil {
		return quorum.Lapsed
	}
	grant := func(id model.NodeID) time.Duration {
		if id == m.cfg.Self {
			if !m.hasVote(id) {
				return quorum.Lapsed
			}
			return forever
		}
		p := m.peer(id)
		if p == nil || p.Committed == nil && enforced(R11) || !counts(p) {
			return quorum.Lapsed
		}
		return p.GrantUntil
	}
	until := forever
	records := m.binding(ids(m.v.View.Members))
	for _, r := range records {
		vote := quorum.Lapsed
		if r.Witness != 0 {
			vote = witness(r.Witness)
		}
		until = min(until, r.QuorateUntil(grant, vote))
	}
	if len(records) == 0 {
		return quorum.Lapsed
	}
	return until
}

// actingUntil is until when a majority of grants comes from members that carry exactly this view (R7).
func (m *Machine) actingUntil(now time.Duration) time.Duration {
	return m.actingWith(now, func(full uint64) time.Duration { return m.witnessVote(full, m.carriesView, true) })
}

// wouldAct says that this node would act in its view if it held the witness.
func (m *Machine) wouldAct(now time.Duration) bool {
	return m.actingWith(now, func(full uint64) time.Duration {
		if ConfiguredWitness(full) != m.a.witness {
			return quorum.Lapsed
		}
		return forever
	}) > now
}

// actingWith is actingUntil with these votes of witnesses.
func (m *Machine) actingWith(now time.Duration, witness func(uint64) time.Duration) time.Duration {
	if m.notReady(now) {
		return quorum.Lapsed
	}
	return m.atMostHold(now, m.quorumUntil(m.carriesView, witness))
}

func (m *Machine) carriesView(p *Peer) bool {
	if !enforced(R7) {
		return p.View.HasMember(m.self())
	}
	return p.View.Equal(m.v.View)
}

// keepingUntil is until when a majority of grants comes from anyone whose view contains this node in its present life, once it
// has acted (R7).
func (m *Machine) keepingUntil(now time.Duration) time.Duration {
	if !m.v.Acted {
		return quorum.Lapsed
	}
	has := func(p *Peer) bool { return p.View.HasMember(m.self()) }
	return m.atMostHold(now, m.quorumUntil(has, func(full uint64) time.Duration { return m.witnessVote(full, has, false) }))
}

// atMostHold bounds a lease that depends on nobody else: the agent has to be there to renew it.
func (m *Machine) atMostHold(now, until time.Duration) time.Duration {
	return min(until, now+m.cfg.Hold())
}

// noteActing notes when this node begins to act in its view; from then on it keeps (R7).
func (m *Machine) noteActing(now time.Duration) {
	if m.v.ActedInView || m.actingUntil(now) <= now {
		return
	}
	m.v.Acted, m.v.ActedInView = true, true
	m.v.Suspended, m.v.SuspendedUntil, m.v.Dropped = model.ViewID{}, 0, nil
	if m.p.Prevent {
		m.p.Prevent, m.persist = false, true
	}
	m.events = append(m.events, QuorumGained{View: *m.v.View.Clone(), At: now})
}
