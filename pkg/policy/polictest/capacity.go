package polictest

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// fits says whether the group has room on the node beside those that are there, by the node's capacity less what is reserved.
func fits(s *model.Snapshot, at nodesOf, n *model.Node, g *model.Group) bool {
	for name, amount := range g.Requests {
		capacity, limited := n.Capacity[name]
		if !limited || amount == 0 {
			continue
		}
		used := n.Reserved[name] + amount
		for i := range s.Groups {
			if o := &s.Groups[i]; o.Key != g.Key && at[o.Key][n.Name] {
				used += o.Requests[name]
			}
		}
		if used > capacity {
			return false
		}
	}
	return true
}

// overloads is what the plan does to capacity: nothing is put where it does not fit.
func overloads(s *model.Snapshot, r policy.Result) []string {
	at, placed := whereabouts(s, r)
	var wrong []string
	for i := range s.Groups {
		g := &s.Groups[i]
		for j := range s.Nodes {
			if n := &s.Nodes[j]; placed[g.Key][n.Name] && !fits(s, at, n, g) {
				wrong = append(wrong, fmt.Sprintf("capacity: %s does not fit on %s", g.Key.Name, n.Name))
			}
		}
	}
	return wrong
}

// preemptions checks what groups were displaced for: a more important one that then fits, and never more of them than it needs.
func preemptions(s *model.Snapshot, r policy.Result) []string {
	at, _ := whereabouts(s, r)
	for _, d := range r.Decisions {
		if d.Kind == policy.Withdraw {
			delete(at, d.Group)
		}
	}
	var waiting []*model.Group
	for i := range s.Groups {
		if g := &s.Groups[i]; r.Groups[g.Key].Reason == model.ReasonWaitingForRoom {
			waiting = append(waiting, g)
		}
	}
	var wrong []string
	for _, d := range r.Decisions {
		if d.Reason != model.ReasonPreempted || d.Kind != policy.Withdraw {
			continue
		}
		victim, n := groupOf(s, d.Group), nodeOf(s, d.From)
		report := func(why string) { wrong = append(wrong, fmt.Sprintf("preemption: %s: %s", d.Group.Name, why)) }
		if !s.Cluster.Preempt {
			report("the cluster does not preempt")
		}
		if victim.Maintenance || n.Maintenance || victim.Invalid != "" {
			report("it is not to be touched")
		}
		better := func(g *model.Group) bool { return g.Priority > victim.Priority && fits(s, at, n, g) }
		if !slices.ContainsFunc(waiting, better) {
			report("nobody more important fits on " + n.Name + " without it")
		}
		if len(waiting) == 1 {
			at.add(victim.Key, n.Name)
			if fits(s, at, n, waiting[0]) {
				report(waiting[0].Key.Name + " would fit beside it")
			}
			delete(at, victim.Key)
		}
	}
	return wrong
}

func nodeOf(s *model.Snapshot, name string) *model.Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}
