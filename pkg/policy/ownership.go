package policy

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/quorate/quorate/pkg/model"
)

// alive says that the owner's life is in the view: it can still act, and it can still answer.
func (p *planner) alive(o model.Owner) bool {
	life, member := p.lives[o.ID]
	return member && life == o.Generation
}

// outlived says that the view has the node in a newer life, which proves that the older one has stopped (rule O3).
func (p *planner) outlived(o model.Owner) bool {
	life, member := p.lives[o.ID]
	return member && life > o.Generation
}

// proven says that an earlier owner cannot harm the group any more (rule O2): a newer life of it is in the view; or it has said,
// in the same life, that it carried out a withdrawal above its epoch (O1); or a later owner has shown it harmless for every
// resource.
func (p *planner) proven(g *model.Group, o model.Owner) bool {
	if p.outlived(o) {
		return true
	}
	for i := range g.Reports {
		r := &g.Reports[i]
		if r.ID == o.ID && r.Generation == o.Generation && r.Released > o.Epoch {
			return true
		}
		if !enforced(RuleSaid) && r.ID == o.ID && r.Generation == o.Generation && g.State == model.GroupOffline {
			return true
		}
		if r.Proven > o.Epoch && ownedAt(g, r) {
			return true
		}
	}
	return false
}

// ownedAt says that the reporter was given the group at the very epoch at which it claims to have proven the earlier owners: a
// claim about an epoch that the assignment does not know (another history, after a restore) counts for nothing.
func ownedAt(g *model.Group, r *model.OwnerReport) bool {
	a := &g.Assignment
	if a.Node != "" && a.ID == r.ID && a.Generation == r.Generation && a.Epoch == r.Proven {
		return true
	}
	return slices.ContainsFunc(a.Unproven, func(o model.Owner) bool {
		return o.ID == r.ID && o.Generation == r.Generation && o.Epoch == r.Proven
	})
}

// unproven returns the entries of the assignment's list that are still without proof; the list itself if that is all of them.
func (p *planner) unproven(g *model.Group) []model.Owner {
	list := g.Assignment.Unproven
	if !slices.ContainsFunc(list, func(o model.Owner) bool { return p.proven(g, o) }) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(o model.Owner) bool { return p.proven(g, o) })
}

// ownersBefore returns everyone who has owned the group until now and is not proven harmless, in order of epoch: the list of the
// assignment, its owner, and whoever runs the group although the assignment does not know (O6).
func (p *planner) ownersBefore(g *model.Group) []model.Owner {
	a := &g.Assignment
	list := slices.Clone(a.Unproven)
	if !enforced(RuleListed) {
		list = nil
	}
	if a.Node != "" {
		list = addOwner(list, model.Owner{Node: a.Node, ID: a.ID, Generation: a.Generation, Epoch: a.Epoch})
	}
	for i := range g.Reports {
		if r := &g.Reports[i]; stranger(g, r) {
			list = addOwner(list, ownerOf(r))
		}
	}
	if p.s.Restored {
		list = p.addUnreported(g, list)
	}
	list = slices.DeleteFunc(list, func(o model.Owner) bool { return p.proven(g, o) })
	slices.SortFunc(list, func(a, b model.Owner) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Generation, b.Generation))
	})
	return orNone(list)
}

// orNone makes every empty list the same.
func orNone(list []model.Owner) []model.Owner {
	if len(list) == 0 {
		return nil
	}
	return list
}

// addUnreported is the end of rule O6: after the API server went back in time, a node that left without having said what it runs
// may run anything.
func (p *planner) addUnreported(g *model.Group, list []model.Owner) []model.Owner {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.member || n.Reported || n.ghost || n.ID == 0 {
			continue
		}
		list = addOwner(list, model.Owner{Node: n.Name, ID: n.ID, Generation: n.Generation, Epoch: knownEpoch(g)})
	}
	return list
}

// addOwner keeps one entry per life of a node, with its highest epoch.
func addOwner(list []model.Owner, o model.Owner) []model.Owner {
	for i := range list {
		if list[i].ID == o.ID && list[i].Generation == o.Generation {
			list[i].Epoch = max(list[i].Epoch, o.Epoch)
			return list
		}
	}
	return append(list, o)
}

func ownerOf(r *model.OwnerReport) model.Owner {
	return model.Owner{Node: r.Node, ID: r.ID, Generation: r.Generation, Epoch: r.Running}
}

// stranger says that a node runs the group at an epoch that the assignment knows nothing of, or that belongs to another node.
func stranger(g *model.Group, r *model.OwnerReport) bool {
	a := &g.Assignment
	switch {
	case r.Running == 0:
		return false
	case r.Running > a.Epoch:
		return true
	}
	return r.Running == a.Epoch && (a.ID != r.ID || a.Generation != r.Generation)
}

// knownEpoch is the highest epoch that anybody knows of for the group (rule O7).
func knownEpoch(g *model.Group) model.Epoch {
	e := max(g.Assignment.Epoch, g.EpochFloor)
	for i := range g.Reports {
		r := &g.Reports[i]
		e = max(e, r.Running, r.Released, r.Floor, r.Proven)
	}
	for i := range g.Members {
		e = max(e, g.Members[i].Epoch)
	}
	return e
}

// nextEpoch returns the epoch of the next assignment, or false, with a note, when there is none left (rule O7: it never wraps).
func (p *planner) nextEpoch(g *groupState) (model.Epoch, bool) {
	e := knownEpoch(g.Group)
	if e >= model.MaxEpoch {
		p.note(g.Key, model.ReasonEpochExhausted, "the group's epochs are used up; delete the group and make it again on new disks")
		return 0, false
	}
	return e + 1, true
}

// assignment makes the next assignment of the group to a node of the view.
func (p *planner) assignment(g *groupState, n *nodeState, reason model.Reason) (model.Assignment, bool) {
	epoch, ok := p.nextEpoch(g)
	if !ok {
		return model.Assignment{}, false
	}
	before := slices.DeleteFunc(p.ownersBefore(g.Group), func(o model.Owner) bool { return o.ID == n.ID && o.Generation == n.life })
	p.occupy(g, n.index)
	g.next = n.index
	return model.Assignment{
		Node: n.Name, ID: n.ID, Generation: n.life, Epoch: epoch, View: p.s.View.ID, Reason: reason, Unproven: orNone(before), Time: p.now,
	}, true
}

// withdrawal makes the assignment that takes the group from its owner (rule O1). target may be nil.
func (p *planner) withdrawal(g *groupState, target *nodeState, reason model.Reason) (model.Assignment, bool) {
	epoch, ok := p.nextEpoch(g)
	if !ok {
		return model.Assignment{}, false
	}
	a := model.Assignment{Epoch: epoch, View: p.s.View.ID, Reason: reason, Unproven: p.ownersBefore(g.Group), Time: p.now}
	g.next = -1
	if target != nil {
		a.Target = target.Name
		p.occupy(g, target.index)
		g.next = target.index
	}
	return a, true
}

// stopping returns a living owner that has not yet released the group, or nil.
func (p *planner) stopping(g *model.Group) *model.Owner {
	for i := range g.Assignment.Unproven {
		if o := &g.Assignment.Unproven[i]; p.alive(*o) && !p.proven(g, *o) {
			return o
		}
	}
	return nil
}

func lifeText(node string, generation model.Generation) string {
	return node + " (generation " + strconv.FormatUint(uint64(generation), 10) + ")"
}
