package policy

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// actsAsStandby says that the node's role in effect is Standby: it owns nothing. What it took over from the very node that the group
// leaves does not count, so that a standby takes all of what one failure or drain leaves behind, also when that is decided in several
// plans, and nothing of the next one's before the others are as loaded as it is.
func (p *planner) actsAsStandby(g *groupState, n *nodeState, from int) bool {
	own := n.count
	if from >= 0 {
		own -= p.arrivalsFrom(from)[n.index]
	}
	if slices.Contains(g.places, n.index) && (from < 0 || !p.cameFrom(g, from)) {
		own--
	}
	return own <= 0
}

// arrivalsFrom counts, for each node, the groups that came to it from another one by that one's failure or drain of now.
func (p *planner) arrivalsFrom(from int) []int {
	if list := p.arrivals[from]; list != nil {
		return list
	}
	list := make([]int, len(p.nodes))
	for i := range p.groups {
		o := &p.groups[i]
		if len(o.places) == 0 || !p.cameFrom(o, from) {
			continue
		}
		for _, place := range o.places {
			if place != from {
				list[place]++
			}
		}
	}
	if p.arrivals == nil {
		p.arrivals = map[int][]int{}
	}
	p.arrivals[from] = list
	return list
}

// cameFrom says that the node's present failure or drain brought the group to where it is: in this plan, or in one since the node
// last joined the view, or while it is still drained.
func (p *planner) cameFrom(o *groupState, from int) bool {
	if o.left == from {
		return true
	}
	n := &p.nodes[from]
	if n.Availability == model.Drained {
		a := &o.Assignment
		if o.DrainedFrom == n.Name || a.Target != "" && a.Reason == model.ReasonDrain && p.lastOwner(o) == n.Name {
			return true
		}
	}
	last := len(o.Failures) - 1
	if last < 0 || n.member || o.owner == from {
		return false
	}
	f := &o.Failures[last]
	return f.Kind == model.FailureNode && f.Node == n.Name && !f.Time.Before(n.JoinedAt)
}
