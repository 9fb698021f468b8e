package autonomy

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Receive takes a message of another node, which the transport has authenticated. What is not of this node's own acting view is
// dropped.
func (m *Machine) Receive(now time.Duration, from model.NodeID, msg *Message) {
	if !m.st.Acting || m.st.View == nil || m.st.View.ID != msg.Session.View || !m.st.View.Has(from) {
		return
	}
	switch {
	case msg.Lead != nil && from == m.st.View.ID.Coordinator && from != m.cfg.Self:
		m.takeLead(msg.Session, msg.Lead)
	case msg.Follow != nil && m.lead != nil && m.lead.session == msg.Session:
		m.lead.take(from, msg.Follow)
		m.pump(now)
	}
}

// takeLead does what the coordinator of this node's view asks (R10, O5).
func (m *Machine) takeLead(session Session, l *Lead) {
	f := m.follow
	switch {
	case f == nil || f.session.View != session.View || f.session.Serial < session.Serial:
		f = &follow{session: session}
		m.follow = f
	case f.session != session:
		return // an earlier session of the same view
	}
	m.hear(l.Replies)
	if f.cleared {
		m.answer()
		return
	}
	if !m.saved.Pending {
		m.saved.Pending = true
		m.save()
	}
	if l.Running {
		m.advance(f, l)
	}
	m.answer()
}

// advance takes over the journal as far as the coordinator tells it.
func (m *Machine) advance(f *follow, l *Lead) {
	switch {
	case !f.begun && l.Copy != nil && l.From <= l.Commit:
		f.begun, f.running = true, true
		f.trim, f.has, f.commit, f.written = l.From, l.From+len(l.Entries), l.From, l.From
		m.saved.Copy, m.saved.Journal, m.unmerged = l.Copy, slices.Clone(l.Entries), false
		m.saved.Lost = m.saved.Lost || l.Lost
		m.save()
	case !f.begun:
		return
	case l.From <= f.has && l.From+len(l.Entries) > f.has:
		m.saved.Journal = append(slices.Clip(m.saved.Journal), l.Entries[f.has-l.From:]...)
		f.has = l.From + len(l.Entries)
		m.save()
	}
	if commit := min(l.Commit, f.has); commit > f.commit {
		m.saved.Copy = m.saved.Copy.Apply(m.saved.Journal[f.commit-f.trim : commit-f.trim])
		m.obey(m.saved.Journal[f.commit-f.trim : commit-f.trim])
		f.commit = commit
		m.save()
	}
	if trim := min(l.Trim, f.commit); trim > f.trim {
		m.saved.Journal = slices.Clone(m.saved.Journal[trim-f.trim:])
		f.trim, f.written = trim, max(f.written, trim)
		m.save()
	}
	if l.Over && f.trim == f.has {
		m.saved.Pending, m.saved.Journal, f.cleared, f.running, m.kept.unread = false, nil, true, false, ""
		m.whole()
		m.save()
	}
}

// answer tells the coordinator how far this node is.
func (m *Machine) answer() {
	f := m.follow
	if f == nil || m.st.View == nil || f.session.View != m.st.View.ID {
		return
	}
	a := &Follow{
		Begun: f.begun, Has: f.has, Trim: f.written, Cleared: f.cleared, Kept: m.word(f.session), Report: m.report, Lost: m.saved.Lost, Asks: m.asks,
	}
	if !f.begun {
		a.Copy, a.Journal = m.saved.Copy, m.saved.Journal
	}
	if to := f.session.View.Coordinator; to != m.cfg.Self {
		m.out.Send = append(m.out.Send, Envelope{To: to, Message: Message{Session: f.session, Follow: a}})
		return
	}
	if m.lead != nil && m.lead.session == f.session {
		m.lead.take(m.cfg.Self, a)
	}
}
