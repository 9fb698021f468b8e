package polictest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// locations compares time zones as pointers: they cannot be changed.
var locations = cmp.Comparer(func(a, b *time.Location) bool { return a == b })

// Check plans over the snapshot and returns everything that is wrong with the plan: broken invariants (DESIGN section 7, as far as
// policy sees them), a changed input, a plan that depends on the order of its input or on names. It works them out by itself, with none of
// policy's code.
func Check(s *model.Snapshot, now time.Time) []string {
	before := clone(s)
	r := policy.Plan(s, now)
	var wrong []string
	if d := cmp.Diff(before, s, locations); d != "" {
		wrong = append(wrong, "the input was changed (-before +after):\n"+d)
	}
	for seed := range uint64(3) {
		if d := cmp.Diff(r, policy.Plan(shuffled(before, seed), now)); d != "" {
			wrong = append(wrong, "the plan depends on the order of its input (-plain +shuffled):\n"+d)
			break
		}
	}
	if d := asymmetry(before, r, now); d != "" {
		wrong = append(wrong, "the plan depends on names (-plain +renamed):\n"+d)
	}
	return append(wrong, violations(s, r)...)
}

func clone(s *model.Snapshot) *model.Snapshot {
	c := *s
	if s.View != nil {
		c.View = new(*s.View)
		c.View.Members = slices.Clone(s.View.Members)
	}
	c.Nodes, c.Groups = slices.Clone(s.Nodes), slices.Clone(s.Groups)
	for i := range c.Groups {
		g := &c.Groups[i]
		g.Reports, g.Failures = slices.Clone(g.Reports), slices.Clone(g.Failures)
		g.Assignment.Unproven = slices.Clone(g.Assignment.Unproven)
		g.Members = slices.Clone(g.Members)
		if g.Move != nil {
			g.Move = new(*g.Move)
		}
	}
	return &c
}

func shuffled(s *model.Snapshot, seed uint64) *model.Snapshot {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := clone(s)
	rng.Shuffle(len(c.Nodes), func(i, j int) { c.Nodes[i], c.Nodes[j] = c.Nodes[j], c.Nodes[i] })
	rng.Shuffle(len(c.Groups), func(i, j int) { c.Groups[i], c.Groups[j] = c.Groups[j], c.Groups[i] })
	for i := range c.Groups {
		m := c.Groups[i].Members
		rng.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
		r := c.Groups[i].Reports
		rng.Shuffle(len(r), func(i, j int) { r[i], r[j] = r[j], r[i] })
	}
	return c
}

// violations checks a plan against the invariants.
func violations(s *model.Snapshot, r policy.Result) []string {
	var wrong []string
	seen := map[model.GroupKey]bool{}
	for _, d := range r.Decisions {
		g := groupOf(s, d.Group)
		report := func(rule, format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s: %s %s: %s", rule, d.Kind, d.Group.Name, fmt.Sprintf(format, args...)))
		}
		if s.View == nil || !s.View.Quorate {
			report("quorum", "decided without quorum")
			continue
		}
		if seen[d.Group] {
			report("plan", "a second decision for the group")
		}
		seen[d.Group] = true
		switch d.Kind {
		case policy.Assign:
			checkEpoch(s, g, d, report)
			checkUnproven(s, g, d, report)
			checkTarget(s, g, d, report)
		case policy.Withdraw:
			checkEpoch(s, g, d, report)
			checkUnproven(s, g, d, report)
		case policy.Balance:
			checkMembers(s, g, d, report)
		case policy.Settle:
			if d.Assignment.Epoch != g.Assignment.Epoch || d.Assignment.Node != g.Assignment.Node {
				report("S5", "settling changed the assignment")
			}
			checkUnproven(s, g, d, report)
		default:
			if cmp.Diff(d.Assignment, g.Assignment) != "" {
				report("S5", "changed the assignment")
			}
		}
	}
	wrong = append(wrong, overloads(s, r)...)
	wrong = append(wrong, preemptions(s, r)...)
	return append(wrong, conflicts(s, r)...)
}

type reporter func(rule, format string, args ...any)

func groupOf(s *model.Snapshot, key model.GroupKey) *model.Group {
	for i := range s.Groups {
		if s.Groups[i].Key == key {
			return &s.Groups[i]
		}
	}
	return nil
}

// checkEpoch is S5, O5 and O7: above every epoch known, never in an older view.
func checkEpoch(s *model.Snapshot, g *model.Group, d policy.Decision, report reporter) {
	known := max(g.Assignment.Epoch, g.EpochFloor)
	for _, r := range g.Reports {
		known = max(known, r.Running, r.Released, r.Floor, r.Proven)
	}
	if d.Assignment.Epoch <= known || d.Assignment.Epoch > model.MaxEpoch {
		report("S5", "epoch %d, but %d is known", d.Assignment.Epoch, known)
	}
	if d.Assignment.View != s.View.ID || d.Assignment.View.Number < g.Assignment.View.Number {
		report("O5", "view %s, present %s, assignment's %s", d.Assignment.View, s.View.ID, g.Assignment.View)
	}
}

// checkUnproven is O2: an owner leaves the list only by proof.
func checkUnproven(s *model.Snapshot, g *model.Group, d policy.Decision, report reporter) {
	owners := slices.Clone(g.Assignment.Unproven)
	if d.Kind != policy.Settle && g.Assignment.Node != "" {
		a := g.Assignment
		owners = append(owners, model.Owner{Node: a.Node, ID: a.ID, Generation: a.Generation, Epoch: a.Epoch})
	}
	for _, r := range g.Reports {
		if r.Running > g.Assignment.Epoch && d.Kind != policy.Settle {
			owners = append(owners, model.Owner{Node: r.Node, ID: r.ID, Generation: r.Generation, Epoch: r.Running})
		}
	}
	for _, o := range owners {
		listed := slices.ContainsFunc(d.Assignment.Unproven, func(e model.Owner) bool {
			return e.ID == o.ID && e.Generation == o.Generation && e.Epoch >= o.Epoch
		})
		mine := d.Assignment.Node != "" && d.Assignment.ID == o.ID && d.Assignment.Generation == o.Generation
		if !listed && !mine && !harmless(s, g, o) {
			report("O2", "%s.%d@%d left the list without proof", o.Node, o.Generation, o.Epoch)
		}
	}
}

// harmless is what counts as proof: a newer life in the view, the owner's own word, the proof of a later owner of record; and for
// a group that is being deleted the end of a long wait.
func harmless(s *model.Snapshot, g *model.Group, o model.Owner) bool {
	life, member := s.View.Generation(o.ID)
	if member && life > o.Generation {
		return true
	}
	if g.Deleting && g.Assignment.Node == "" && (!member || life != o.Generation) {
		return true
	}
	for _, r := range g.Reports {
		if r.ID == o.ID && r.Generation == o.Generation && r.Released > o.Epoch {
			return true
		}
		owned := slices.Clone(g.Assignment.Unproven)
		owned = append(owned, model.Owner{ID: g.Assignment.ID, Generation: g.Assignment.Generation, Epoch: g.Assignment.Epoch})
		for _, by := range owned {
			if by.ID == r.ID && by.Generation == r.Generation && by.Epoch == r.Proven && r.Proven > o.Epoch {
				return true
			}
		}
	}
	return false
}

// checkTarget is S1 and S7: nobody else who is alive may still have the group, and the node may take it.
func checkTarget(s *model.Snapshot, g *model.Group, d policy.Decision, report reporter) {
	a := d.Assignment
	life, member := s.View.Generation(a.ID)
	if !member || life != a.Generation {
		report("S1", "%s.%d is not in the view", a.Node, a.Generation)
	}
	for _, o := range a.Unproven {
		if l, ok := s.View.Generation(o.ID); ok && l == o.Generation && !again(d) && g.Assignment.Node == "" {
			report("S1", "%s is alive and has not released the group", o.Node)
		}
	}
	if !again(d) {
		checkPlacing(s, g, a.Node, report)
	}
}

// again says that the group is there already: nothing that runs is judged by a rule about placing.
func again(d policy.Decision) bool {
	return d.Reason == model.ReasonAdopted || d.Reason == model.ReasonEpochRaised || d.Reason == model.ReasonRetry
}

// checkPlacing is S7 and A22 for a group that is put on a node.
func checkPlacing(s *model.Snapshot, g *model.Group, node string, report reporter) {
	if g.PossibleOwners != nil && !slices.Contains(g.PossibleOwners, node) {
		report("S7", "%s is not a possible owner", node)
	}
	if g.Deleting || !g.DesiredOnline || g.Invalid != "" || g.Maintenance || s.Cluster.Maintenance {
		report("intent", "the group is not to be started")
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Name == node && (n.Availability != model.Available || n.Quarantined || n.Maintenance || !n.Connected) {
			report("A22", "%s may take no group", node)
		}
	}
}

// conflicts is S7 for required anti-affinity: no two groups of a class are put on one node.
func conflicts(s *model.Snapshot, r policy.Result) []string {
	if !s.Cluster.AntiAffinityRequired {
		return nil
	}
	at, placed := whereabouts(s, r)
	var wrong []string
	for i := range s.Groups {
		for j := range s.Groups {
			a, b := &s.Groups[i], &s.Groups[j]
			if i == j || !slices.ContainsFunc(a.AntiAffinityClasses, func(c string) bool { return slices.Contains(b.AntiAffinityClasses, c) }) {
				continue
			}
			for node := range placed[a.Key] {
				if at[b.Key][node] {
					wrong = append(wrong, fmt.Sprintf("S7: %s was put beside %s on %s", a.Key.Name, b.Key.Name, node))
				}
			}
		}
	}
	return wrong
}

// nodesOf is a set of nodes' names for each group.
type nodesOf map[model.GroupKey]map[string]bool

func (n nodesOf) add(key model.GroupKey, node string) {
	if n[key] == nil {
		n[key] = map[string]bool{}
	}
	n[key][node] = true
}

// whereabouts are the nodes that the groups are on when the plan is carried out, and those of them on which the plan has put them.
func whereabouts(s *model.Snapshot, r policy.Result) (at, placed nodesOf) {
	at, placed = nodesOf{}, nodesOf{}
	lives := func(id model.NodeID, generation model.Generation) bool {
		l, ok := s.View.Generation(id)
		return ok && l == generation
	}
	decided := map[model.GroupKey]*policy.Decision{}
	for i := range r.Decisions {
		decided[r.Decisions[i].Group] = &r.Decisions[i]
	}
	for _, g := range s.Groups {
		a, members := g.Assignment, g.Members
		switch d := decided[g.Key]; {
		case d == nil:
		case d.Kind == policy.Assign && !again(*d):
			placed.add(g.Key, d.Assignment.Node)
			a = d.Assignment
		case d.Kind == policy.Assign:
			a = d.Assignment
		case d.Kind == policy.Balance:
			members = d.Members
			for _, c := range d.Changes {
				if c.Kind == policy.AddMember {
					placed.add(g.Key, c.Node)
				}
			}
		}
		if lives(a.ID, a.Generation) {
			at.add(g.Key, a.Node)
		}
		for _, m := range members {
			if lives(m.ID, m.Generation) {
				at.add(g.Key, m.Node)
			}
		}
	}
	return at, placed
}
