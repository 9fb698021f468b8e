package policy

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// occasion is why a node is looked for. It decides which ranks speak and how.
type occasion int

const (
	firstPlacement occasion = iota // also: wanted online again
	nodeRestarted                  // the owner is back in a newer life; so is everyone after a restart of the cluster
	nodeFailed
	resourceFailed
	drained
	moveToBest
)

// failure says that the node list is walked down from the owner that failed, not from its top (A18, A19).
func (o occasion) failure() bool { return o == nodeFailed || o == resourceFailed }

// leaves says that a failure or a drain takes the group from its node.
func (s *search) leaves() bool { return s.occasion.failure() || s.occasion == drained }

// search is one search for a node.
type search struct {
	occasion occasion
	// from is the index of the node that the group leaves or has left; -1 when there is none.
	from int
	// exclude is the index of a node that is no candidate, with the reason; -1 when there is none.
	exclude int
	reason  model.Reason
	// order is the place of each node in the group's node list.
	order []int64
	// speaking are the places in ranks of those that speak in this search; nil until the first node is ranked.
	speaking []int
	room     [numRanks]int
}

// rank is a number for a node; the lower is the better. The first rank that differs decides.
type rank func(p *planner, g *groupState, n *nodeState, s *search) int64

// ranking is a rank with what else there is to say of it.
type ranking struct {
	of rank
	// speaks says that the rank can be another for each node; one that does not is 0 for all.
	speaks func(p *planner, g *groupState, s *search) bool
	// because is why a node comes before another one, after the node's name.
	because string
}

// numRanks is how many ranks there are.
const numRanks = 11

// ranks is the ranking of DESIGN section 6, in its order. A list of preferred owners gives every node a place of its own, so that what
// comes after it in the ranking is not asked.
var ranks = [numRanks]ranking{
	{imagesAwaited, needImages, "has the images of the group's containers"},
	{sharedDomain, hasDomains, "has fewer groups of the same anti-affinity class in its fault domain"},
	{sharedClasses, hasClasses, "has fewer groups of the same anti-affinity class"},
	{failuresHere, afterResource, "has seen fewer failures of the group"},
	{listOrder, hasList, "comes before it in the group's list"},
	{previousOwner, afterRestart, "is where the group was"},
	{roleInEffect, hasNoList, "comes before it by its role in effect"},
	{requestedShare, hasNoList, "has a smaller share of its capacity in use"},
	{groupCount, hasNoList, "has fewer groups"},
	{staysPut, movesToBest, "is where the group is"},
	{lowestID, hasNoList, "has the lower id"},
}

func hasDomains(p *planner, g *groupState, _ *search) bool {
	return p.domains != nil && len(g.AntiAffinityClasses) > 0
}
func needImages(p *planner, g *groupState, _ *search) bool    { return needsImages(p, g) }
func hasClasses(_ *planner, g *groupState, _ *search) bool    { return len(g.AntiAffinityClasses) > 0 }
func afterResource(_ *planner, _ *groupState, s *search) bool { return s.occasion == resourceFailed }
func hasList(_ *planner, g *groupState, _ *search) bool       { return len(g.PreferredOwners) > 0 }
func hasNoList(_ *planner, g *groupState, _ *search) bool     { return len(g.PreferredOwners) == 0 }
func afterRestart(_ *planner, g *groupState, s *search) bool {
	return s.occasion == nodeRestarted && len(g.PreferredOwners) == 0
}
func movesToBest(_ *planner, g *groupState, s *search) bool {
	return s.occasion == moveToBest && len(g.PreferredOwners) == 0
}

// imagesAwaited is rank 0: a container starts at once where its image is, and elsewhere when that has been fetched.
func imagesAwaited(_ *planner, g *groupState, n *nodeState, _ *search) int64 {
	for _, image := range g.Images {
		if n.LackedImages[image] != "" {
			return 1
		}
	}
	return 0
}

// sharedDomain is the first half of rank 1: fewer groups of the same anti-affinity class in the node's fault domain.
func sharedDomain(p *planner, g *groupState, n *nodeState, _ *search) int64 {
	return int64(p.sharingDomain(g, n))
}

// sharedClasses is the other half: fewer of them on the node itself.
func sharedClasses(p *planner, g *groupState, n *nodeState, _ *search) int64 {
	return int64(p.sharing(g, n))
}

// failuresHere is rank 2, on a resource failure only: fewer resource failures of the group on the node within its period.
func failuresHere(p *planner, g *groupState, n *nodeState, _ *search) int64 {
	return int64(p.failures(g, n.Name))
}

// listOrder is rank 3: the preferred owners in order, then the others by id; on a failure counted on from the owner that failed,
// wrapping round (A18), else from the top (A19).
func listOrder(p *planner, g *groupState, n *nodeState, s *search) int64 {
	if s.order == nil {
		s.order = p.nodeList(g)
	}
	at := s.order[n.index]
	if !s.occasion.failure() || s.from < 0 {
		return at
	}
	count := int64(len(s.order))
	return (at - s.order[s.from] - 1 + count) % count
}

// nodeList gives every node its place in the group's node list.
func (p *planner) nodeList(g *groupState) []int64 {
	order := make([]int64, len(p.nodes))
	next := int64(1) // 0 means not placed yet
	for _, name := range g.PreferredOwners {
		if i, ok := p.byName[name]; ok && order[i] == 0 {
			order[i] = next
			next++
		}
	}
	for i := range p.nodes {
		if order[i] == 0 {
			order[i] = next
			next++
		}
	}
	return order
}

// previousOwner lets a group without preferred owners come back to where it was when its node, or the whole cluster, restarted.
func previousOwner(_ *planner, _ *groupState, n *nodeState, s *search) int64 {
	if n.index == s.from {
		return 0
	}
	return 1
}

// roleInEffect is the first half of rank 4: on a failure or a drain, nodes that act as standby come first; otherwise nodes of role
// Active.
func roleInEffect(p *planner, g *groupState, n *nodeState, s *search) int64 {
	standby := n.Role == model.RoleStandby
	if s.leaves() {
		standby = !p.actsAsStandby(g, n, s.from)
	}
	if standby {
		return 1
	}
	return 0
}

// requestedShare and groupCount are the lowest load, the second half of rank 4.
func requestedShare(_ *planner, g *groupState, n *nodeState, _ *search) int64 {
	return largestShare(g, n)
}

func groupCount(_ *planner, g *groupState, n *nodeState, _ *search) int64 {
	if slices.Contains(g.places, n.index) && g.Mode != model.ModeLoadBalanced {
		return int64(n.count - 1)
	}
	return int64(n.count)
}

// staysPut keeps a move to "best" from moving a group to a node that is no better than its own.
func staysPut(_ *planner, _ *groupState, n *nodeState, s *search) int64 {
	if n.index == s.from {
		return 0
	}
	return 1
}

// lowestID is rank 5. The nodes are in order of their ids.
func lowestID(_ *planner, _ *groupState, n *nodeState, _ *search) int64 { return int64(n.index) }

// ranked is a node that may take the group, with its ranks.
type ranked struct {
	node *nodeState
	by   [numRanks]int64
}

func (r *ranked) compare(other *ranked) int { return slices.Compare(r.by[:], other.by[:]) }

// rank fills in the ranks that speak.
func (r *ranked) rank(p *planner, g *groupState, s *search) {
	if s.speaking == nil {
		s.speaking = s.room[:0]
		for i := range ranks {
			if ranks[i].speaks(p, g, s) {
				s.speaking = append(s.speaking, i)
			}
		}
	}
	for _, i := range s.speaking {
		r.by[i] = ranks[i].of(p, g, r.node, s)
	}
}
