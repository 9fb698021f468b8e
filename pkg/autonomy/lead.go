package autonomy

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

// lead is the coordinator's side of a session.
type lead struct {
	session Session
	members map[model.NodeID]*member
	running bool
	// base is the merged state that members begin from, with log[:trim] applied.
	base *replica.Copy
	// log has the entries from position trim on; commit counts those that all members have.
	log          []replica.Entry
	trim, commit int
	lost, over   bool
	// kept is what the holder of the witness has told; nil for nothing yet.
	kept *KeptWord
	// starts has, for each group, the epoch above which this session's begin.
	starts map[string]int64
	number uint64
	// replies are the answers to what members ask, by id.
	replies map[string]Reply
	// due says that there may be something to decide, look when to look although nothing happens; 0 for never.
	due  bool
	look time.Duration
}

// member is what the coordinator knows of one member, itself included.
type member struct {
	joined bool
	at     Follow
	// report is the newest.
	report *Report
	// asks are what it asked last.
	asks []Ask
	sent time.Duration
	told bool // what it has to know has been sent since it last changed
}

func (l *lead) end() int { return l.trim + len(l.log) }

// take takes a member's answer; one that is overtaken by another changes nothing.
func (l *lead) take(from model.NodeID, a *Follow) {
	m := l.members[from]
	if m == nil {
		return
	}
	if !m.joined || !l.running && !a.Begun { // what it knows may grow until the session runs
		m.joined, m.at = true, *a
	}
	m.advance(a)
	l.lost = l.lost || a.Lost
	if m.asks = a.Asks; len(l.repliesTo(m)) > 0 {
		m.told = false
	}
	l.takeWord(a.Kept)
	if a.Report != nil && (m.report == nil || a.Report.Serial > m.report.Serial) {
		m.report, l.due = a.Report, true
	}
}

// advance takes how far the member is.
func (m *member) advance(a *Follow) {
	if m.at.Begun && !a.Begun && !a.Cleared {
		// Its process was started again, or this answer is an old one: it is told everything once more, which changes nothing if it knows.
		m.at.Begun, m.at.Has, m.told = false, 0, false
	}
	if m.at.Begun != a.Begun || a.Has > m.at.Has || a.Trim > m.at.Trim || a.Cleared {
		m.told = false
	}
	m.at.Begun, m.at.Cleared = m.at.Begun || a.Begun, m.at.Cleared || a.Cleared
	m.at.Has, m.at.Trim = max(m.at.Has, a.Has), max(m.at.Trim, a.Trim)
}

// Tick lets time pass.
func (m *Machine) Tick(now time.Duration) {
	m.askOn(now)
	view := m.st.View
	if !m.st.Acting || view == nil || view.ID.Coordinator != m.cfg.Self {
		m.lead = nil
		return
	}
	if m.lead != nil && m.lead.session.View != view.ID {
		m.lead = nil
	}
	if m.lead == nil && m.wants(now) {
		m.open(now)
	}
	m.pump(now)
}

// wants says that a session is needed: there is a journal, or nobody reaches the API server.
func (m *Machine) wants(now time.Duration) bool {
	if m.saved.Pending || m.ViewPending() && now >= m.quiet {
		return true
	}
	return m.cfg.Decides && !m.anyReaches() && (now-m.reached >= m.cfg.Wait || !enforced(ruleWait))
}

func (m *Machine) open(now time.Duration) {
	session := Session{View: m.st.View.ID, Serial: uint64(max(now, 1))}
	if m.follow != nil && m.follow.session.View == session.View {
		session.Serial = max(session.Serial, m.follow.session.Serial+1)
	}
	m.lead = &lead{session: session, members: map[model.NodeID]*member{}, starts: map[string]int64{}, replies: map[string]Reply{}}
	for _, o := range m.st.View.Members {
		m.lead.members[o.ID] = &member{}
	}
}

// pump does all that can be done now.
func (m *Machine) pump(now time.Duration) {
	l := m.lead
	if l == nil {
		return
	}
	for range 64 { // a node that leads only itself gets all the way at once
		m.takeLead(l.session, l.tell(l.members[m.cfg.Self]))
		if !m.progress(now) {
			break
		}
	}
	if l.over && l.all(func(o *member) bool { return o.at.Cleared }) {
		m.lead, m.quiet, m.reached = nil, now+pause, now
		return
	}
	for _, o := range m.st.View.Members {
		to := l.members[o.ID]
		pause := idleResend
		if !l.running || !to.at.Begun || to.at.Has < l.end() || l.commit < l.end() || l.over {
			pause = resend
		}
		if o.ID == m.cfg.Self || to.told && now-to.sent < pause {
			continue
		}
		to.sent, to.told = now, true
		m.out.Send = append(m.out.Send, Envelope{To: o.ID, Message: Message{Session: l.session, Lead: l.tell(to)}})
	}
}

// progress makes one step of the session, and reports whether it made one.
func (m *Machine) progress(now time.Duration) bool {
	l := m.lead
	switch {
	case !l.running:
		if !m.mayBegin() {
			return false
		}
		m.begin()
		return true
	case l.over:
		return false
	}
	if begun, stepped := l.settle(m.needsWitness()); !begun || stepped {
		return stepped
	}
	if l.look > 0 && now >= l.look {
		l.due = true
	}
	if l.commit < l.end() || !m.next(now) {
		return false
	}
	l.stir()
	return true
}

// mayBegin says that everything that anybody in the view knows is known here.
func (m *Machine) mayBegin() bool {
	if enforced(ruleJoined) && !m.lead.all(func(o *member) bool { return o.joined }) {
		return false
	}
	return !m.needsWitness() || m.lead.kept != nil // nil: what the witness keeps has not been read
}

// next does what there is to do once all that was decided is in force: end the session, answer who asks, decide. It reports whether there
// was something.
func (m *Machine) next(now time.Duration) bool {
	l := m.lead
	switch {
	case len(l.log) == 0 && m.anyReaches():
		l.over = true
		return true
	case l.asking() && m.mayDecide(now):
		m.reply(now)
		return true
	}
	return l.due && m.mayDecide(now) && m.decide(now)
}

// settle commits what all members have, and drops what the API server has. It reports whether all members have begun, and whether
// anything has changed. With witness, what is committed must be on the witness too.
func (l *lead) settle(witness bool) (begun, stepped bool) {
	commit := l.end()
	if witness {
		commit = min(commit, l.kept.has())
	}
	for _, o := range l.members {
		switch {
		case !o.at.Begun && !enforced(ruleJoined):
			continue
		case !o.at.Begun:
			return false, false
		}
		commit = min(commit, o.at.Has)
	}
	if commit > l.commit {
		l.base = l.base.Apply(l.log[l.commit-l.trim : commit-l.trim])
		l.commit, l.due = commit, true
		l.stir()
		return true, true
	}
	trim := l.trim
	for _, o := range l.members {
		trim = max(trim, min(o.at.Trim, l.commit))
	}
	if trim > l.trim {
		l.log = l.log[trim-l.trim:]
		l.trim = trim
		l.stir()
		return true, true
	}
	return true, false
}

// begin merges what all members know.
func (m *Machine) begin() {
	l := m.lead
	var copies []*replica.Copy
	var journals [][]replica.Entry
	for _, o := range m.st.View.Members {
		at := &l.members[o.ID].at
		if o.ID == m.cfg.Self {
			copies = append([]*replica.Copy{at.Copy}, copies...)
		} else {
			copies = append(copies, at.Copy)
		}
		journals = append(journals, at.Journal)
	}
	l.base = replica.Newest(copies...)
	if l.base == nil {
		l.base = &replica.Copy{}
	}
	l.log = replica.MergeEntries(journals...)
	l.running, l.due = true, true
	if enforced(ruleJump) {
		l.starts = startsOf(l.base.Apply(l.log), l.session.View.Number)
	}
	l.stir()
}

// stir has everybody told anew.
func (l *lead) stir() {
	for _, o := range l.members {
		o.told = false
	}
}

func (l *lead) all(condition func(*member) bool) bool {
	for _, o := range l.members {
		if !condition(o) {
			return false
		}
	}
	return true
}

// tell is what a member has to know.
func (l *lead) tell(to *member) *Lead {
	out := &Lead{Running: l.running, Commit: l.commit, Trim: l.trim, Over: l.over, Lost: l.lost, Replies: l.repliesTo(to)}
	switch {
	case !l.running:
	case !to.at.Begun:
		out.Copy, out.From, out.Entries = l.base, l.trim, l.log
	default:
		out.From = max(l.trim, to.at.Has)
		out.Entries = l.log[min(out.From-l.trim, len(l.log)):]
	}
	return out
}
