package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// The witness is looked at every interval. Its vote counts for W from the start of a look, and a challenger waits W' (R8, R4).
const (
	witnessIntervals = 3
	// beforeMessage is which part of an interval before its next message the holder looks: time for the look and for a removal.
	beforeMessage = 4
	// reluctance is how many times W' a node waits that can serve no client, so that a side that can comes first (R8i).
	reluctance = 4
	// forgetAfter is how long a witness must be lost before a record takes its vote away (R8g).
	forgetAfter = 2 * time.Second
	// yieldAgain is how long a holder that gave the witness up for others to serve does not do so again (R8i).
	yieldAgain = time.Minute
)

// arbitration is this node's part at the witness. Nothing of it outlives the process: an own key of the same incarnation that is
// found there says the same.
type arbitration struct {
	witness uint32
	// identity is what is written on it; 0 while it is not known.
	identity uint32
	serial   uint64
	// op is under way since issued; out says that Ready has not handed it out yet.
	op     *WitnessOp
	issued time.Duration
	out    bool
	// next is when the next look is due, rest until when nothing is tried after a failure.
	next, rest time.Duration
	reached    bool
	trouble    string
	// failing is since when every operation has failed; 0 when the last one has not.
	failing time.Duration

	// The holder's part. started is when the last look began, victims are the challengers that it found and that are not removed yet.
	holding, loaded bool
	until           time.Duration
	saved           WitnessContent
	started         time.Duration
	victims         []WitnessKey
	// useless is since when the view would not be quorate even with the witness (R8f); 0 when it would.
	useless time.Duration

	// The challenger's part: registered since then, with rival as the holder when the wait began (R8c, R8e).
	registered bool
	since      time.Duration
	rival      WitnessKey

	// cannotServe is since when no client network works here, 0 when one does; yielded is when the witness was last given up for it.
	cannotServe, yielded time.Duration
}

// W and W'.
func (c Config) witnessHold() time.Duration { return witnessIntervals * c.Interval }
func (c Config) witnessWait() time.Duration { return promiseFor(c.witnessHold()) }

// WitnessWait is the longest that a stop waits for a challenge under way, by this node's clock: W' (R8).
func (c Config) WitnessWait() time.Duration {
	if c.Witness.ID == 0 {
		return 0
	}
	return c.witnessWait()
}

// witness is the one in use: that of the configuration, or an earlier one while a vote record still names it.
func (m *Machine) witness() uint32 {
	if len(m.cfg.Witness.Earlier) == 0 {
		return m.cfg.Witness.ID
	}
	committed := m.knownCommitted()
	records := []*quorum.Record{committed, m.p.Tentative}
	for i := range m.v.Peers {
		if p := &m.v.Peers[i]; m.has(p.ID) && !p.Silent && quorum.Compare(p.Tentative, committed) > 0 {
			records = append(records, p.Tentative)
		}
	}
	for _, r := range records {
		if r != nil && slices.Contains(m.cfg.Witness.Earlier, ConfiguredWitness(r.Witness)) {
			return ConfiguredWitness(r.Witness)
		}
	}
	return m.cfg.Witness.ID
}

func (m *Machine) witnessKey() WitnessKey {
	return WitnessKey{Node: m.cfg.Self, Incarnation: max(1, uint32(m.p.Incarnation&witnessIncarnation))}
}

// alignWitness turns to the witness that is in use now. What is under way at another is forgotten; a holder's registration stays there
// and keeps nobody out for long.
func (m *Machine) alignWitness(now time.Duration) {
	if w := m.witness(); w != m.a.witness {
		m.a = arbitration{witness: w, serial: m.a.serial, until: quorum.Lapsed, next: now, cannotServe: m.a.cannotServe}
		m.changed, m.stale = true, true
	}
}

// arbitrate asks for the next operation on the witness, if one is due and none is under way.
func (m *Machine) arbitrate(now time.Duration) {
	a := &m.a
	if a.witness == 0 || m.v.Left {
		return
	}
	m.noteUseless(now)
	if a.op != nil || a.rest > now {
		return
	}
	switch {
	case a.holding && m.givesUp(now):
		if !m.serves() {
			a.yielded = now
		}
		a.until = quorum.Lapsed
		m.ask(now, WitnessOp{Act: WitnessRelease})
	case a.holding && !a.loaded:
		m.ask(now, WitnessOp{Act: WitnessLoad})
	case a.holding && len(a.victims) > 0:
		m.ask(now, WitnessOp{Act: WitnessRemove, Victims: slices.Clone(a.victims)})
	case a.next <= now || m.takesNow(now):
		m.ask(now, WitnessOp{Act: WitnessLook})
	case a.holding && !m.content().equal(a.saved):
		m.ask(now, WitnessOp{Act: WitnessSave, Content: m.content()})
	}
}

func (m *Machine) ask(now time.Duration, op WitnessOp) {
	a := &m.a
	a.serial++
	op.Serial, op.Witness, op.Me = a.serial, a.witness, m.witnessKey()
	a.op, a.issued, a.out = &op, now, true
}

// content is what belongs on the witness now.
func (m *Machine) content() WitnessContent {
	c := WitnessContent{
		View: m.a.saved.View, Committed: m.p.Committed.Clone(), Tentative: m.p.Tentative.Clone(), State: max(m.state, m.a.saved.State),
	}
	if m.v.View != nil && m.v.View.ID.Number > c.View.Number {
		c.View = m.v.View.ID
	}
	return c
}

// SetState says that there is a newer copy of the cluster's state, for the holder to save beside the records. Versions only grow.
func (m *Machine) SetState(version uint64, now time.Duration) {
	m.state = max(m.state, version)
	m.settle(now)
}

// takesNow says that the challenge has stood long enough and the view wants the witness.
func (m *Machine) takesNow(now time.Duration) bool {
	return m.a.registered && now >= m.a.since+m.challengeWait() && m.wantsWitness(now)
}

// challengeWait is W', and longer for one that can serve nobody (R8i).
func (m *Machine) challengeWait() time.Duration {
	if !enforced(R8a) {
		return 0
	}
	if !m.serves() {
		return reluctance * m.cfg.witnessWait()
	}
	return m.cfg.witnessWait()
}

// SetServes says whether this node can serve clients: whether any of its client networks works (R8i). It can until it is told.
func (m *Machine) SetServes(serves bool, now time.Duration) {
	switch {
	case serves && m.a.cannotServe != 0:
		m.a.cannotServe, m.changed = 0, true
	case !serves && m.a.cannotServe == 0:
		m.a.cannotServe, m.changed = max(now, 1), true
	}
	m.settle(now)
}

func (m *Machine) serves() bool { return m.a.cannotServe == 0 }

// wantsWitness says that this node should take the witness: nobody of its view holds it, the view would act with it, and no other
// member is to take it.
func (m *Machine) wantsWitness(now time.Duration) bool {
	if m.notReady(now) || m.v.Leaving || !m.hasVote(m.cfg.Self) || m.v.View == nil || m.a.holding {
		return false
	}
	if m.a.yielded != 0 && now < m.a.yielded+reluctance*m.cfg.witnessWait() {
		return false
	}
	if m.claimant(now) != 0 {
		return false
	}
	return m.wouldAct(now) && m.taker() == m.cfg.Self
}

// claimant is the member that tells that it holds the witness, 0 if none does.
func (m *Machine) claimant(now time.Duration) model.NodeID {
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if p.WitnessUntil > now && ConfiguredWitness(p.Claim.Witness) == m.a.witness && m.v.View.Has(p.ID) && p.View.HasMember(m.self()) {
			return p.ID
		}
	}
	return 0
}

// taker is the lowest member that reaches the witness and serves clients, or else the lowest that reaches it.
func (m *Machine) taker() model.NodeID {
	var second model.NodeID
	for _, o := range m.v.View.Members {
		reaches, serves := m.a.reached, m.serves()
		if o.ID != m.cfg.Self {
			p := m.peer(o.ID)
			if p == nil || p.Silent || p.Committed == nil {
				continue
			}
			reaches, serves = p.ReachesWitness, !p.CannotServe
		}
		if reaches && serves {
			return o.ID
		}
		if reaches && second == 0 {
			second = o.ID
		}
	}
	return second
}

// noteUseless keeps since when the witness is of no use to the view (R8f).
func (m *Machine) noteUseless(now time.Duration) {
	a := &m.a
	switch {
	case !a.holding || m.v.View != nil && m.wouldAct(now):
		a.useless = 0
	case a.useless == 0:
		a.useless = max(now, 1)
	}
}

// givesUp says that the holder lets the witness go: its view is not quorate even with it (R8f), or it can serve no client while a
// node that does not hold it might (R8i).
func (m *Machine) givesUp(now time.Duration) bool {
	a := &m.a
	if a.useless != 0 && now >= a.useless+m.cfg.Interval {
		return true
	}
	mayYield := a.yielded == 0 || now >= a.yielded+yieldAgain
	return a.cannotServe != 0 && now >= a.cannotServe+m.cfg.Interval && mayYield && m.othersServe()
}

// othersServe says that some other node may be able to serve clients: nothing is known of one that is not heard.
func (m *Machine) othersServe() bool {
	return slices.ContainsFunc(m.v.Peers, func(p Peer) bool {
		return m.has(p.ID) && (p.Silent || !p.CannotServe)
	})
}

// held is the full name of the witness that the view holds; 0 when it holds none.
func (m *Machine) held(now time.Duration) uint64 {
	if m.v.View == nil || m.a.witness == 0 {
		return 0
	}
	if m.a.holding && m.a.until > now {
		return fullWitness(m.a.witness, m.a.identity)
	}
	if p := m.peer(m.claimant(now)); p != nil {
		return p.Claim.Witness
	}
	return 0
}

// claim is what this node tells its view as the holder of the witness; nil when its vote does not count.
func (m *Machine) claim(now time.Duration) *Claim {
	a := &m.a
	full := fullWitness(a.witness, a.identity)
	if !a.holding || a.until <= now || full == 0 {
		return nil
	}
	c := &Claim{Witness: full, Remaining: a.until - now, View: a.saved.View}
	if r := a.saved.newest(); r != nil {
		c.Record, c.Coordinator = r.Number, r.Coordinator
	}
	return c
}

// witnessDue is when time alone changes something about the witness; now if it has already.
func (m *Machine) witnessDue(now time.Duration) time.Duration {
	a := &m.a
	if m.v.Left {
		return forever
	}
	due := forever
	later := func(since, after time.Duration) {
		if t := since + after; since != 0 && t > now {
			due = min(due, t)
		}
	}
	later(m.lostSince, forgetAfter)
	later(a.useless, m.cfg.Interval)
	later(a.cannotServe, m.cfg.Interval)
	if a.op != nil {
		return due
	}
	look := a.next
	if a.registered && m.wantsWitness(now) {
		look = min(look, a.since+m.challengeWait())
	}
	return max(now, min(due, max(look, a.rest)))
}
