package autonomy

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	// DefaultWait is A of the design: how long no member may have reached the API server before the coordinator opens a session. The
	// agents' probes take up to 1.5 s to find the server gone, so that no more than 2 s pass in all.
	DefaultWait = 400 * time.Millisecond
	// resend is how often what is not answered is sent again.
	resend = 100 * time.Millisecond
	// idleResend is how often members are told that nothing is new.
	idleResend = time.Second
	// pause is how long a coordinator waits after the end of a session before it opens another in the same view because a member's
	// heartbeat still speaks of a journal.
	pause = time.Second
)

// viewGap is how long a node may be without a view, while it takes the witness, and not wait once more (J1).
const viewGap = 2 * time.Second

// Config says who the node is.
type Config struct {
	Self model.NodeID
	// Node and Cluster are the names of this node and of its cluster.
	Node, Cluster string
	// Decides says that the Cluster allows decisions without the API server. Without it a journal that there is is still written.
	Decides bool
	// Wait is A; 0 means DefaultWait.
	Wait time.Duration
	// Boot is the wall clock at the zero of the node's own clock.
	Boot time.Time
}

// State is what a node keeps on its disk. It is never changed, only replaced.
type State struct {
	// Pending says that the node goes by its journal.
	Pending bool
	// Lost says that it has been in a view with a journal that nobody in a later view had: until every node of the cluster has been in
	// a view together, any node that is not in the view may have run anything (O6).
	Lost bool
	// Copy is the state of the cluster as the node knows it; nil when it never reached the API server.
	Copy *replica.Copy
	// Journal is what the API server does not have yet, in order.
	Journal []replica.Entry
}

// Out is what follows from a step: Save must be on disk before Send is sent and before anybody looks at the machine's answers.
type Out struct {
	// Save is nil when nothing has changed.
	Save *State
	// Keep goes to the witness after Save is on disk; nil when nothing has changed. The answers need not wait for it.
	Keep *Keep
	Send []Envelope
	// Replies answer what was asked here, Answered is what this node has answered as the coordinator.
	Replies  []Reply
	Answered []Answered
	// Changed says that what the node goes by may have changed.
	Changed bool
}

// Machine is one node's part. It is driven by one goroutine.
type Machine struct {
	cfg   Config
	st    membership.Status
	saved State
	// reached is when a member of the view was last known to reach the API server, by this node's clock.
	reached time.Duration
	// inView is when this node was last in a view; 0 for never.
	inView time.Duration
	quiet  time.Duration
	report *Report
	lead   *lead
	follow *follow
	// unmerged says that the present view has a member with a journal that this node has not taken over.
	unmerged bool
	// asks are what operators ask here, asked is when the coordinator was told last.
	asks  []Ask
	asked time.Duration
	kept  kept
	out   Out
}

// follow is a member's side of a session.
type follow struct {
	session Session
	begun   bool
	// has counts the entries on disk, trim those that were dropped from the front, commit those that are obeyed.
	has, trim, commit int
	// written is how many entries the API server has by its own word.
	written int
	running bool
	cleared bool
}

// New makes the machine of an agent's process; saved is nil on a host that remembers nothing.
func New(cfg Config, saved *State, now time.Duration) *Machine {
	if cfg.Wait <= 0 {
		cfg.Wait = DefaultWait
	}
	m := &Machine{cfg: cfg, reached: now}
	if saved != nil {
		m.saved = *saved
	}
	return m
}

// Configure takes over changed settings.
func (m *Machine) Configure(cfg Config) {
	if cfg.Wait <= 0 {
		cfg.Wait = DefaultWait
	}
	m.cfg = cfg
}

// Pending says that this node goes by its journal; heartbeats must say so too.
func (m *Machine) Pending() bool { return m.saved.Pending }

// Lost says that a journal may be in nobody's hands (State.Lost).
func (m *Machine) Lost() bool { return m.saved.Lost }

// Objects are what a node goes by whose journal is Pending: the copy with everything that is committed. nil when there is none.
func (m *Machine) Objects() *snapshot.Objects {
	if m.saved.Copy == nil {
		return nil
	}
	return m.saved.Copy.Objects(m.cfg.Cluster)
}

// Journal is what is to be written to the API server: nil until it is merged from all members of the view and on all their disks.
func (m *Machine) Journal() []replica.Entry {
	if f := m.follow; m.saved.Pending && f != nil && f.running && f.commit == f.has {
		return m.saved.Journal
	}
	return nil
}

// Deciding says that this node leads a session and may decide.
func (m *Machine) Deciding(now time.Duration) bool {
	return m.lead != nil && m.lead.running && m.mayDecide(now)
}

// Told says that all members of the acting view have said in it whether they go by a journal. A view is not published before.
func (m *Machine) Told() bool {
	if !m.st.Acting || m.st.View == nil {
		return false
	}
	return !m.anyOther(func(p *membership.PeerStatus) bool { return !m.st.View.Equal(p.View) })
}

// ViewPending says that this node, or a member of its view, goes by a journal.
func (m *Machine) ViewPending() bool {
	return m.saved.Pending || m.anyOther(func(p *membership.PeerStatus) bool { return p.Pending })
}

// ObeysAPI says that what the API server assigns may be obeyed: nobody in the view goes by a journal.
func (m *Machine) ObeysAPI() bool {
	switch {
	case !enforced(ruleTold):
		return !m.saved.Pending
	case m.ViewPending():
		return false
	}
	return !m.cfg.Decides || m.Told()
}

// anyOther reports whether the condition holds for another member of the view.
func (m *Machine) anyOther(condition func(*membership.PeerStatus) bool) bool {
	if m.st.View == nil {
		return false
	}
	for _, member := range m.st.View.Members {
		if member.ID == m.cfg.Self {
			continue
		}
		at := slices.IndexFunc(m.st.Peers, func(p membership.PeerStatus) bool { return p.ID == member.ID })
		if at < 0 || condition(&m.st.Peers[at]) {
			return true
		}
	}
	return false
}

// anyReaches says that a member of the view reaches the API server.
func (m *Machine) anyReaches() bool {
	return m.st.ReachesAPI || m.anyOther(func(p *membership.PeerStatus) bool { return p.ReachesAPI && !p.Silent })
}

// Observe takes the standing of membership, after each of its steps.
func (m *Machine) Observe(now time.Duration, st *membership.Status) {
	before := m.st.View
	if before != nil && !before.Equal(st.View) && m.unmerged {
		m.lose()
	}
	told := m.ObeysAPI()
	m.st = *st
	if !before.Equal(st.View) {
		m.unmerged, m.follow = false, nil
		if aside := m.kept.aside; aside != nil {
			m.kept.aside = nil
			m.inherit(aside)
		}
		m.whole()
	}
	switch {
	case m.anyReaches():
		m.reached = now
	case st.View != nil:
		m.inView = now
	case m.inView == 0 || now-m.inView > viewGap:
		m.reached = now // whether the API server is there is not known yet
	}
	if m.anyOther(func(p *membership.PeerStatus) bool { return p.Pending }) && !m.merged() {
		m.unmerged = true
	}
	if told != m.ObeysAPI() {
		m.out.Changed = true
	}
	m.Tick(now)
}

// merged says that the session of this view has given the node the journal of all members.
func (m *Machine) merged() bool {
	f := m.follow
	return f != nil && m.st.View != nil && f.session.View == m.st.View.ID && (f.begun || f.cleared)
}

// lose notes that a journal was in a view with this node and is not in its hands.
func (m *Machine) lose() {
	if !enforced(ruleLost) {
		return
	}
	m.saved.Lost, m.saved.Pending = true, true
	m.save()
}

// whole ends Lost in a view that has every node of the cluster: all that ran has ended, or is told of.
func (m *Machine) whole() {
	if c := m.saved.Copy; !m.saved.Lost || m.st.View == nil || c == nil || c.Cluster == nil || m.saved.Pending {
		return
	}
	for _, n := range m.saved.Copy.Nodes {
		if n.Status.ID != 0 && !m.st.View.Has(model.NodeID(n.Status.ID)) {
			return
		}
	}
	m.saved.Lost = false
	m.save()
}

func (m *Machine) save() {
	s := m.saved
	m.out.Save, m.out.Changed = &s, true
}

// Seen takes what the API server shows this node; the objects are shared and never changed. A node that goes by its journal only looks
// how much of it the API server has.
func (m *Machine) Seen(o *snapshot.Objects) {
	if o.Cluster == nil {
		return
	}
	if !m.saved.Pending {
		m.saved.Copy = replica.Of(o)
		m.whole()
		m.save()
		m.out.Changed = false
		return
	}
	f, token := m.follow, o.Cluster.Status.JournalWritten
	if f == nil || !f.running || token == "" || f.written > f.trim {
		return
	}
	for n := 1; n <= min(len(m.saved.Journal), replica.PageEntries); n++ {
		if replica.TokenOf(m.saved.Journal[:n]) == token {
			f.written = f.trim + n
			m.answer()
			return
		}
	}
}

// Awaits says that a part of the journal waits for the word that it is written (Seen). That word may have come before the session that
// looks for it, so whoever drives the machine looks for it again and again, not only when the API server shows something new.
func (m *Machine) Awaits() bool {
	f := m.follow
	return f != nil && f.running && f.written <= f.trim && len(m.saved.Journal) > 0
}

// Report takes what is on this node now.
func (m *Machine) Report(r *Report) {
	if m.report != nil {
		r.Serial = max(r.Serial, m.report.Serial+1)
	}
	m.report = r
	if m.follow != nil && !m.follow.cleared {
		m.answer()
	}
}

// String says where the machine is, for logs and failures of tests.
func (m *Machine) String() string {
	text := fmt.Sprintf("pending=%t lost=%t obeys=%t entries=%d", m.saved.Pending, m.saved.Lost, m.ObeysAPI(), len(m.saved.Journal))
	if f := m.follow; f != nil {
		text += fmt.Sprintf(" follows %v begun=%t has=%d commit=%d trim=%d written=%d cleared=%t", f.session, f.begun, f.has, f.commit, f.trim, f.written, f.cleared)
	}
	if l := m.lead; l != nil {
		text += fmt.Sprintf(" leads %v running=%t end=%d commit=%d trim=%d over=%t", l.session, l.running, l.end(), l.commit, l.trim, l.over)
	}
	return text
}

// Ready returns what follows from the steps since the last call.
func (m *Machine) Ready() Out {
	m.keep()
	out := m.out
	m.out = Out{}
	return out
}
