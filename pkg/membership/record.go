package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// adoptCommitted takes over a higher record that a peer knows to be committed. A node without a record takes none this way: it
// has to take part in committing one (R11).
func (m *Machine) adoptCommitted(now time.Duration) bool {
	if m.p.Committed == nil && enforced(R11) {
		return false
	}
	best := m.knownCommitted()
	if quorum.Compare(best, m.p.Committed) <= 0 {
		return false
	}
	m.commit(best, now)
	return true
}

// commit makes a record the committed one, and drops a tentative one that is not above it. Both change in one write (R5).
func (m *Machine) commit(r *quorum.Record, now time.Duration) {
	m.p.Committed = r.Clone()
	if quorum.Compare(m.p.Tentative, r) <= 0 {
		m.p.Tentative = nil
	}
	m.persist, m.changed, m.stale = true, true, true
	m.events = append(m.events, RecordCommitted{Record: *r.Clone(), At: now})
}

// advanceRecord takes the next step towards the record that the view wants (R5). It reports whether there was one.
func (m *Machine) advanceRecord(now time.Duration) bool {
	view := m.v.View
	if view == nil || m.notReady(now) {
		return false
	}
	if m.commitHeld(now) {
		return true
	}
	if view.ID.Coordinator == m.cfg.Self {
		return m.makeRecord(now)
	}
	return m.acceptRecord(view)
}

// commitHeld commits the tentative record once every member of the view, carrying it, is known to hold the record.
func (m *Machine) commitHeld(now time.Duration) bool {
	r := m.p.Tentative
	if r == nil || !m.everyoneCarriesView() || !m.recordOnWitness(r, now) {
		return false
	}
	for _, o := range m.v.View.Members {
		p := m.peer(o.ID)
		if p != nil && !p.Tentative.Equal(r) && !p.Committed.Equal(r) {
			return false
		}
	}
	m.commit(r, now)
	return true
}

// makeRecord is the coordinator's part. It acts in the view that every member carries. The highest tentative record that a
// member knows goes first, as it is, since it may be committed already where nobody here can see it; then the one that the view
// wants.
func (m *Machine) makeRecord(now time.Duration) bool {
	if m.actingUntil(now) <= now || !m.everyoneCarriesView() {
		return false
	}
	committed, highest := m.knownCommitted(), m.p.Tentative
	for _, o := range m.v.View.Members {
		if p := m.peer(o.ID); p != nil && quorum.Compare(p.Tentative, highest) > 0 {
			highest = p.Tentative
		}
	}
	if quorum.Compare(highest, committed) > 0 {
		return m.hold(highest)
	}
	if !m.recordWanted() || m.v.View.ID.Number <= committed.Number {
		return false
	}
	next := m.wantedRecord()
	next.Number, next.Coordinator = m.v.View.ID.Number, m.cfg.Self
	return m.hold(next)
}

// wantedRecord is the record that the view should have, without a number; nil when it should keep the one that it has.
func (m *Machine) wantedRecord() *quorum.Record {
	voters := m.wantedVoters()
	if len(voters) == 0 {
		return nil
	}
	next := quorum.NewRecord(0, 0, voters)
	next.Witness, next.WitnessOnly = m.wantedWitness()
	next.Forced = m.stillForced()
	// A record under which this view has no quorum would end it.
	has := func(id model.NodeID) bool { return m.v.View.Has(id) }
	if !next.Quorate(has, next.Witness != 0 && next.Witness == m.heldWitness) {
		return nil
	}
	return next
}

// wantedWitness is which witness should vote: the configured one, once the view holds it, until it was lost for a while (R8g). One that
// is not configured any more loses its vote before another gets it.
func (m *Machine) wantedWitness() (id uint64, only bool) {
	want, held, now := m.cfg.Witness, m.heldWitness, m.knownCommitted()
	switch {
	case want.ID == 0 || now.Witness != 0 && ConfiguredWitness(now.Witness) != want.ID:
		return 0, false
	case held != 0 && ConfiguredWitness(held) == want.ID:
		if now.Witness != 0 && now.Witness != held {
			return 0, false
		}
		return held, want.Only
	case now.Witness != 0 && !m.witnessForgotten:
		return now.Witness, now.WitnessOnly
	}
	return 0, false
}

// noteWitness notes when the view has lost the witness, and for how long.
func (m *Machine) noteWitness(now time.Duration) {
	held := m.held(now)
	if held != m.heldWitness {
		m.heldWitness, m.stale = held, true
	}
	forgotten := false
	switch {
	case held != 0:
		m.lostSince = 0
	case m.lostSince == 0:
		m.lostSince = max(now, 1)
	default:
		// Where votes never change, or nothing else votes, that of the witness stays too.
		forgotten = m.cfg.DynamicVotes && !m.cfg.Witness.Only && now >= m.lostSince+forgetAfter
	}
	m.witnessForgotten = forgotten
}

// acceptRecord is the other members' part: they hold what the coordinator of the view that they carry holds.
func (m *Machine) acceptRecord(view *View) bool {
	p := m.peer(view.ID.Coordinator)
	if p == nil || !p.View.Equal(view) || quorum.Compare(p.Tentative, m.p.Committed) <= 0 {
		return false
	}
	return m.hold(p.Tentative)
}

// hold makes a record the tentative one if it is above what is held.
func (m *Machine) hold(r *quorum.Record) bool {
	if quorum.Compare(r, m.p.Tentative) <= 0 {
		return false
	}
	m.p.Tentative = r.Clone()
	m.persist, m.changed, m.stale = true, true, true
	return true
}

// everyoneCarriesView reports whether each member's last message carried exactly this view.
func (m *Machine) everyoneCarriesView() bool {
	for _, o := range m.v.View.Members {
		if p := m.peer(o.ID); o.ID != m.cfg.Self && (p == nil || !p.View.Equal(m.v.View)) {
			return false
		}
	}
	return true
}

// recordWanted reports whether the committed record is not the one that the view should have: other voters, or a member that
// has none yet and gets its vote by taking part (R11), unless it is just doing so.
func (m *Machine) recordWanted() bool {
	committed := m.knownCommitted()
	if committed == nil {
		return false
	}
	next := m.wantedRecord()
	if next == nil {
		return false
	}
	if !next.SameVotes(committed) || next.Forced != committed.Forced {
		return true
	}
	return slices.ContainsFunc(next.Voters, func(id model.NodeID) bool {
		p := m.peer(id)
		return m.v.View.Has(id) && !m.hasVote(id) && (p == nil || !p.Tentative.Equal(committed))
	})
}

// wantedVoters are the view's members with a configured vote that are not leaving; without dynamic votes, all that are
// configured with one. They are sorted.
func (m *Machine) wantedVoters() []model.NodeID {
	var voters []model.NodeID
	static := !m.cfg.DynamicVotes && !m.stillForced()
	for _, n := range m.cfg.Nodes {
		if n.Votes > 0 && (static || m.v.View.Has(n.ID) && !m.leaving(n.ID)) {
			voters = append(voters, n.ID)
		}
	}
	slices.Sort(voters)
	return voters
}

func (m *Machine) leaving(id model.NodeID) bool {
	if id == m.cfg.Self {
		return m.v.Leaving
	}
	p := m.peer(id)
	return p != nil && p.Leaving
}

// goIfReleased completes a graceful leave once the others need this node no more, or nobody is there to hand over to.
func (m *Machine) goIfReleased(now time.Duration) bool {
	if !m.v.Leaving || m.v.Left {
		return false
	}
	needed := m.cfg.DynamicVotes && m.v.Acted && len(m.v.View.Members) > 1 &&
		(m.p.Committed.HasVoter(m.cfg.Self) || m.p.Tentative.HasVoter(m.cfg.Self))
	if needed {
		return false
	}
	burnt := m.p.Generation
	m.p.Generation++
	m.persist = true
	m.dropGeneration(now, burnt)
	m.v.Left = true
	m.events = append(m.events, Left{At: now})
	return true
}
