package membership

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// propose makes the proposal anew if what it is made from has changed (R9). It reports whether the proposal is another.
func (m *Machine) propose(now time.Duration) bool {
	if !m.stale {
		return false
	}
	m.stale = false
	var want []model.Member
	if !m.notReady(now) {
		want = m.bestSet()
	}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		_, in := memberIn(want, p.ID)
		if !in && !p.Outside {
			p.OutsideSince = now
		}
		p.Outside = !in
	}
	if slices.Equal(want, m.v.Proposal) {
		return false
	}
	m.v.Proposal, m.changed = want, true
	return true
}

// bestSet is the best set of nodes that all hear each other, this one among them, with their generations (R9b).
func (m *Machine) bestSet() []model.Member {
	ids := make([]model.NodeID, 1, len(m.v.Peers)+1)
	ids[0] = m.cfg.Self
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if m.has(p.ID) && !p.Silent && m.eligible(p) && !p.Released && p.hears(m.cfg.Self) {
			ids = append(ids, p.ID)
		}
	}
	slices.Sort(ids)
	best := newSearch(m, ids).find()
	members := make([]model.Member, 0, len(best))
	for _, id := range best {
		if id == m.cfg.Self {
			members = append(members, m.self())
		} else {
			members = append(members, m.peer(id).member())
		}
	}
	return members
}

// claimsWitness reports whether a peer is known to hold the witness that is in use.
func (m *Machine) claimsWitness(p *Peer) bool {
	return p.Claim.Witness != 0 && ConfiguredWitness(p.Claim.Witness) == m.a.witness
}
