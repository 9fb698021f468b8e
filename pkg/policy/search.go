package policy

import (
	"cmp"
	"slices"
)

// scratch is memory that every search of a plan uses again: a full placement is thousands of searches, each over all nodes.
type scratch struct {
	filters  []filter
	eligible []ranked
	order    []int
	// place is where each node is in eligible; -1 when it is not.
	place []int
	// last is the order of the nodes at the end of the last search for a group without a list, and of the last for one with a list. From one
	// search to the next little changes, so that sorting from there has little to do.
	last [2][]int
}

// find looks for a node. It returns the best one, or nil, and everything there is to say of all nodes.
func (p *planner) find(g *groupState, s search) (*nodeState, Candidates) {
	if s.leaves() {
		g.left = s.from
	}
	filters := p.concerning(g)
	p.scratch.eligible = p.scratch.eligible[:0]
	found := Candidates{nodes: p.known}
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.ghost {
			continue
		}
		if i != s.exclude && n.open && p.refusedBy(filters, g, n) == "" { // so it is for most nodes and groups
			p.scratch.eligible = append(p.scratch.eligible, ranked{node: n})
			p.scratch.eligible[len(p.scratch.eligible)-1].rank(p, g, &s)
			continue
		}
		reasons, message := p.refusals(g, n)
		if i == s.exclude {
			reasons = append(reasons, s.reason)
			if message == "" {
				message = n.Name + " is where it failed"
			}
		}
		found.others = append(found.others, Candidate{Node: n.Name, ID: n.ID, Reasons: reasons, Message: message})
	}
	order := p.sorted(g, &s)
	found.eligible = make([]uint16, len(order))
	for i, at := range order {
		found.eligible[i] = uint16(p.scratch.eligible[at].node.index)
	}
	if len(order) == 0 {
		return nil, found
	}
	return p.scratch.eligible[order[0]].node, found
}

// sorted returns the places of the nodes in scratch.eligible, best first. What it returns is good until the next search.
func (p *planner) sorted(g *groupState, s *search) []int {
	c := &p.scratch
	last := &c.last[0]
	if hasList(p, g, s) {
		last = &c.last[1]
	}
	if *last == nil {
		*last = p.inOrderOfID()
	}
	c.place = c.place[:0]
	for range p.nodes {
		c.place = append(c.place, -1)
	}
	for i := range c.eligible {
		c.place[c.eligible[i].node.index] = i
	}
	c.order = c.order[:0]
	for _, node := range *last {
		if at := c.place[node]; at >= 0 {
			c.order = append(c.order, at)
		}
	}
	slices.SortFunc(c.order, func(a, b int) int {
		x, y := &c.eligible[a].by, &c.eligible[b].by
		for _, i := range s.speaking {
			if x[i] != y[i] {
				return cmp.Compare(x[i], y[i])
			}
		}
		return 0
	})
	next := (*last)[:0]
	for _, at := range c.order {
		next = append(next, c.eligible[at].node.index)
	}
	for node, at := range c.place {
		if at < 0 {
			next = append(next, node)
		}
	}
	*last = next
	return c.order
}

func (p *planner) inOrderOfID() []int {
	order := make([]int, len(p.nodes))
	for i := range order {
		order[i] = i
	}
	return order
}

// whyNotFirst says of each eligible candidate by which rule the first one comes before it. It must follow the search that found them.
func (p *planner) whyNotFirst(candidates []Candidate) {
	for i, at := range p.scratch.order {
		first, n := &p.scratch.eligible[p.scratch.order[0]], &p.scratch.eligible[at]
		for j := range ranks {
			if first.by[j] != n.by[j] {
				candidates[i].Message = first.node.Name + " " + ranks[j].because
				break
			}
		}
	}
}
