package policy

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// filter returns the reason for which a node may not have a group, or "".
type filter struct {
	reason  model.Reason
	refuses func(p *planner, g *groupState, n *nodeState) bool
	// message is the sentence for the node, after its name; details may add to it which objects are involved.
	message string
	// ofNode says that the filter looks at the node alone, so that it says the same of every group.
	ofNode bool
	// concerns says that there can be a node that the filter keeps the group from; nil means that there always can.
	concerns func(p *planner, g *groupState) bool
}

// keepFilters are mayKeep: a healthy group stays while none of them speaks. Class, capacity and preference are not among them, so
// that editing those moves nothing that runs (A25).
var keepFilters = []filter{
	{model.ReasonNodeDown, nodeDown, "is not in the quorate view", true, nil},
	{model.ReasonNodeDrained, nodeDrained, "is drained", true, nil},
	{model.ReasonNotPossibleOwner, notPossibleOwner, "is not a possible owner of every resource of the group", false, hasPossibleOwners},
	{model.ReasonDiskNotVisible, diskHidden, "does not see a disk of the group", false, seesDisks},
}

// takeFilters are what mayTake asks for in addition (A20, A22).
var takeFilters = []filter{
	{model.ReasonNodePaused, nodePaused, "is paused", true, nil},
	{model.ReasonMaintenance, nodeInMaintenance, "is in maintenance", true, nil},
	{model.ReasonNodeQuarantined, nodeQuarantined, "is quarantined", true, nil},
	{model.ReasonAgentDisconnected, agentDisconnected, "does not reach the API server", true, nil},
	{model.ReasonUnsafeFencing, unsafeFencing, "has nothing that would stop the group if it hung, and the cluster requires fencing", false, mustBeFenced},
	{model.ReasonImageMissing, imageMissing, "cannot get an image of the group's containers", false, needsImages},
	{model.ReasonInsufficientCapacity, noRoom, "has no room for the group's requests", false, hasRequests},
	{model.ReasonAntiAffinityConflict, antiAffinityConflict, "runs a group of the same anti-affinity class", false, mustBeApart},
}

// groupFilters are those of both that look at the group too.
var groupFilters = slices.DeleteFunc(slices.Concat(keepFilters, takeFilters), func(f filter) bool { return f.ofNode })

func hasPossibleOwners(_ *planner, g *groupState) bool { return g.PossibleOwners != nil }
func seesDisks(p *planner, g *groupState) bool         { return p.disksHidden && len(g.Disks) > 0 }
func needsImages(p *planner, g *groupState) bool       { return p.imagesLacked && len(g.Images) > 0 }
func mustBeFenced(p *planner, _ *groupState) bool      { return p.s.Cluster.RequireFencing }
func hasRequests(_ *planner, g *groupState) bool       { return len(g.Requests) > 0 }
func mustBeApart(p *planner, g *groupState) bool {
	return p.s.Cluster.AntiAffinityRequired && len(g.AntiAffinityClasses) > 0
}

func nodeDown(_ *planner, _ *groupState, n *nodeState) bool { return !n.member }
func nodeDrained(_ *planner, _ *groupState, n *nodeState) bool {
	return n.Availability == model.Drained
}

func notPossibleOwner(_ *planner, g *groupState, n *nodeState) bool {
	return g.PossibleOwners != nil && !slices.Contains(g.PossibleOwners, n.Name)
}

func diskHidden(_ *planner, g *groupState, n *nodeState) bool {
	return slices.ContainsFunc(g.Disks, func(d string) bool { return n.HiddenDisks[d] })
}

// imageMissing does not speak of an image that is on its way: a start waits for that.
func imageMissing(_ *planner, g *groupState, n *nodeState) bool {
	return slices.ContainsFunc(g.Images, func(image string) bool { return n.LackedImages[image] == model.ImageMissing })
}

func nodePaused(_ *planner, _ *groupState, n *nodeState) bool        { return n.Availability == model.Paused }
func nodeInMaintenance(_ *planner, _ *groupState, n *nodeState) bool { return n.Maintenance }
func nodeQuarantined(_ *planner, _ *groupState, n *nodeState) bool   { return n.Quarantined }
func agentDisconnected(_ *planner, _ *groupState, n *nodeState) bool { return !n.Connected }
func noRoom(_ *planner, g *groupState, n *nodeState) bool            { return !fits(g, n) }

// unsafeFencing also keeps a group that has no resources yet from where not every resource could be stopped: what runs is not moved by
// what is added to it (A25), and what is made after the group must not slip in.
func unsafeFencing(p *planner, g *groupState, n *nodeState) bool {
	if !p.s.Cluster.RequireFencing {
		return false
	}
	empty := g.ResourceCount == 0 && g.Mode != model.ModeLoadBalanced && !n.Watchdog && !n.PowerFencing
	return empty || UnsafeFencing(g.Group, n.Node)
}

func antiAffinityConflict(p *planner, g *groupState, n *nodeState) bool {
	return p.s.Cluster.AntiAffinityRequired && p.sharing(g, n) > 0
}

// refusedBy returns the first reason of the list for which the node may not have the group, or "".
func (p *planner) refusedBy(list []filter, g *groupState, n *nodeState) model.Reason {
	for i := range list {
		if list[i].refuses(p, g, n) {
			return list[i].reason
		}
	}
	return ""
}

// isOpen says that nothing which is true of the node for all groups keeps it from taking one.
func (p *planner) isOpen(n *nodeState) bool {
	for _, list := range [][]filter{keepFilters, takeFilters} {
		for i := range list {
			if list[i].ofNode && list[i].refuses(p, nil, n) {
				return false
			}
		}
	}
	return true
}

// mayTake says whether the group may be given to the node now.
func (p *planner) mayTake(g *groupState, n *nodeState) bool {
	return p.refusedBy(keepFilters, g, n) == "" && p.refusedBy(takeFilters, g, n) == ""
}

// concerning returns the filters that look at the group and can keep it from any node: for most groups few of them. It is good until the
// next search.
func (p *planner) concerning(g *groupState) []filter {
	list := p.scratch.filters[:0]
	for i := range groupFilters {
		if groupFilters[i].concerns(p, g) {
			list = append(list, groupFilters[i])
		}
	}
	p.scratch.filters = list
	return list
}

// refusals returns every reason for which the node may not take the group, and a sentence.
func (p *planner) refusals(g *groupState, n *nodeState) (reasons []model.Reason, message string) {
	for _, list := range [][]filter{keepFilters, takeFilters} {
		for i := range list {
			if !list[i].refuses(p, g, n) {
				continue
			}
			if len(reasons) > 0 {
				message += ", "
			}
			reasons = append(reasons, list[i].reason)
			message += list[i].sentence(p, g, n)
		}
		if len(reasons) > 0 && reasons[0] == model.ReasonNodeDown {
			break // what a node that is down could take is of no interest
		}
	}
	if message != "" {
		message = n.Name + " " + message
	}
	return reasons, message
}

// UnsafeFencing is rule O14: nothing would stop the group on the node if the node hung and woke up late. It has neither an armed
// watchdog, nor power that another node can cut, nor, for what has no disk to fence, a kernel that silences its addresses. A group of mode
// LoadBalanced has nothing that two nodes must not have at once.
func UnsafeFencing(g *model.Group, n *model.Node) bool {
	if n.Watchdog || n.PowerFencing || g.ResourceCount == 0 || g.Mode == model.ModeLoadBalanced {
		return false
	}
	return g.NeedsFencing || (len(g.Disks) == 0 && !n.GuardsAddresses)
}

// Released says that nothing of the group is on any node as far as anyone can know: it was never assigned, or it was withdrawn and
// every owner is proven to have stopped. Only then may a finalizer go (O11).
func Released(g *model.Group) bool {
	a := &g.Assignment
	if a.Node != "" || len(a.Unproven) > 0 || len(g.Members) > 0 {
		return false
	}
	return !slices.ContainsFunc(g.Reports, func(r model.OwnerReport) bool { return stranger(g, &r) })
}
