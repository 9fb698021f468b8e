package membership

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// install makes or adopts a view when everyone in the proposal wants it (R3). It reports whether it did.
func (m *Machine) install(now time.Duration) bool {
	want := m.v.Proposal
	if len(want) == 0 || m.promised(want, now) {
		return false
	}
	if want[0].ID == m.cfg.Self {
		return m.number(want, now)
	}
	return m.adopt(want, now)
}

// promised reports whether a promise to a node outside the set is open (R1).
func (m *Machine) promised(set []model.Member, now time.Duration) bool {
	if !enforced(R1) {
		return false
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if p.PromisedUntil <= now {
			continue
		}
		if _, in := memberIn(set, p.ID); !in {
			return true
		}
	}
	return false
}

// number is the coordinator's part: once all members propose this set, it gets a number above all that any of them has
// persisted. A set that cannot be quorate gets none: such a view would be of no use, and its number would go to waste.
func (m *Machine) number(want []model.Member, now time.Duration) bool {
	if m.v.View != nil && slices.Equal(m.v.View.Members, want) && !m.numberSpent() {
		return false
	}
	// Above every record too, so that the view can have one of its own (R5).
	highest := m.p.HighestView
	if r := m.knownCommitted(); r != nil {
		highest = max(highest, r.Number)
	}
	for _, o := range want {
		if o.ID == m.cfg.Self {
			continue
		}
		p := m.peer(o.ID)
		if !slices.Equal(p.Proposal, want) {
			return false
		}
		highest = max(highest, p.HighestView)
	}
	if !m.quorateSet(ids(want)) {
		return false
	}
	m.enter(&View{ID: model.ViewID{Number: highest + 1, Coordinator: m.cfg.Self}, Members: slices.Clone(want)}, now)
	return true
}

// numberSpent reports whether the same set needs another number: a member has persisted a higher one, or this one without carrying this
// view, so it will never adopt it, or has read it from the witness (R3), or a vote record is wanted and the view's number was used for one already (R5).
func (m *Machine) numberSpent() bool {
	view := m.v.View
	if m.p.HighestView > view.ID.Number {
		return true // read from the witness
	}
	for _, o := range view.Members {
		p := m.peer(o.ID)
		if p != nil && (p.HighestView > view.ID.Number || !p.View.Equal(view) && p.HighestView == view.ID.Number) {
			return true
		}
	}
	return m.recordWanted() && view.ID.Number <= m.knownCommitted().Number
}

// adopt is the other members' part: the coordinator's view, for the set proposed here now, with a number above the one that is
// persisted here (R3).
func (m *Machine) adopt(want []model.Member, now time.Duration) bool {
	view := m.peer(want[0].ID).View
	if view == nil || view.ID.Coordinator != want[0].ID || !slices.Equal(view.Members, want) || view.Equal(m.v.View) {
		return false
	}
	if enforced(R3) && view.ID.Number <= m.p.HighestView {
		return false
	}
	m.enter(view, now)
	return true
}

// enter installs a view and persists its number before anything is sent.
func (m *Machine) enter(view *View, now time.Duration) {
	m.events = append(m.events, m.installed(view, now))
	m.v.View, m.v.ViewSince, m.v.ActedInView = view, now, false
	m.p.HighestView = max(m.p.HighestView, view.ID.Number)
	m.persist, m.changed = true, true
}

func (m *Machine) installed(view *View, now time.Duration) ViewInstalled {
	e := ViewInstalled{View: *view.Clone(), Previous: cmp.Or(m.v.View, m.v.Dropped).Clone(), At: now}
	if e.Previous != nil {
		for _, o := range e.Previous.Members {
			if p := m.peer(o.ID); p != nil && !view.HasMember(o) {
				e.Lost = append(e.Lost, LostMember{Member: o, Silent: now - p.LastHeard})
			}
		}
	}
	for _, o := range view.Members {
		if !e.Previous.HasMember(o) {
			e.Joined = append(e.Joined, o)
		}
	}
	return e
}

func ids(members []model.Member) []model.NodeID {
	out := make([]model.NodeID, len(members))
	for i, o := range members {
		out[i] = o.ID
	}
	return out
}
