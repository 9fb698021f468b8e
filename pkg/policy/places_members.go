package policy

import "github.com/quorate/quorate/pkg/model"

// indexMembers finds the nodes of a group of mode LoadBalanced.
func (p *planner) indexMembers(g *groupState) {
	g.seats = make([]int, len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		g.seats[i] = p.nodeIndex(m.ID, m.Node)
		if g.seats[i] < 0 {
			g.seats[i] = p.addGhost(model.Assignment{Node: m.Node, ID: m.ID})
		}
	}
}

// placeMembersKnown counts a group on every living node that has it, or is still taking it offline.
func (p *planner) placeMembersKnown(g *groupState) {
	for i := range g.Members {
		if p.alive(g.Members[i].Owner()) {
			p.occupy(g, g.seats[i])
		}
	}
	for i := range g.Reports { // it may be on nodes that the API has lost the entries of (O6)
		r := &g.Reports[i]
		if at, ok := p.byID[r.ID]; ok && r.Running > 0 && p.alive(ownerOf(r)) {
			p.occupy(g, at)
		}
	}
}

// assigned says that some node is to have the group, whether or not it lives.
func (p *planner) assigned(g *groupState) bool {
	if g.owner >= 0 {
		return true
	}
	for i := range g.Members {
		if !g.Members[i].Withdrawn {
			return true
		}
	}
	return false
}

// runsSomewhere says that a living node is to have the group.
func (p *planner) runsSomewhere(g *groupState) bool {
	if g.owner >= 0 && p.ownerLives(g) {
		return true
	}
	for i := range g.Members {
		if m := &g.Members[i]; !m.Withdrawn && p.alive(m.Owner()) {
			return true
		}
	}
	return false
}

// stillStops says that a living node has not finished taking the group offline.
func (p *planner) stillStops(g *groupState) bool {
	if p.stopping(g.Group) != nil {
		return true
	}
	for i := range g.Members {
		if m := &g.Members[i]; m.Withdrawn && p.alive(m.Owner()) {
			return true
		}
	}
	return false
}

// servesAnywhere says that some living member of the group is online: clients are served.
func (p *planner) servesAnywhere(g *groupState) bool {
	for i := range g.Members {
		if m := &g.Members[i]; !m.Withdrawn && p.alive(m.Owner()) && serving(g, m) {
			return true
		}
	}
	return false
}

// serving says that the member has all that it is to have.
func serving(g *groupState, m *model.GroupMember) bool {
	return m.State == model.GroupOnline || g.ResourceCount == 0
}
