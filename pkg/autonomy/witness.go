package autonomy

import (
	"time"

	"github.com/quorate/quorate/pkg/replica"
)

// Keep is what is to be put on the witness, once what came with it is on this node's own disk. Serial tells it from what was asked
// before, which it replaces.
type Keep struct {
	Serial uint64
	State  *State
}

// KeptWord is what the member that holds the witness tells of what is kept there.
type KeptWord struct {
	// Begun says that the session's merged state is on the witness, Has is how many of its entries are.
	Begun bool `json:"begun,omitempty"`
	Has   int  `json:"has,omitempty"`
	// Trouble is why nothing may be decided that has to be there; empty for nothing.
	Trouble string `json:"trouble,omitempty"`
}

// kept is a node's side of the witness, while it holds it.
type kept struct {
	// read says that what others had put there is known here.
	read bool
	// unread is why it could not be read, refused why what belongs there cannot be put there; empty for neither.
	unread, refused string
	// pending says that what is there, or on its way there, speaks of a journal.
	pending bool
	// aside is what was read during a session, whose journal has its own count: it becomes the node's own with the next view. Until then
	// it stays on the witness.
	aside  *State
	serial uint64
	// last is the machine's state that was asked for last.
	last *State
	// asked is on its way to the witness, the oldest first; done is the last that arrived.
	asked []asked
	done  asked
}

// asked says how much of a session a Keep has.
type asked struct {
	serial  uint64
	session Session
	has     int
}

// WitnessRead takes what was on the witness when this node took it, before the vote of the witness counts for it: nil for nothing. In a
// view that needs that vote the witness is one more member: what it keeps is this node's own from now on. unread says why it cannot be
// read; then it may have been a journal that is in nobody's hands (J5).
func (m *Machine) WitnessRead(now time.Duration, s *State, unread string) {
	k := &m.kept
	*k = kept{read: true, serial: k.serial, done: k.done}
	if !enforced(ruleRead) {
		return
	}
	if unread == "" && s != nil && s.Pending && s.Copy == nil && m.cfg.Decides {
		unread = "the holder before could not put its journal there"
	}
	switch {
	case unread == "" && s != nil:
		m.takeKept(s)
	case unread != "" && m.cfg.Decides:
		k.unread, k.pending = unread, true
		m.lose()
	}
	m.answer()
	m.Tick(now)
}

// takeKept takes what the witness keeps.
func (m *Machine) takeKept(s *State) {
	k, f := &m.kept, m.follow
	k.pending = s.Pending
	if f != nil && !f.cleared {
		k.aside = s
	}
	if f == nil || !f.begun || f.cleared {
		m.inherit(s)
	}
}

// inherit makes what the witness keeps this node's own.
func (m *Machine) inherit(s *State) {
	if !s.Pending && (!m.cfg.Decides || s.Copy == nil) {
		return
	}
	m.saved = m.saved.with(s)
	changed := m.out.Changed
	m.save()
	m.out.Changed = changed || m.saved.Pending
}

// with is what is known from both.
func (s State) with(o *State) State {
	if o == nil {
		return s
	}
	s.Copy = replica.Newest(s.Copy, o.Copy)
	if o.Pending {
		s.Pending, s.Lost, s.Journal = true, s.Lost || o.Lost, replica.MergeEntries(s.Journal, o.Journal)
	}
	return s
}

// Kept takes the word that a Keep is on the witness, which this node held when it was written. refused says that it could not be put
// there, such as one that is too large, and that Unkept stands for it: then nothing is decided in a view that needs the witness.
func (m *Machine) Kept(now time.Duration, serial uint64, refused string) {
	k := &m.kept
	for len(k.asked) > 0 && k.asked[0].serial <= serial {
		k.done, k.asked = k.asked[0], k.asked[1:]
		k.refused = refused
	}
	m.answer()
	m.pump(now)
}

// Unkept stands on the witness for a journal that cannot be put there: whoever reads it knows that there is one, and not what it says.
func Unkept() *State { return &State{Pending: true, Lost: true} }

// WitnessTrouble is why nothing may be decided in a view that needs the witness, as far as this node knows; empty for nothing.
func (m *Machine) WitnessTrouble() string {
	if k := &m.kept; k.unread != "" {
		return k.unread
	}
	return m.kept.refused
}

// keep asks for what belongs on the witness now, if that is not there and not on its way. A view that does not need the witness's vote
// does not wait for it, but has it hold no less than the members know.
func (m *Machine) keep() {
	k := &m.kept
	if !k.read || !m.st.Witness.Holding || m.st.View == nil || !m.saved.Pending && !k.pending {
		return
	}
	own := m.saved
	if k.last != nil && k.last.same(&own) {
		return
	}
	want := own
	if own.Pending {
		want = own.with(k.aside)
	}
	k.serial++
	k.last, k.pending = &own, own.Pending
	a := asked{serial: k.serial}
	if f := m.follow; f != nil && f.begun {
		a.session, a.has = f.session, f.has
	}
	k.asked = append(k.asked, a)
	m.out.Keep = &Keep{Serial: k.serial, State: &want}
}

// same compares states of one machine: a copy is replaced when it changes, and a journal only grows at its end or loses its beginning.
func (s *State) same(o *State) bool {
	if s.Pending != o.Pending || s.Lost != o.Lost || s.Copy != o.Copy || len(s.Journal) != len(o.Journal) {
		return false
	}
	last := len(s.Journal) - 1
	return last < 0 || s.Journal[0].ID == o.Journal[0].ID && s.Journal[last].ID == o.Journal[last].ID
}

// word is what this node tells the session about the witness; nil when it does not hold it.
func (m *Machine) word(session Session) *KeptWord {
	k := &m.kept
	if !k.read || !m.st.Witness.Holding {
		return nil
	}
	w := &KeptWord{Trouble: m.WitnessTrouble()}
	if k.done.session == session {
		w.Begun, w.Has = true, k.done.has
	}
	return w
}

// needsWitness says that the view is quorate by the vote of the witness alone: a view that takes the witness next may share no member
// with it, so the witness must know what is decided.
func (m *Machine) needsWitness() bool { return m.st.Witness.Needed && enforced(ruleKept) }

// has is Has; 0 without a word.
func (w *KeptWord) has() int {
	if w == nil {
		return 0
	}
	return w.Has
}

// takeWord takes what a member tells of the witness.
func (l *lead) takeWord(w *KeptWord) {
	if w == nil {
		return
	}
	l.kept = &KeptWord{Begun: w.Begun || l.kept != nil && l.kept.Begun, Has: max(w.Has, l.kept.has()), Trouble: w.Trouble}
}
