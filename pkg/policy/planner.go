package policy

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Plan decides what to do with every group now. It does not change the snapshot, and the order of the snapshot's nodes, groups
// and reports does not matter.
func Plan(s *model.Snapshot, now time.Time) Result {
	p := newPlanner(s, now)
	if !p.mayDecide() {
		return p.result
	}
	p.indexNodes()  // the nodes and their lives in the view
	p.indexGroups() // who owns what
	if p.triage() { // which groups need which of the steps below; most plans end here
		return p.result
	}
	p.countPlaces() // how much each node carries
	p.adoptStep()   // what runs although nobody knew (O6), and epochs that turned out stale (O7)
	p.stopStep()    // groups that are not wanted, dependents first
	p.placeStep()   // groups that are wanted and nowhere: first placement, failover, second step of a move
	p.leaveStep()   // groups that have to leave a living node: failed resource, drain, operator's move
	p.failbackStep()
	p.settleStep() // owners proven harmless since
	return p.result
}

// step names the part of Plan that looks after a group.
type step int

const (
	stepNone step = iota
	stepAdopt
	stepStop
	stepPlace
	stepLeave
	stepFailback
	stepSettle
	steps
)

// planner is the working state of one call of Plan: the snapshot, indexes over it, and what was decided so far.
type planner struct {
	s      *model.Snapshot
	now    time.Time
	nodes  []nodeState // by id
	byName map[string]int
	byID   map[model.NodeID]int
	lives  map[model.NodeID]model.Generation // the view
	groups []groupState                      // in the snapshot's order: nothing may depend on it
	// byKey and dependents exist only when some group depends on another one.
	byKey      map[model.GroupKey]int
	dependents map[int][]int
	// domains has the groups in each fault domain by anti-affinity class; nil when no node names one.
	domains []map[string][]int
	// arrivals counts the groups on each node that came from a node, by the index of that one; see arrivalsFrom.
	arrivals map[int][]int
	// residents are the groups on each node; nil until somebody needs them.
	residents [][]int
	// known are the nodes as candidates name them; a node that has no object any more is none.
	known []nodeID
	// limited are the names that some node has a limited amount of, in order.
	limited []string
	// asked has what every group asks for of each of them; see ask.
	asked []int64
	// disksHidden says that some node does not see some disk.
	disksHidden bool
	// imagesLacked says that some node does not have some container image.
	imagesLacked bool
	todo         [steps][]int
	scratch      scratch
	result       Result
}

// nodeState is a node with what it carries, decisions of this plan included.
type nodeState struct {
	*model.Node
	index int
	// member and life are the node's place in the view.
	member bool
	life   model.Generation
	// ghost says that the node has no object any more.
	ghost bool
	// domain is the index of the node's fault domain.
	domain int
	// open says that no filter which looks at the node alone speaks against it.
	open bool
	// limits are what the node has a limited amount of, by name.
	limits []limit
	// count is the number of groups on the node.
	count int
	// classes has the groups on the node by anti-affinity class.
	classes map[string][]int
}

// limit is an amount of something that a node has, and how much of it is reserved or requested by the groups on the node.
type limit struct {
	name string
	// at is the place of the name in limited.
	at           int
	amount, used int64
}

// groupState is a group with where it is, decisions of this plan included.
type groupState struct {
	*model.Group
	index int
	// owner is the index of the assigned node, or -1.
	owner int
	// seats are the indexes of the nodes of Members, in their order.
	seats []int
	// places are the nodes on which the group is, may still be, or is about to be.
	places []int
	room   [2]int // for places: almost every group is in one place
	// next is the index of the node on which the group will be when all that is decided has happened; -1 for none.
	next int
	// left is the index of the node from which a failure or a drain takes the group in this plan, or -1.
	left int
	// asks is what the group asks for, by the place of the name in limited; nil until ask.
	asks []int64
	// decided says that the plan has a decision for the group.
	decided bool
}

func newPlanner(s *model.Snapshot, now time.Time) *planner {
	return &planner{s: s, now: now, result: Result{Groups: map[model.GroupKey]GroupNote{}}}
}

// mayDecide is the gate before everything: no view or no quorum decides nothing, and so does a cluster in maintenance or one
// whose API server has just gone back in time.
func (p *planner) mayDecide() bool {
	switch {
	case p.s.View == nil || !p.s.View.Quorate:
		p.noteUnplaced(model.ReasonNoQuorum, "no quorate view of the cluster is reported")
	case p.s.Cluster.Maintenance:
		p.noteUnplaced(model.ReasonMaintenance, "the cluster is in maintenance")
	case p.s.Restored && !p.allReported():
		p.noteUnplaced(model.ReasonWaitingForReports, "the API server was restored: not every member has reported what it runs")
	default:
		return true
	}
	return false
}

func (p *planner) noteUnplaced(reason model.Reason, message string) {
	for i := range p.s.Groups {
		g := &p.s.Groups[i]
		if g.DesiredOnline && !g.Deleting && g.Assignment.Node == "" && len(g.Members) == 0 {
			p.note(g.Key, reason, message)
		}
	}
}

func (p *planner) allReported() bool {
	for i := range p.s.Nodes {
		if n := &p.s.Nodes[i]; p.s.View.Has(n.ID) && !n.Reported {
			return false
		}
	}
	return true
}

// triage sends every group to the one step that it needs; most need none. It says whether none does.
func (p *planner) triage() bool {
	quiet := true
	for i := range p.groups {
		if s := p.stepOf(&p.groups[i]); s != stepNone {
			p.todo[s] = append(p.todo[s], i)
			quiet = false
		}
	}
	for s := range p.todo {
		p.sortTodo(step(s))
	}
	if due := len(p.todo[stepPlace]); due > 0 {
		p.expect(due)
	}
	return quiet
}

// expect makes room for as many decisions and notes at once.
func (p *planner) expect(due int) {
	notes := make(map[model.GroupKey]GroupNote, due+len(p.result.Groups))
	maps.Copy(notes, p.result.Groups)
	p.result.Groups, p.result.Decisions = notes, make([]Decision, 0, due)
}

func (p *planner) sortTodo(s step) { p.sortByPriority(p.todo[s]) }

func (p *planner) sortByPriority(groups []int) {
	slices.SortFunc(groups, func(a, b int) int { return byPriority(p.groups[a].Group, p.groups[b].Group) })
}

func (p *planner) stepOf(g *groupState) step {
	switch {
	case p.frozen(g):
		return stepNone
	case p.viewTooOld(g):
		p.note(g.Key, model.ReasonOlderView, "the view that is reported is older than the one of the group's assignment")
		return stepNone
	case g.Mode == model.ModeLoadBalanced:
		return p.membersStep(g)
	case p.epochsUnknown(g):
		return stepAdopt
	case p.stopReason(g) != "":
		return stepStop
	case g.owner < 0 || !p.ownerLives(g):
		return stepPlace
	case g.Move != nil || !g.FailedSince.IsZero() || p.failedReport(g) != nil || p.refusedBy(keepFilters, g, &p.nodes[g.owner]) != "":
		return stepLeave
	case p.failbackConceivable(g):
		return stepFailback
	case len(g.Assignment.Unproven) > 0:
		return stepSettle
	}
	return stepNone
}

// frozen says that maintenance keeps Quorate's hands off the group.
func (p *planner) frozen(g *groupState) bool {
	switch {
	case g.Maintenance:
		p.note(g.Key, model.ReasonMaintenance, "the group is in maintenance")
	case g.owner >= 0 && p.nodes[g.owner].Maintenance:
		p.note(g.Key, model.ReasonMaintenance, "the group's node "+p.nodes[g.owner].Name+" is in maintenance")
	default:
		return false
	}
	return true
}

// viewTooOld is rule O5: never an assignment with a view below the present one's. A member in an older life than the assignment
// names says the same.
func (p *planner) viewTooOld(g *groupState) bool {
	if g.Assignment.View.Number > p.s.View.ID.Number {
		return true
	}
	return g.owner >= 0 && p.nodes[g.owner].member && p.nodes[g.owner].life < g.Assignment.Generation
}

// ownerLives says that the assigned node is in the view in the very life that the assignment names.
func (p *planner) ownerLives(g *groupState) bool {
	n := &p.nodes[g.owner]
	return n.member && n.life == g.Assignment.Generation
}

// decide records the one decision that a group gets.
func (p *planner) decide(g *groupState, d Decision) {
	g.decided = true
	d.Group, d.UID = g.Key, g.UID
	if d.Kind != Assign && d.Kind != Withdraw && d.Kind != Settle && d.Kind != Balance {
		d.Assignment = g.Assignment
	}
	p.result.Decisions = append(p.result.Decisions, d)
}

func (p *planner) note(key model.GroupKey, reason model.Reason, message string) {
	n := p.result.Groups[key]
	n.Reason, n.Message = reason, message
	p.result.Groups[key] = n
}

func (p *planner) noteCandidates(key model.GroupKey, candidates Candidates) {
	n := p.result.Groups[key]
	n.Candidates = candidates
	p.result.Groups[key] = n
}

// lookAgain makes NextCheck no later than t.
func (p *planner) lookAgain(t time.Time) {
	if t.After(p.now) && (p.result.NextCheck.IsZero() || t.Before(p.result.NextCheck)) {
		p.result.NextCheck = t
	}
}

// byPriority orders groups as they are placed: higher priority first, then by name.
func byPriority(a, b *model.Group) int {
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(a.Key.Namespace, b.Key.Namespace),
		cmp.Compare(a.Key.Name, b.Key.Name),
	)
}
