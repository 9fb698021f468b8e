package policy

import (
	"fmt"

	"github.com/quorate/quorate/pkg/model"
)

// epochsUnknown says that an agent knows more of the group's epochs than its assignment does, in a way that must be answered.
func (p *planner) epochsUnknown(g *groupState) bool {
	return p.unknownRunner(g) != nil || p.staleOwner(g)
}

// unknownRunner returns the report of the node that runs the group at an epoch that the assignment does not know, or nil: the
// highest epoch, then the lowest id. A node that has begun a newer life since does not count: what it ran is gone (O3).
func (p *planner) unknownRunner(g *groupState) *model.OwnerReport {
	var best *model.OwnerReport
	for i := range g.Reports {
		r := &g.Reports[i]
		if !stranger(g.Group, r) || p.proven(g.Group, ownerOf(r)) {
			continue
		}
		if best == nil || r.Running > best.Running || (r.Running == best.Running && r.ID < best.ID) {
			best = r
		}
	}
	return best
}

// staleOwner says that the owner found an epoch above its own, on a disk or in its memory: it cannot go on with its own (O20). So it is
// with a group that has got a resource which another group had at a higher epoch (O7).
func (p *planner) staleOwner(g *groupState) bool {
	if g.owner < 0 || !p.ownerLives(g) {
		return false
	}
	if g.EpochElsewhere >= g.Assignment.Epoch {
		return true // an equal epoch is not above the other group's
	}
	for i := range g.Reports {
		r := &g.Reports[i]
		if r.ID == g.Assignment.ID && r.Generation == g.Assignment.Generation && max(r.Floor, r.Released) > g.Assignment.Epoch {
			return true
		}
	}
	return false
}

// adoptStep answers what agents report that the API does not know, as after the restore of an older backup: whoever runs the group
// at the highest epoch keeps it, at a higher one, without a restart (O6).
func (p *planner) adoptStep() {
	for _, i := range p.todo[stepAdopt] {
		g := &p.groups[i]
		r := p.unknownRunner(g)
		if r == nil {
			why := fmt.Sprintf("%s found an epoch above %d", g.Assignment.Node, g.Assignment.Epoch)
			if g.EpochElsewhere >= g.Assignment.Epoch {
				why = fmt.Sprintf("a resource that was moved here had epoch %d in its old group", g.EpochElsewhere)
			}
			p.raiseEpoch(g, why)
			continue
		}
		node, known := p.byID[r.ID]
		switch {
		case r.Running == g.Assignment.Epoch && g.owner >= 0 && p.ownerLives(g) && p.ownerRuns(g):
			p.raiseEpoch(g, fmt.Sprintf("%s runs the group at the same epoch %d", r.Node, r.Running))
		case known && p.alive(ownerOf(r)):
			p.adopt(g, &p.nodes[node], r)
		case g.owner >= 0 && p.ownerLives(g):
			p.raiseEpoch(g, fmt.Sprintf("%s, which is not in the view, ran the group at epoch %d", r.Node, r.Running))
		default:
			p.recordLost(g, r)
		}
	}
}

func (p *planner) ownerRuns(g *groupState) bool {
	for i := range g.Reports {
		r := &g.Reports[i]
		if r.ID == g.Assignment.ID && r.Generation == g.Assignment.Generation {
			return r.Running == g.Assignment.Epoch
		}
	}
	return false
}

func (p *planner) adopt(g *groupState, n *nodeState, r *model.OwnerReport) {
	a, ok := p.assignment(g, n, model.ReasonAdopted)
	if !ok {
		return
	}
	p.decide(g, Decision{
		Kind: Assign, Reason: a.Reason, Assignment: a, From: g.Assignment.Node,
		Note: fmt.Sprintf("%s runs the group at epoch %d, which the API did not know; it keeps it", lifeText(n.Name, n.life), r.Running),
	})
}

// raiseEpoch gives the group to its owner once more, above everything that is known.
func (p *planner) raiseEpoch(g *groupState, why string) {
	a, ok := p.assignment(g, &p.nodes[g.owner], model.ReasonEpochRaised)
	if !ok {
		return
	}
	p.decide(g, Decision{Kind: Assign, Reason: a.Reason, Assignment: a, From: g.Assignment.Node, Note: why})
}

// recordLost writes down that a node that is gone ran the group, so that whoever gets it next asks for proof of it (O2).
func (p *planner) recordLost(g *groupState, r *model.OwnerReport) {
	a, ok := p.withdrawal(g, nil, model.ReasonAdopted)
	if !ok {
		return
	}
	a.Target = g.Assignment.Target
	p.decide(g, Decision{
		Kind: Withdraw, Reason: a.Reason, Assignment: a, From: g.Assignment.Node, Unplanned: true,
		Note: fmt.Sprintf("%s, which is not in the view, ran the group at epoch %d, which the API did not know", r.Node, r.Running),
	})
}
