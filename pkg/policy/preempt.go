package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// offer is a node that would have room for a group once others have left it, with what that costs.
type offer struct {
	ranked
	// victims are those that have to be displaced; none when enough is on its way out already.
	victims []victim
	// leaving are the groups that are on their way out anyway.
	leaving []*groupState
	// cost is, in this order: the highest priority that is taken offline, how many are, the highest priority that is moved, how many
	// are. The lower is the better.
	cost [4]int
}

// victim is a group of lower priority that has to make room.
type victim struct {
	*groupState
	// to is where it goes; nil when no other node may take it and it is taken offline.
	to *nodeState
}

// makeRoom is preemption: a group that is nowhere, and that no node has room for, displaces groups of lower priority. It takes the
// room that is being made, so that nobody else does, and waits until it is there. It says whether there is, or will be, any.
func (p *planner) makeRoom(g *groupState, s search) bool {
	if !p.s.Cluster.Preempt {
		return false
	}
	var best *offer
	for i := range p.nodes {
		n := &p.nodes[i]
		if !p.lacksOnlyRoom(g, n) {
			continue
		}
		o := p.offer(g, n)
		if o == nil {
			continue
		}
		o.node = n
		o.rank(p, g, &s)
		if best == nil || cmp.Or(slices.Compare(o.cost[:], best.cost[:]), o.compare(&best.ranked)) < 0 {
			best = o
		}
	}
	if best == nil {
		return false
	}
	for _, v := range best.victims {
		p.displace(v, g, best.node)
		best.leaving = append(best.leaving, v.groupState)
	}
	p.occupy(g, best.node.index)
	g.next = best.node.index
	slices.SortFunc(best.leaving, func(a, b *groupState) int { return byPriority(a.Group, b.Group) })
	var names []string
	for _, l := range best.leaving {
		names = append(names, l.Key.String())
	}
	p.waits(g, model.ReasonWaitingForRoom, fmt.Sprintf("room is made on %s: it waits for %s to leave", best.node.Name, few(names, ", ")))
	return true
}

// displace takes a victim from the node, two steps like every planned move.
func (p *planner) displace(v victim, g *groupState, n *nodeState) {
	a, ok := p.withdrawal(v.groupState, v.to, model.ReasonPreempted)
	if !ok {
		return
	}
	fate := "it is taken offline until a node has room for it"
	if v.to != nil {
		fate = "it goes to " + v.to.Name
	}
	p.decide(v.groupState, Decision{
		Kind: Withdraw, Reason: a.Reason, Assignment: a, From: n.Name, Placed: p.displaced(v.groupState), FailedSince: p.clearFailed(v.groupState),
		Note: fmt.Sprintf("%s, which has priority %d, needs the room on %s; %s", g.Key, g.Priority, n.Name, fate),
	})
}

// lacksOnlyRoom says that capacity is all that keeps the group from the node.
func (p *planner) lacksOnlyRoom(g *groupState, n *nodeState) bool {
	for _, list := range [][]filter{keepFilters, takeFilters} {
		for i := range list {
			if list[i].refuses(p, g, n) != (list[i].reason == model.ReasonInsufficientCapacity) {
				return false
			}
		}
	}
	return true
}

// offer says what the node could do for the group; nil when the group would not fit even if every lower priority had gone.
func (p *planner) offer(g *groupState, n *nodeState) *offer {
	o := &offer{}
	lack := p.lack(g, n, o)
	if len(lack) == 0 {
		return o
	}
	var movable, stoppable []victim
	for _, i := range p.residentsOf(n) {
		r := &p.groups[i]
		if !p.displaceable(r, g, n) || !lack.helps(r) {
			continue
		}
		if p.elsewhere(r, n) != nil {
			movable = append(movable, victim{groupState: r})
		}
		if p.runningDependent(r) == nil {
			stoppable = append(stoppable, victim{groupState: r})
		}
	}
	// Where it is enough to move others away, nobody is taken offline.
	for _, choice := range [][]victim{fewest(movable, lack), fewest(stoppable, lack)} {
		if len(choice) == 0 {
			continue
		}
		o.victims = choice
		p.tryMoves(o, n)
		if !slices.ContainsFunc(choice, func(v victim) bool { return v.to == nil && p.runningDependent(v.groupState) != nil }) {
			return o
		}
	}
	return nil
}

// tryMoves finds a node for every victim that another node may take, all of them at once, and works out the cost.
func (p *planner) tryMoves(o *offer, n *nodeState) {
	o.cost = [4]int{}
	for i := range o.victims {
		v := &o.victims[i]
		at := 0
		if v.to = p.elsewhere(v.groupState, n); v.to != nil {
			p.occupy(v.groupState, v.to.index)
			at = 2
		}
		o.cost[at] = max(o.cost[at], v.Priority)
		o.cost[at+1]++
	}
	for _, v := range o.victims {
		if v.to != nil {
			p.vacate(v.groupState, v.to.index)
		}
	}
}

// elsewhere is the best other node for a group that has to leave the node, or nil.
func (p *planner) elsewhere(g *groupState, from *nodeState) *nodeState {
	s := search{occasion: drained, from: from.index, exclude: -1}
	var best ranked
	for i := range p.nodes {
		n := &p.nodes[i]
		if n == from || !p.mayTake(g, n) {
			continue
		}
		r := ranked{node: n}
		if r.rank(p, g, &s); best.node == nil || r.compare(&best) < 0 {
			best = r
		}
	}
	return best.node
}

// displaceable says that the group runs on the node and may be asked to make room: it is less important, nobody has forbidden to touch
// it, it could be started again, and the other one does not depend on it.
func (p *planner) displaceable(r, g *groupState, n *nodeState) bool {
	return r.owner == n.index && r.next == n.index && !r.decided && p.ownerLives(r) && r.Priority < g.Priority &&
		r.Mode == model.ModeFailover && r.Invalid == "" && !p.frozenQuietly(r) && !p.viewTooOld(r) && p.stopReason(r) == "" &&
		knownEpoch(r.Group) < model.MaxEpoch && !p.dependsOn(g, r, nil)
}

// shortage is how much of what is missing, by name.
type shortage map[string]int64

// lack is what the node is short of for the group, those not counted that are on their way out; it puts them down in the offer.
func (p *planner) lack(g *groupState, n *nodeState, o *offer) shortage {
	lack := shortage{}
	for i := range n.limits {
		l := &n.limits[i]
		if missing := l.missing(g, false); missing > 0 {
			lack[l.name] = missing
		}
	}
	for _, i := range p.residentsOf(n) {
		r := &p.groups[i]
		leaves := r.Mode == model.ModeFailover && r.next != n.index || p.stopReason(r) != "" && !p.frozenQuietly(r)
		if i != g.index && leaves && lack.helps(r) {
			lack = lack.without(r)
			o.leaving = append(o.leaving, r)
		}
	}
	return lack
}

// helps says that there would be less of the shortage without the group.
func (s shortage) helps(r *groupState) bool {
	for name := range s {
		if r.Requests[name] > 0 {
			return true
		}
	}
	return false
}

// without is what is left of the shortage when the group has gone.
func (s shortage) without(r *groupState) shortage {
	left := shortage{}
	for name, amount := range s {
		if amount > r.Requests[name] {
			left[name] = amount - r.Requests[name]
		}
	}
	return left
}

// share is how much of the shortage the group would take away, in millionths of each name.
func (s shortage) share(whole shortage, r *groupState) (share int64) {
	for name, amount := range s {
		share += int64(float64(min(amount, r.Requests[name])) * 1e6 / float64(whole[name]))
	}
	return share
}

// residentsOf are the groups that are on the node, may still be, or are about to be.
func (p *planner) residentsOf(n *nodeState) []int {
	if p.residents == nil {
		p.residents = make([][]int, len(p.nodes))
		for i := range p.groups {
			for _, place := range p.groups[i].places {
				p.residents[place] = append(p.residents[place], i)
			}
		}
		for i := range p.residents {
			p.sortByPriority(p.residents[i])
		}
	}
	return p.residents[n.index]
}
