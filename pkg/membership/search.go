package membership

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// searchBudget is how many branchings of a search are exact.
const searchBudget = 2048

// search finds the best clique of the graph of who hears whom. Usually all hear each other and the first look ends it. It
// branches on the node with the most missing links, exactly while the budget lasts, greedily after that.
//
// Candidates are known by their places in the sorted list ids, and sets of them are bits: with 64 nodes that all start at once, each
// datagram is a reason to search anew, in a graph that is half there.
type search struct {
	ids  []model.NodeID
	self int
	// linked has for each candidate those that hear it and are heard by it, itself included. All are linked with this node.
	linked []idSet
	// binding are the records under which a set may need quorum, the committed one first; none when no record is known.
	binding []bindingRecord
	// holders are the candidates that hold the witness, as far as it is known.
	holders idSet
	best    idSet
	budget  int
}

// bindingRecord is a record with what a search asks of it.
type bindingRecord struct {
	// voters are the candidates whose votes count under it; required of them make a quorum without the witness.
	voters   idSet
	required int
	// always says that it binds every set; otherwise a set that has one of carriers.
	always   bool
	carriers idSet
}

// newSearch is a search among these candidates, which are sorted by id, this node among them.
func newSearch(m *Machine, ids []model.NodeID) *search {
	s := &search{ids: ids, budget: searchBudget, linked: make([]idSet, len(ids))}
	s.self, _ = slices.BinarySearch(ids, m.cfg.Self)
	words := (len(ids) + 63) / 64
	all := make(idSet, words*len(ids))
	for i := range ids {
		s.linked[i] = all[i*words : (i+1)*words : (i+1)*words]
	}
	for i, a := range ids {
		s.linked[i].add(i)
		p := m.peer(a)
		if p != nil && m.claimsWitness(p) || p == nil && m.a.holding {
			s.holders.add(i)
		}
		for j := range i {
			q := m.peer(ids[j])
			if p == nil || q == nil || p.hears(q.ID) && q.hears(p.ID) {
				s.linked[i].add(j)
				s.linked[j].add(i)
			}
		}
	}
	s.bind(m)
	return s
}

// bind notes the records under which sets of the candidates need quorum (see Machine.binding).
func (s *search) bind(m *Machine) {
	committed := m.knownCommitted()
	if committed == nil {
		return
	}
	records := []*quorum.Record{committed}
	s.binding = []bindingRecord{s.record(m, committed)}
	s.binding[0].always = true
	if !enforced(R5) {
		return
	}
	for i, id := range s.ids {
		tentative := m.p.Tentative
		if p := m.peer(id); p != nil {
			tentative = p.Tentative
		}
		if quorum.Compare(tentative, committed) <= 0 {
			continue
		}
		at := slices.IndexFunc(records, tentative.Equal)
		if at < 0 {
			at = len(records)
			records, s.binding = append(records, tentative), append(s.binding, s.record(m, tentative))
		}
		s.binding[at].always = s.binding[at].always || i == s.self
		s.binding[at].carriers.add(i)
	}
}

func (s *search) record(m *Machine, r *quorum.Record) bindingRecord {
	b := bindingRecord{required: r.Required()}
	for _, id := range r.Counting() {
		if i, ok := slices.BinarySearch(s.ids, id); ok && m.hasVote(id) {
			b.voters.add(i)
		}
	}
	return b
}

// find returns the best clique.
func (s *search) find() []model.NodeID {
	var all idSet
	for i := range s.ids {
		all.add(i)
	}
	s.cliques(all)
	return s.best.of(s.ids)
}

func (s *search) cliques(set idSet) {
	worst, missing := s.mostCut(set)
	if missing == 0 {
		if s.best == nil || s.better(set, s.best) {
			s.best = set
		}
		return
	}
	s.budget--
	s.cliques(set.less(worst))
	if s.budget > 0 {
		s.cliques(set.with(s.linked[worst]))
	}
}

// mostCut returns the node, never this one, that misses the most links within the set; the highest id of several.
func (s *search) mostCut(set idSet) (worst, missing int) {
	size := set.size()
	for i := range s.ids {
		if !set.has(i) || i == s.self {
			continue
		}
		if n := size - set.sizeWith(s.linked[i]); n > 0 && n >= missing {
			worst, missing = i, n
		}
	}
	return worst, missing
}

// better orders sets: quorate without the witness, votes, holds the witness, size, lowest ids (R9b).
func (s *search) better(a, b idSet) bool {
	if qa, qb := s.quorate(a), s.quorate(b); qa != qb {
		return qa
	}
	if len(s.binding) > 0 {
		if va, vb := a.sizeWith(s.binding[0].voters), b.sizeWith(s.binding[0].voters); va != vb {
			return va > vb
		}
	}
	if ha, hb := a.sizeWith(s.holders) > 0, b.sizeWith(s.holders) > 0; ha != hb {
		return ha
	}
	if na, nb := a.size(), b.size(); na != nb {
		return na > nb
	}
	return a.lowerThan(b)
}

// quorate reports whether a set would be quorate without the witness if all of it granted.
func (s *search) quorate(set idSet) bool {
	for i := range s.binding {
		b := &s.binding[i]
		if (b.always || set.sizeWith(b.carriers) > 0) && set.sizeWith(b.voters) < b.required {
			return false
		}
	}
	return len(s.binding) > 0
}
