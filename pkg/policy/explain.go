package policy

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Explain returns all nodes as candidates for the group, as if it were looked for a node now: for a failure of its owner if it has
// one, else for a first placement. It returns nil when there is no such group or no quorum.
func Explain(s *model.Snapshot, key model.GroupKey, now time.Time) []Candidate {
	p := newPlanner(s, now)
	if s.View == nil || !s.View.Quorate {
		return nil
	}
	p.indexNodes()
	p.indexGroups()
	p.countPlaces()
	for i := range p.groups {
		g := &p.groups[i]
		if g.Key != key {
			continue
		}
		search := search{occasion: firstPlacement, from: -1, exclude: -1}
		if g.owner >= 0 {
			search.occasion, search.from = nodeFailed, g.owner
		}
		_, found := p.find(g, search)
		candidates := found.All()
		p.whyNotFirst(candidates)
		return candidates
	}
	return nil
}
