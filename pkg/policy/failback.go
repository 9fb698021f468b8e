package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// failbackConceivable is the cheap test in triage: the group is not where it would rather be, and its policy does not say never.
func (p *planner) failbackConceivable(g *groupState) bool {
	if g.Invalid != "" {
		return false
	}
	if p.resumed(g) != nil {
		return true
	}
	if neverBack(g.Group) {
		return false
	}
	if len(g.PreferredOwners) > 0 && g.PreferredOwners[0] != g.Assignment.Node {
		return true
	}
	return len(g.AntiAffinityClasses) > 0
}

// neverBack says that the group's policy is never to fail back, which is the default.
func neverBack(g *model.Group) bool {
	return g.Failback.Policy == "" || g.Failback.Policy == model.FailbackNever
}

// failbackStep sends healthy groups home, two steps like every planned move. Groups of lower priority come last, so that of those
// that were forced together the less important one moves away.
func (p *planner) failbackStep() {
	for _, i := range p.todo[stepFailback] {
		p.failback(&p.groups[i])
		p.settleLater(&p.groups[i])
	}
}

func (p *planner) failback(g *groupState) {
	if !p.well(g) || !p.nodes[g.owner].Connected {
		return
	}
	n, due := p.home(g)
	if n == nil {
		return
	}
	if due.After(p.now) {
		p.lookAgain(due)
		note := p.result.Groups[g.Key]
		note.NextFailback = due
		p.result.Groups[g.Key] = note
		return
	}
	a, ok := p.withdrawal(g, n, model.ReasonFailback)
	if !ok {
		return
	}
	p.decide(g, Decision{
		Kind: Withdraw, Reason: a.Reason, Assignment: a, From: g.Assignment.Node, Placed: p.displaced(g),
		Note: fmt.Sprintf("%s may take the group again", n.Name),
	})
}

// well says that the group has come up where it is. An empty group is always well.
func (p *planner) well(g *groupState) bool {
	return g.State == model.GroupOnline || g.State == model.GroupPartialOnline || g.ResourceCount == 0
}

// home returns the node that the group should be failed back to and when that is due; nil when it should stay.
func (p *planner) home(g *groupState) (*nodeState, time.Time) {
	if n := p.resumed(g); n != nil && p.welcomes(g, n) {
		return n, time.Time{}
	}
	if neverBack(g.Group) {
		return nil, time.Time{}
	}
	var best *nodeState
	var soonest time.Time
	for _, name := range g.PreferredOwners {
		if name == g.Assignment.Node {
			break
		}
		i, ok := p.byName[name]
		if !ok || !p.welcomes(g, &p.nodes[i]) || !p.operatorAllows(g, &p.nodes[i]) || p.keptAway(g, &p.nodes[i]) {
			continue
		}
		due := p.failbackDue(g, &p.nodes[i])
		if !due.After(p.now) {
			return &p.nodes[i], due
		}
		if best == nil || due.Before(soonest) {
			best, soonest = &p.nodes[i], due
		}
	}
	if best != nil {
		return best, soonest
	}
	return p.apart(g)
}

// resumed returns the node that the group was drained from if that node takes its groups back at once, or nil.
func (p *planner) resumed(g *groupState) *nodeState {
	if g.DrainedFrom == "" || g.DrainedFrom == g.Assignment.Node || g.PlacedByOperator {
		return nil
	}
	i, ok := p.byName[g.DrainedFrom]
	if !ok || p.nodes[i].FailbackOnResume != model.ResumeImmediate || p.nodes[i].Availability != model.Available {
		return nil
	}
	return &p.nodes[i]
}

// keptAway says that the group was drained from the node, and that the node takes nothing back when it is resumed.
func (p *planner) keptAway(g *groupState, n *nodeState) bool {
	return g.DrainedFrom == n.Name && n.FailbackOnResume == model.ResumeNone
}

// welcomes says that the group may go to the node, would not share it or its fault domain with more groups of its class than now, and
// has not failed there within its period. A death of the node does not count.
func (p *planner) welcomes(g *groupState, n *nodeState) bool {
	if !p.mayTake(g, n) || p.crowding(g, n, &p.nodes[g.owner]) > 0 {
		return false
	}
	forgotten := time.Time{}
	for i := range g.Failures {
		f := &g.Failures[i]
		if f.Kind == model.FailureResource && f.Node == n.Name && p.recent(g, f) {
			if t := f.Time.Add(g.FailoverPeriod); t.After(forgotten) {
				forgotten = t
			}
		}
	}
	p.lookAgain(forgotten)
	return forgotten.IsZero()
}

// operatorAllows says that no operator's move holds the group where it is: one holds until the more preferred node rejoins.
func (p *planner) operatorAllows(g *groupState, n *nodeState) bool {
	return !g.PlacedByOperator || n.JoinedAt.After(g.PlacedAt)
}

// failbackDue is when the group may return to the node: Delay after both had settled, and within the window.
func (p *planner) failbackDue(g *groupState, n *nodeState) time.Time {
	settled := g.Assignment.Time
	if n.JoinedAt.After(settled) {
		settled = n.JoinedAt
	}
	due := settled.Add(g.Failback.Delay)
	if due.Before(p.now) {
		due = p.now
	}
	return nextOpening(g.Failback, due)
}

// apart separates groups that share a class and were forced together on a node or in a fault domain, when the policy of the one that moves allows it. Of several,
// the last in order of priority and name moves. As with every failback, preferred owners say where to (A27).
func (p *planner) apart(g *groupState) (*nodeState, time.Time) {
	here := &p.nodes[g.owner]
	if p.sharing(g, here)+p.sharingDomain(g, here) == 0 || len(g.PreferredOwners) == 0 || g.PlacedByOperator || p.laterSharer(g, here) {
		return nil, time.Time{}
	}
	n, _ := p.find(g, search{occasion: firstPlacement, from: -1, exclude: g.owner, reason: model.ReasonAntiAffinityConflict})
	if n == nil || p.crowding(g, n, here) >= 0 || !p.welcomes(g, n) || p.keptAway(g, n) {
		return nil, time.Time{}
	}
	return n, p.failbackDue(g, n)
}

// laterSharer says that another group of the class on the node, or if there is none in its fault domain, comes later in order and may
// move away itself.
func (p *planner) laterSharer(g *groupState, here *nodeState) bool {
	classes, near := here.classes, func(o *groupState) bool { return o.owner == here.index }
	if p.sharing(g, here) == 0 {
		classes, near = p.domains[here.domain], func(o *groupState) bool { return o.owner >= 0 && p.nodes[o.owner].domain == here.domain }
	}
	for _, class := range g.AntiAffinityClasses {
		if slices.ContainsFunc(classes[class], func(i int) bool {
			o := &p.groups[i]
			return near(o) && byPriority(g.Group, o.Group) < 0 && !o.PlacedByOperator && len(o.PreferredOwners) > 0 && !neverBack(o.Group)
		}) {
			return true
		}
	}
	return false
}
