package membership

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
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
		in := slices.ContainsFunc(want, func(o model.Member) bool { return o.ID == p.ID })
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
	s := &search{m: m, committed: m.knownCommitted(), budget: 2048}
	ids := []model.NodeID{m.cfg.Self}
	for i := range m.v.Peers {
		p := &m.v.Peers[i]
		if m.cfg.has(p.ID) && !p.Silent && m.eligible(p) && !p.Released && p.hears(m.cfg.Self) {
			ids = append(ids, p.ID)
		}
	}
	slices.Sort(ids)
	s.cliques(ids)
	members := make([]model.Member, 0, len(s.best))
	for _, id := range s.best {
		if id == m.cfg.Self {
			members = append(members, m.self())
		} else {
			members = append(members, m.peer(id).member())
		}
	}
	return members
}

// search finds the best clique of the graph of who hears whom. Usually all hear each other and the first look ends it. It
// branches on the node with the most missing links, exactly while the budget lasts, greedily after that.
type search struct {
	m         *Machine
	committed *quorum.Record
	best      []model.NodeID
	budget    int
}

func (s *search) cliques(ids []model.NodeID) {
	worst, missing := s.mostCut(ids)
	if missing == 0 {
		if s.best == nil || s.better(ids, s.best) {
			s.best = ids
		}
		return
	}
	s.budget--
	s.cliques(without(ids, func(id model.NodeID) bool { return id == worst }))
	if s.budget > 0 {
		s.cliques(without(ids, func(id model.NodeID) bool { return id != worst && !s.linked(worst, id) }))
	}
}

// mostCut returns the node, never this one, that misses the most links within ids; the highest id of several.
func (s *search) mostCut(ids []model.NodeID) (worst model.NodeID, missing int) {
	for _, a := range ids {
		n := 0
		for _, b := range ids {
			if a != b && !s.linked(a, b) {
				n++
			}
		}
		if n > 0 && n >= missing && a != s.m.cfg.Self {
			worst, missing = a, n
		}
	}
	return worst, missing
}

// linked reports whether both hear each other. All candidates are linked with this node.
func (s *search) linked(a, b model.NodeID) bool {
	if a == s.m.cfg.Self || b == s.m.cfg.Self {
		return true
	}
	return s.m.peer(a).hears(b) && s.m.peer(b).hears(a)
}

// better orders sets: quorate without the witness, votes, holds the witness, size, lowest ids (R9b).
func (s *search) better(a, b []model.NodeID) bool {
	in := func(ids []model.NodeID) func(model.NodeID) bool {
		return func(id model.NodeID) bool { return slices.Contains(ids, id) && s.m.hasVote(id) }
	}
	if qa, qb := s.m.quorateWith(a, 0), s.m.quorateWith(b, 0); qa != qb {
		return qa
	}
	return cmp.Or(
		cmp.Compare(s.committed.Votes(in(a), false), s.committed.Votes(in(b), false)),
		cmp.Compare(s.holds(a), s.holds(b)),
		cmp.Compare(len(a), len(b)),
		slices.Compare(b, a),
	) > 0
}

// holds is 1 for a set with the node that holds the witness, as far as it is known.
func (s *search) holds(ids []model.NodeID) int {
	for _, id := range ids {
		p := s.m.peer(id)
		if id == s.m.cfg.Self && s.m.a.holding || p != nil && p.Claim.Witness != 0 && ConfiguredWitness(p.Claim.Witness) == s.m.a.witness {
			return 1
		}
	}
	return 0
}

func without(ids []model.NodeID, drop func(model.NodeID) bool) []model.NodeID {
	kept := make([]model.NodeID, 0, len(ids))
	for _, id := range ids {
		if !drop(id) {
			kept = append(kept, id)
		}
	}
	return kept
}
