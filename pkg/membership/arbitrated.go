package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// WitnessDone takes the outcome of the operation on the witness that is under way. One that answers another serial is ignored: the
// witness was changed meanwhile.
func (m *Machine) WitnessDone(now time.Duration, r WitnessResult) {
	a := &m.a
	if a.op == nil || a.op.Serial != r.Serial {
		return
	}
	op := *a.op
	a.op = nil
	switch {
	case r.Err != "":
		m.witnessFailed(now, r.Err)
	case r.Conflict:
		// It is not as it was read: somebody else acted, or the target has lost its registrations. It is read again.
		m.witnessReached()
		a.registered, a.victims, a.next = false, nil, now
	default:
		m.witnessReached()
		m.witnessDid(now, op, r)
	}
	m.settle(now)
}

func (m *Machine) witnessReached() {
	if !m.a.reached {
		m.a.reached, m.a.trouble, m.changed = true, "", true
	}
	m.a.failing = 0
}

// witnessFailed notes a failure. What the holder counts goes on to its end: nothing renews it.
func (m *Machine) witnessFailed(now time.Duration, err string) {
	a := &m.a
	m.changed = m.changed || a.reached
	if a.failing == 0 {
		a.failing = max(now, 1)
	}
	a.reached, a.trouble, a.victims = false, err, nil
	a.next = now + m.cfg.Interval
	a.rest = a.next
}

func (m *Machine) witnessDid(now time.Duration, op WitnessOp, r WitnessResult) {
	a := &m.a
	switch op.Act {
	case WitnessLook:
		a.next, a.started = max(now, a.issued+m.cfg.Interval), a.issued
		if r.Identity != a.identity {
			a.identity, a.registered = r.Identity, false // nothing that is known of another witness holds for this one
		}
		if r.Holder == m.witnessKey() {
			a.next = max(now, m.nextDefence())
			m.defend(now, r)
		} else {
			m.challenge(now, r)
		}
	case WitnessRegister:
		a.registered, a.since = true, now
	case WitnessRemove:
		a.victims = nil
		m.renewWitness(now)
	case WitnessTake:
		// It counts after a look: what another holder has written is read first (R8b, R8g).
		a.holding, a.loaded, a.registered, a.useless = true, false, false, 0
		a.until, a.victims, a.next = quorum.Lapsed, nil, now
	case WitnessRelease:
		m.witnessGone()
		a.next = now + m.cfg.Interval
	case WitnessLoad:
		m.witnessRead(now, r.Content)
	case WitnessSave:
		a.saved, m.changed = op.Content, true
	}
}

// defend is the holder's part of a look: challengers are removed, and the vote counts from the start of a look that found none, or of
// one all of whose challengers were removed (R8b).
func (m *Machine) defend(now time.Duration, r WitnessResult) {
	a := &m.a
	a.holding, a.registered = true, false
	me := m.witnessKey()
	a.victims = slices.DeleteFunc(slices.Clone(r.Registered), func(k WitnessKey) bool { return k == me })
	if !enforced(R8b) {
		a.victims = nil
	}
	if len(a.victims) == 0 {
		m.renewWitness(now)
	}
}

// nextDefence is when the holder looks again: about an interval after the last look, a part of one before its next message. What a
// message tells of the vote is what is left of it then; were the look to come just after each message, that would be an interval less.
func (m *Machine) nextDefence() time.Duration {
	interval := m.cfg.Interval
	earliest := m.a.issued + interval/2
	wait := (m.v.NextBeat - interval/beforeMessage - earliest) % interval
	if wait < 0 {
		wait += interval
	}
	return earliest + wait
}

// renewWitness counts the vote from the start of the last look, once what is written on the witness is known here.
func (m *Machine) renewWitness(now time.Duration) {
	a := &m.a
	if !a.loaded {
		return
	}
	if a.until <= now {
		m.changed, m.stale = true, true
	}
	a.until = a.started + m.cfg.witnessHold()
}

// witnessGone ends the holder's part.
func (m *Machine) witnessGone() {
	a := &m.a
	if a.holding {
		m.changed, m.stale = true, true
	}
	a.holding, a.loaded, a.useless = false, false, 0
	a.until, a.victims = quorum.Lapsed, nil
}

// challenge is everybody else's part of a look: stand, and take the witness when the view wants it and the wait is over. The wait
// begins again when the holder has changed (R8e).
func (m *Machine) challenge(now time.Duration, r WitnessResult) {
	a := &m.a
	m.witnessGone()
	switch {
	case m.p.Committed == nil: // R11: no vote, no challenge
	case !slices.Contains(r.Registered, m.witnessKey()):
		a.registered, a.rival = false, r.Holder
		m.ask(now, WitnessOp{Act: WitnessRegister})
	case !a.registered || a.rival != r.Holder:
		a.registered, a.since, a.rival = true, now, r.Holder
	case m.takesNow(now) && a.issued >= a.since+m.challengeWait():
		m.ask(now, WitnessOp{Act: WitnessTake, Victim: r.Holder})
	}
}

// witnessRead takes over what was written on the witness before this node held it (R8g). A view above the one in which this node was
// suspended says that others have acted without it.
func (m *Machine) witnessRead(now time.Duration, c WitnessContent) {
	a := &m.a
	a.loaded, a.saved, a.next = true, c, now
	// R3: where the witness alone votes, two quorate sets need share no node, and it is here that they meet. A view with a number that
	// is spent there needs a higher one.
	spent := c.View.Number
	if m.v.View != nil && c.View != m.v.View.ID && spent >= m.v.View.ID.Number {
		spent++
	}
	if spent > m.p.HighestView {
		m.p.HighestView, m.persist, m.changed = spent, true, true
	}
	if enforced(R8g) {
		if quorum.Compare(c.Committed, m.p.Committed) > 0 {
			m.commit(c.Committed, now)
		}
		if quorum.Compare(c.Tentative, m.p.Committed) > 0 {
			m.hold(c.Tentative)
		}
	}
	if m.v.Suspended.Number != 0 && c.View.Number > m.v.Suspended.Number {
		m.loseQuorum(now)
	}
}

// witnessVote is until when the vote of a witness counts, of those peers that count. To act, the witness must carry this very view:
// so whoever takes it next knows that somebody may have acted.
func (m *Machine) witnessVote(full uint64, counts func(*Peer) bool, acting bool) time.Duration {
	a := &m.a
	carries := func(id model.ViewID) bool { return !acting || m.v.View != nil && id == m.v.View.ID }
	until := quorum.Lapsed
	if a.holding && full == fullWitness(a.witness, a.identity) && carries(a.saved.View) {
		until = a.until
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if p.WitnessUntil > until && p.Claim.Witness == full && counts(p) && carries(p.Claim.View) {
			until = p.WitnessUntil
		}
	}
	return until
}

// recordOnWitness reports whether the witness is no hindrance to committing a record: it is written there, or the witness's vote is not
// needed for it (R8g).
func (m *Machine) recordOnWitness(r *quorum.Record, now time.Duration) bool {
	members := ids(m.v.View.Members)
	has := func(id model.NodeID) bool { return slices.Contains(members, id) && m.hasVote(id) }
	needed := slices.ContainsFunc(m.binding(members), func(b *quorum.Record) bool {
		return !b.Equal(r) && b.WitnessCounts() && !b.Quorate(has, false)
	})
	if !needed || !enforced(R8g) {
		return true
	}
	if m.a.holding {
		return quorum.Compare(m.a.saved.newest(), r) >= 0
	}
	p := m.peer(m.claimant(now))
	return p != nil && p.Claim.holds(r)
}

// witnessStatus pictures the witness for Status.
func (m *Machine) witnessStatus(now time.Duration) WitnessStatus {
	a := &m.a
	s := WitnessStatus{ID: a.witness, Reached: a.reached, Trouble: a.trouble, FailingSince: a.failing, State: a.saved.State}
	if a.witness == 0 {
		return s
	}
	if a.holding && a.until > now {
		s.Holding, s.Until, s.Holder = true, a.until, m.cfg.Self
	} else if m.v.View != nil {
		s.Holder = m.claimant(now)
		own := fullWitness(a.witness, a.identity)
		if p := m.peer(s.Holder); p != nil && own != 0 && p.Claim.Witness != own {
			s.Stranger = s.Holder
		}
	}
	s.Counts = s.Holder != 0 && m.p.Committed != nil && m.p.Committed.Witness == m.held(now)
	s.Needed = m.needsWitness()
	return s
}

// needsWitness says that the view's nodes are no majority without the witness, under some record that binds it (R5).
func (m *Machine) needsWitness() bool {
	if m.v.View == nil {
		return false
	}
	has := func(id model.NodeID) bool { return m.v.View.Has(id) && m.hasVote(id) }
	return slices.ContainsFunc(m.binding(ids(m.v.View.Members)), func(r *quorum.Record) bool { return !r.Quorate(has, false) })
}
