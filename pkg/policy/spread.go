package policy

import "slices"

// indexDomains numbers the fault domains. A node that names none is a domain of its own. When no node names one there is nothing
// to spread over but nodes, and domains stays nil.
func (p *planner) indexDomains() {
	if !slices.ContainsFunc(p.nodes, func(n nodeState) bool { return n.FaultDomain != "" }) {
		return
	}
	byName := map[string]int{}
	for i := range p.nodes {
		n := &p.nodes[i]
		at, ok := byName[n.FaultDomain]
		if n.FaultDomain == "" || !ok {
			at = len(p.domains)
			p.domains = append(p.domains, map[string][]int{})
			byName[n.FaultDomain] = at
		}
		n.domain = at
	}
}

func (p *planner) enterDomain(g *groupState, n *nodeState) {
	if p.domains == nil || n.ghost {
		return
	}
	for _, class := range g.AntiAffinityClasses {
		p.domains[n.domain][class] = append(p.domains[n.domain][class], g.index)
	}
}

func (p *planner) leaveDomain(g *groupState, n *nodeState) {
	if p.domains == nil || n.ghost {
		return
	}
	for _, class := range g.AntiAffinityClasses {
		p.domains[n.domain][class] = without(p.domains[n.domain][class], g.index)
	}
}

// sharing counts the other groups on the node that share an anti-affinity class with the group.
func (p *planner) sharing(g *groupState, n *nodeState) int { return sharers(g, n.classes) }

// sharingDomain counts those in the node's fault domain; without fault domains it has nothing to add to sharing, and says 0.
func (p *planner) sharingDomain(g *groupState, n *nodeState) int {
	if p.domains == nil || n.ghost {
		return 0
	}
	return sharers(g, p.domains[n.domain])
}

func sharers(g *groupState, classes map[string][]int) int {
	var others []int
	for _, class := range g.AntiAffinityClasses {
		for _, other := range classes[class] {
			if other != g.index && !slices.Contains(others, other) {
				others = append(others, other)
			}
		}
	}
	return len(others)
}

// crowding compares how close the group is to others of its classes on two nodes: the fault domain counts first, as in the ranking.
func (p *planner) crowding(g *groupState, a, b *nodeState) int {
	if c := p.sharingDomain(g, a) - p.sharingDomain(g, b); c != 0 {
		return c
	}
	return p.sharing(g, a) - p.sharing(g, b)
}
