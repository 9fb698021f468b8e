package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/pkg/model"
)

// indexGroups finds the owner of every group.
func (p *planner) indexGroups() {
	p.groups = make([]groupState, len(p.s.Groups))
	depends := false
	for i := range p.s.Groups {
		g := &p.groups[i]
		g.Group, g.index, g.owner, g.next, g.left = &p.s.Groups[i], i, -1, -1, -1
		g.places = g.room[:0]
		depends = depends || len(g.DependsOn) > 0
		switch {
		case g.Mode == model.ModeLoadBalanced:
			p.indexMembers(g)
		case g.Assignment.Node != "":
			g.owner = p.nodeIndex(g.Assignment.ID, g.Assignment.Node)
			if g.owner < 0 {
				g.owner = p.addGhost(g.Assignment)
			}
		}
	}
	if depends {
		p.indexDependencies()
	}
}

// countPlaces puts every group on the nodes where it is, may still be, or is about to be.
func (p *planner) countPlaces() {
	for i := range p.groups {
		p.ask(&p.groups[i])
		p.placeKnown(&p.groups[i])
	}
}

// ask looks up once what the group asks for of what is limited anywhere: every search compares it with every node.
func (p *planner) ask(g *groupState) {
	if g.asks != nil || len(p.limited) == 0 || len(g.Requests) == 0 {
		return
	}
	if p.asked == nil {
		p.asked = make([]int64, len(p.groups)*len(p.limited))
	}
	g.asks = p.asked[g.index*len(p.limited) : (g.index+1)*len(p.limited)]
	for i, name := range p.limited {
		g.asks[i] = g.Requests[name]
	}
}

func (p *planner) indexNodes() {
	p.lives = make(map[model.NodeID]model.Generation, len(p.s.View.Members))
	for _, m := range p.s.View.Members {
		p.lives[m.ID] = m.Member.Generation
	}
	p.nodes = make([]nodeState, len(p.s.Nodes))
	for i := range p.s.Nodes {
		n := &p.s.Nodes[i]
		life, member := p.lives[n.ID]
		p.nodes[i] = nodeState{Node: n, member: member && n.ID != 0, life: life}
	}
	slices.SortFunc(p.nodes, func(a, b nodeState) int {
		if a.ID != b.ID {
			return int(a.ID) - int(b.ID)
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	p.byName, p.byID = make(map[string]int, len(p.nodes)), make(map[model.NodeID]int, len(p.nodes))
	p.indexDomains()
	for i := range p.nodes {
		p.nodes[i].index = i
		p.nodes[i].measure()
		p.nodes[i].open = p.isOpen(&p.nodes[i])
		p.disksHidden = p.disksHidden || len(p.nodes[i].HiddenDisks) > 0
		p.imagesLacked = p.imagesLacked || len(p.nodes[i].LackedImages) > 0
		p.byName[p.nodes[i].Name] = i
		p.byID[p.nodes[i].ID] = i
		p.known = append(p.known, nodeID{p.nodes[i].Name, p.nodes[i].ID})
	}
	p.indexLimits()
}

func (p *planner) nodeIndex(id model.NodeID, name string) int {
	if i, ok := p.byID[id]; ok && p.nodes[i].Name == name {
		return i
	}
	return -1
}

// addGhost makes room for an owner whose Node object is gone. It takes nothing; what it has leaves it as if it were drained.
func (p *planner) addGhost(a model.Assignment) int {
	i := slices.IndexFunc(p.nodes, func(n nodeState) bool { return n.ghost && n.Name == a.Node && n.ID == a.ID })
	if i < 0 {
		i = len(p.nodes)
		life, member := p.lives[a.ID]
		n := &model.Node{Name: a.Node, ID: a.ID, Generation: life, Availability: model.Drained, Connected: member}
		p.nodes = append(p.nodes, nodeState{Node: n, index: i, life: life, member: member, ghost: true})
	}
	return i
}

// placeKnown counts a group where it is before any decision: on its owner, on living earlier owners that have not released it
// (it may still be there), and on the node that it is on its way to.
func (p *planner) placeKnown(g *groupState) {
	if g.Mode == model.ModeLoadBalanced {
		p.placeMembersKnown(g)
		return
	}
	if g.owner >= 0 && p.ownerLives(g) {
		p.occupy(g, g.owner)
		g.next = g.owner
	}
	for _, o := range g.Assignment.Unproven {
		if p.alive(o) && !p.proven(g.Group, o) {
			if i, ok := p.byID[o.ID]; ok {
				p.occupy(g, i)
			}
		}
	}
	if g.Assignment.Target != "" {
		if i, ok := p.byName[g.Assignment.Target]; ok {
			p.occupy(g, i)
			g.next = i
		}
	}
}

// occupy counts the group on the node, once.
func (p *planner) occupy(g *groupState, node int) {
	if slices.Contains(g.places, node) {
		return
	}
	g.places = append(g.places, node)
	n := &p.nodes[node]
	if g.Mode != model.ModeLoadBalanced {
		n.count++ // what every node has says nothing of how busy one is, nor makes a standby an owner
	}
	if len(g.Requests) > 0 {
		for i := range n.limits {
			n.limits[i].used += g.asks[n.limits[i].at]
		}
	}
	for _, class := range g.AntiAffinityClasses {
		if n.classes == nil {
			n.classes = make(map[string][]int)
		}
		n.classes[class] = append(n.classes[class], g.index)
	}
	p.enterDomain(g, n)
	if list := p.arrivals[g.left]; list != nil && node != g.left {
		list[node]++
	}
}

// vacate takes back occupy, for a group that was only tried there because of what it asks for.
func (p *planner) vacate(g *groupState, node int) {
	g.places = slices.DeleteFunc(g.places, func(i int) bool { return i == node })
	n := &p.nodes[node]
	n.count--
	for i := range n.limits {
		n.limits[i].used -= g.asks[n.limits[i].at]
	}
	for _, class := range g.AntiAffinityClasses {
		n.classes[class] = without(n.classes[class], g.index)
	}
	p.leaveDomain(g, n)
}

// without removes the last occurrence of an index.
func without(list []int, index int) []int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == index {
			return slices.Delete(list, i, i+1)
		}
	}
	return list
}

// measure makes the list of what the node has a limited amount of, by name.
func (n *nodeState) measure() {
	for name, amount := range n.Capacity {
		n.limits = append(n.limits, limit{name: name, amount: amount, used: n.Reserved[name]})
	}
	slices.SortFunc(n.limits, func(a, b limit) int { return strings.Compare(a.name, b.name) })
}

// indexLimits makes the list of all names that some node has a limited amount of.
func (p *planner) indexLimits() {
	places := map[string]int{}
	for i := range p.nodes {
		for name := range p.nodes[i].Capacity {
			places[name] = 0
		}
	}
	p.limited = slices.Sorted(maps.Keys(places))
	for at, name := range p.limited {
		places[name] = at
	}
	for i := range p.nodes {
		for j := range p.nodes[i].limits {
			p.nodes[i].limits[j].at = places[p.nodes[i].limits[j].name]
		}
	}
}

// largestShare is the largest share of the node's capacity that is reserved or that its groups request, in millionths, the group
// itself left out.
func largestShare(g *groupState, n *nodeState) (share int64) {
	here := len(g.Requests) > 0 && slices.Contains(g.places, n.index)
	for i := range n.limits {
		l := &n.limits[i]
		used := l.used
		if here {
			used -= g.asks[l.at]
		}
		if l.amount > 0 {
			share = max(share, int64(float64(used)*1e6/float64(l.amount)))
		}
	}
	return share
}

// fits says whether the node has room for the group. A resource that the node gives no capacity for is unlimited.
func fits(g *groupState, n *nodeState) bool {
	if len(g.Requests) == 0 {
		return true
	}
	here := slices.Contains(g.places, n.index)
	for i := range n.limits {
		if n.limits[i].missing(g, here) > 0 {
			return false
		}
	}
	return true
}

// missing is how much less the node has of the resource than the group asks for; 0 when it has enough. here says that the group is
// counted on the node already.
func (l *limit) missing(g *groupState, here bool) int64 {
	if len(g.Requests) == 0 {
		return 0
	}
	asked := g.asks[l.at]
	if asked <= 0 {
		return 0
	}
	return max(0, l.usedByOthers(asked, here)+asked-l.amount)
}

// usedByOthers is what is used of the resource without the group, which asks for as much.
func (l *limit) usedByOthers(asked int64, here bool) int64 {
	if here {
		return l.used - asked
	}
	return l.used
}

func (p *planner) indexDependencies() {
	p.byKey, p.dependents = make(map[model.GroupKey]int, len(p.groups)), map[int][]int{}
	for i := range p.groups {
		p.byKey[p.groups[i].Key] = i
	}
	for i := range p.groups {
		for _, key := range p.groups[i].DependsOn {
			if provider, ok := p.byKey[key]; ok {
				p.dependents[provider] = append(p.dependents[provider], i)
			}
		}
	}
}
