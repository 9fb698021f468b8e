package policy

import (
	"cmp"
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
}

// rank is a number for a node; the lower is the better. The first rank that differs decides.
type rank func(p *planner, g *groupState, n *nodeState, s *search) int64

// ranks is the ranking of DESIGN section 6, in its order.
var ranks = [...]rank{
	sharedDomain,
	sharedClasses,
	failuresHere,
	listOrder,
	previousOwner,
	roleInEffect,
	requestedShare,
	groupCount,
	staysPut,
	lowestID,
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
func failuresHere(p *planner, g *groupState, n *nodeState, s *search) int64 {
	if s.occasion != resourceFailed {
		return 0
	}
	return int64(p.failures(g, n.Name))
}

// listOrder is rank 3: the preferred owners in order, then the others by id; on a failure counted on from the owner that failed,
// wrapping round (A18), else from the top (A19). It is silent without preferred owners.
func listOrder(p *planner, g *groupState, n *nodeState, s *search) int64 {
	if len(g.PreferredOwners) == 0 {
		return 0
	}
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
func previousOwner(_ *planner, g *groupState, n *nodeState, s *search) int64 {
	if s.occasion != nodeRestarted || len(g.PreferredOwners) > 0 || n.index == s.from {
		return 0
	}
	return 1
}

// roleInEffect is the first half of rank 4: on a failure or a drain, nodes that act as standby come first; otherwise nodes of role
// Active.
func roleInEffect(p *planner, g *groupState, n *nodeState, s *search) int64 {
	if len(g.PreferredOwners) > 0 {
		return 0
	}
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
	if s.occasion != moveToBest || n.index == s.from {
		return 0
	}
	return 1
}

// lowestID is rank 5. The nodes are in order of their ids.
func lowestID(_ *planner, _ *groupState, n *nodeState, _ *search) int64 { return int64(n.index) }

// ranked is a node that may take the group, with its ranks.
type ranked struct {
	node *nodeState
	by   [maxRanks]int64
}

// maxRanks is as many ranks as there is room for; the rest are 0 for every node.
const maxRanks = 12

var _ [maxRanks - len(ranks)]struct{}

// scratch is memory that every search of a plan uses again: a full placement is thousands of searches, each over all nodes.
type scratch struct {
	eligible []ranked
	order    []int32
	// telling are the ranks that are not the same for all: most are.
	telling []int
}

// sorted returns the places of the nodes in eligible, best first. Numbers are sorted, since a ranked is large. What it returns is good
// until the next search.
func (s *scratch) sorted(eligible []ranked) []int32 {
	s.eligible, s.order, s.telling = eligible, s.order[:0], s.telling[:0]
	for i := range eligible {
		s.order = append(s.order, int32(i))
	}
	for rank := range ranks {
		for i := range eligible {
			if eligible[i].by[rank] != eligible[0].by[rank] {
				s.telling = append(s.telling, rank)
				break
			}
		}
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		x, y := &eligible[a].by, &eligible[b].by
		for _, rank := range s.telling {
			if x[rank] != y[rank] {
				return cmp.Compare(x[rank], y[rank])
			}
		}
		return 0
	})
	return s.order
}

func (r ranked) compare(other ranked) int { return slices.Compare(r.by[:], other.by[:]) }

func (p *planner) rank(g *groupState, n *nodeState, s *search) ranked {
	r := ranked{node: n}
	for j, by := range ranks {
		r.by[j] = by(p, g, n, s)
	}
	return r
}

// find looks for a node. It returns the best one, or nil, and everything there is to say of all nodes.
func (p *planner) find(g *groupState, s search) (*nodeState, []Candidate) {
	if s.leaves() {
		g.left = s.from
	}
	eligible := p.scratch.eligible[:0]
	var others []Candidate
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.ghost {
			continue
		}
		reasons, message := p.refusals(g, n)
		if i == s.exclude {
			reasons = append(reasons, s.reason)
			if message == "" {
				message = n.Name + " is where it failed"
			}
		}
		if len(reasons) > 0 {
			others = append(others, Candidate{Node: n.Name, ID: n.ID, Reasons: reasons, Message: message})
			continue
		}
		eligible = append(eligible, p.rank(g, n, &s))
	}
	order := p.scratch.sorted(eligible)
	candidates := make([]Candidate, 0, len(eligible)+len(others))
	for i, at := range order {
		n := eligible[at].node
		candidates = append(candidates, Candidate{Node: n.Name, ID: n.ID, Eligible: true, Rank: i + 1})
	}
	candidates = append(candidates, others...)
	if len(eligible) == 0 {
		return nil, candidates
	}
	return eligible[order[0]].node, candidates
}
