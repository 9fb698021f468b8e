package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Receive takes a message that was received at now. It returns why a message is dropped: ErrOwnID, ErrUnknownNode,
// ErrOldIncarnation or ErrOldSequence; nil when it is used. The same message comes once per network, so ErrOldSequence is
// ordinary. Receive never declares a peer silent or quorum lost: that is Tick's, after all that has arrived was handed in.
func (m *Machine) Receive(now time.Duration, msg *Message) error {
	news, err := m.take(now, msg)
	// Most messages of an idle cluster only renew grants. What time enables is Tick's, so they need nothing else.
	if err == nil && (news || m.stale || m.changed || m.v.View != nil && !m.v.ActedInView) {
		m.settle(now)
	}
	return err
}

// Hear is Receive for a caller that has more messages to hand in before it calls Tick, which it must then do: what follows from all
// of them is done once. A large cluster that forms needs that, since there each message is news.
func (m *Machine) Hear(now time.Duration, msg *Message) error {
	_, err := m.take(now, msg)
	return err
}

// take takes a message in, and reports whether it says anything new beside that the sender is there.
func (m *Machine) take(now time.Duration, msg *Message) (news bool, err error) {
	if msg.From == m.cfg.Self {
		return false, ErrOwnID
	}
	p := m.peer(msg.From)
	if p == nil || !m.has(msg.From) {
		return false, ErrUnknownNode
	}
	switch {
	case msg.Incarnation < p.Incarnation:
		return false, ErrOldIncarnation
	case msg.Incarnation == p.Incarnation && msg.Sequence <= p.Sequence:
		return false, ErrOldSequence
	case msg.Incarnation > p.Incarnation:
		m.restarted(p)
	}
	news = m.hear(p, msg, now)
	m.outrun(msg)
	return news, nil
}

// restarted forgets what an earlier incarnation of the peer said. Promises to it stand: what it ran may not be gone yet.
func (m *Machine) restarted(p *Peer) {
	*p = Peer{ID: p.ID, Silent: p.Silent, PromisedUntil: p.PromisedUntil, Outside: p.Outside, OutsideSince: p.OutsideSince}
	m.changed, m.stale = true, true
}

// hear takes in what a message says, and reports whether it says anything new beside that the sender is there.
func (m *Machine) hear(p *Peer, msg *Message, now time.Duration) (news bool) {
	m.heard = aliveIn(m.heard, msg, m.cfg.Self, m.p.Incarnation)
	if p.Silent {
		p.Silent, m.changed, m.stale = false, true, true
	}
	m.stale = m.stale || m.outdates(p, msg, m.heard)
	news = p.tellsNews(msg)
	p.Incarnation, p.Generation, p.Sequence, p.LastHeard = msg.Incarnation, msg.Generation, msg.Sequence, now
	p.NotReady, p.Leaving, p.Released, p.ReachesAPI = msg.NotReady, msg.Leaving, msg.Released, msg.ReachesAPI
	p.Pending = msg.Pending
	p.ReachesWitness, p.CannotServe, p.Acting, p.Suspended = msg.ReachesWitness, msg.CannotServe, msg.Acting, msg.Suspended
	if !p.Hears.equal(m.heard) {
		p.Hears = slices.Clone(m.heard)
	}
	p.HighestView = msg.HighestView
	m.takeViews(p, msg)
	m.takeRecords(p, msg)
	if p.Released {
		// R1: who has left counts no grant of this incarnation any more, so the promise to it has no purpose.
		p.PromisedUntil = 0
	}
	if p.Claim = (Claim{}); msg.Claim != nil {
		p.Claim = *msg.Claim
	} else {
		p.WitnessUntil = 0
	}
	m.countGrant(p, msg)
	return news
}

// outdates reports whether a message changes what a proposal is made from.
func (m *Machine) outdates(p *Peer, msg *Message, hears idSet) bool {
	if p.Acting != msg.Acting && m.p.Prevent || p.Suspended != msg.Suspended || (msg.Claim == nil) != (p.Claim.Witness == 0) {
		return true
	}
	return p.Generation != msg.Generation || p.NotReady != msg.NotReady || p.Released != msg.Released ||
		!p.Hears.equal(hears) || !p.Committed.Equal(msg.Committed) || !p.Tentative.Equal(msg.Tentative)
}

// tellsNews reports whether a message says anything else that is new beside that the sender is there.
func (p *Peer) tellsNews(msg *Message) bool {
	return p.Leaving != msg.Leaving || p.ReachesWitness != msg.ReachesWitness || p.CannotServe != msg.CannotServe ||
		msg.Claim != nil && p.Claim.news(*msg.Claim) || p.HighestView != msg.HighestView ||
		!p.View.Equal(msg.View) || !slices.Equal(p.Proposal, msg.Proposal)
}

// takeViews takes over the sender's view and proposal. Most peers say what this node says: then it is this node's that is kept, and
// comparing them later costs nothing.
func (m *Machine) takeViews(p *Peer, msg *Message) {
	switch {
	case m.v.View.Equal(msg.View):
		p.View = m.v.View
	case !p.View.Equal(msg.View):
		p.View = msg.View.Clone()
	}
	if !slices.Equal(p.Proposal, msg.Proposal) {
		p.Proposal = slices.Clone(msg.Proposal)
	}
}

// takeRecords takes over the sender's vote records, as takeViews does.
func (m *Machine) takeRecords(p *Peer, msg *Message) {
	take := func(old, said *quorum.Record) *quorum.Record {
		for _, known := range []*quorum.Record{m.p.Committed, m.p.Tentative, old} {
			if known.Equal(said) {
				return known
			}
		}
		return said.Clone()
	}
	p.Committed, p.Tentative = take(p.Committed, msg.Committed), take(p.Tentative, msg.Tentative)
}

// countGrant counts the grant that a message carries from when this node sent what it grants (R1), and never for longer than
// the sender holds its promises, which matters while a changed interval is on its way through the cluster.
func (m *Machine) countGrant(p *Peer, msg *Message) {
	h, ok := msg.heard(m.cfg.Self)
	if !ok || !h.Grant || h.Incarnation != m.p.Incarnation {
		return
	}
	i, ok := slices.BinarySearchFunc(m.v.Sent, h.Sequence, func(s SentAt, seq uint64) int {
		switch {
		case s.Sequence < seq:
			return -1
		case s.Sequence > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return
	}
	p.GrantUntil = max(p.GrantUntil, m.v.Sent[i].At+min(m.cfg.Hold(), msg.Hold))
	if msg.Claim != nil {
		// R8d: counted from the same time, and never for longer than the grant that comes with it: the promise covers it.
		p.WitnessUntil = max(p.WitnessUntil, m.v.Sent[i].At+min(m.cfg.Hold(), msg.Hold, m.relayed(msg.Claim.Remaining)))
	}
}

// relayed is what counts of a time that is left by another's clock (R4).
func (m *Machine) relayed(left time.Duration) time.Duration {
	if !enforced(R4) {
		return left
	}
	return left * 98 / 100
}

// outrun moves this node past a later life of its own that a peer remembers: a host that lost its disk begins at 1 again, and
// its messages would be dropped as old ones for ever.
func (m *Machine) outrun(msg *Message) {
	h, ok := msg.heard(m.cfg.Self)
	later := h.Incarnation > m.p.Incarnation || h.Incarnation == m.p.Incarnation && h.Sequence > m.v.Sequence
	if !ok || !later || m.v.View != nil {
		return
	}
	m.p.Incarnation = h.Incarnation + 1
	m.p.Generation = max(m.p.Generation, h.Generation) + 1
	m.v.Incarnation, m.v.Generation = m.p.Incarnation, m.p.Generation
	m.v.Sequence, m.v.Sent, m.messages = 0, nil, nil
	m.dropGrants()
	m.persist, m.changed, m.stale = true, true, true
}

// aliveIn is whom the sender hears, this node only if it is the present incarnation that is heard. The set is made in the place of
// another.
func aliveIn(set idSet, msg *Message, self model.NodeID, incarnation uint64) idSet {
	clear(set)
	set = set[:0]
	for i := range msg.Heard {
		if h := &msg.Heard[i]; h.Alive && (h.ID != self || h.Incarnation == incarnation) {
			set.add(int(h.ID))
		}
	}
	return set
}
