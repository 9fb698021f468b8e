package audit

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// ownersTwice is S1 as agents tell it: two members of the view, each in its present life, have something of one group. Reports of nodes
// outside of the view are of the past.
func ownersTwice(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		var who []string
		var evidence []Evidence
		for _, n := range s.members() {
			report := snapshot.AgentReport(n, string(g.UID))
			if report == nil || report.Epoch == 0 || report.Generation != 0 && report.Generation != n.Status.Agent.Generation {
				continue
			}
			who = append(who, n.Name)
			evidence = append(evidence, s.fromAPI("the agent of %s has something of it, at epoch %d", n.Name, report.Epoch))
		}
		if len(who) > 1 && !g.balanced() {
			all = append(all, s.suspect("S1", g.object(), strings.Join(who, "+")+fmt.Sprint(g.assigned.Epoch),
				"it is on "+strings.Join(who, " and on ")+" at the same time",
				"Take it offline on the node that it is not assigned to: "+g.owner(),
				append(evidence, s.fromAPI("the group is %s", g.owner()))...).within(s.stopGrace()))
		}
	}
	return all
}

// members are the nodes of the view, in the lives that it names.
func (s *scene) members() []*v1alpha1.Node {
	if s.Objects == nil {
		return nil
	}
	var nodes []*v1alpha1.Node
	for _, n := range s.Objects.Nodes {
		generation, member := s.view.Generation(model.NodeID(n.Status.ID))
		if member && n.Status.Agent != nil && model.Generation(n.Status.Agent.Generation) == generation {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// agentsAhead is S5: an agent of the view runs something at an epoch that was never given out.
func agentsAhead(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		for _, n := range s.members() {
			report := snapshot.AgentReport(n, string(g.UID))
			if report == nil || report.Epoch <= int64(g.assigned.Epoch) {
				continue
			}
			all = append(all, s.suspect("S5", g.object(), fmt.Sprint(n.Name, report.Epoch),
				fmt.Sprintf("%s runs it at epoch %d, which was never given out", n.Name, report.Epoch),
				"If the API server was restored from a backup, wait until every agent has reported; if not, look at who wrote the status",
				s.fromAPI("the agent of %s reports epoch %d", n.Name, report.Epoch), s.fromAPI("the group is %s", g.owner())).
				within(5*s.options.Motion))
		}
	}
	return all
}

// ownersForbidden is the first half of S7: a group runs on a possible owner, of this cluster.
func ownersForbidden(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		possible := snapshot.PossibleOwners(g.resources)
		if possible == nil || g.DeletionTimestamp != nil {
			continue
		}
		for _, node := range g.holders() {
			if slices.Contains(possible, node) {
				continue
			}
			all = append(all, s.suspect("S7", g.object(), fmt.Sprint("possible", g.epochAt(node)),
				fmt.Sprintf("it is on %s, which is not a possible owner", node),
				"Add the node to possibleOwners, or move the group to one of them",
				s.fromAPI("%s", g.owner()), s.fromAPI("possible owners of all its resources: %s", orNobody(possible))).within(s.options.Online))
		}
	}
	return all
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// affinityBroken is the other half of S7: groups that share a class are not put together where the Cluster requires it. What was
// together before the first look, or before a class was edited, stays by design (A25), and is a notice.
func (a *Auditor) affinityBroken(s *scene) []suspicion {
	if s.Objects == nil || s.Objects.Cluster == nil || s.Objects.Cluster.Spec.AntiAffinity != v1alpha1.AntiAffinityRequired {
		return nil
	}
	var all []suspicion
	for i, g := range s.groups {
		for _, other := range s.groups[i+1:] {
			shared := slices.IndexFunc(g.Spec.AntiAffinityClasses, func(c string) bool {
				return slices.Contains(other.Spec.AntiAffinityClasses, c)
			})
			if shared < 0 {
				continue
			}
			class := g.Spec.AntiAffinityClasses[shared]
			for _, node := range g.holders() {
				if other.epochAt(node) == 0 {
					continue
				}
				found := s.suspect("S7", g.object(), fmt.Sprint(other.key, g.epochAt(node), other.epochAt(node)),
					fmt.Sprintf("it is on %s together with %s, and both have the anti-affinity class %s", node, other.key, class),
					"Move one of them, or make antiAffinity of the Cluster Preferred",
					s.fromAPI("%s", g.owner()), s.fromAPI("%s is %s", other.key, other.owner()))
				if !a.putTogether(g, other, node, class) {
					found = found.notice()
				}
				all = append(all, found)
			}
		}
	}
	return all
}

// putTogether says that one of the groups was assigned since the last look, when both had the class already.
func (a *Auditor) putTogether(g, other *groupScene, node, class string) bool {
	pair := fmt.Sprint(g.key, other.key, g.epochAt(node), other.epochAt(node))
	if known, judged := a.together[pair]; judged {
		return known
	}
	epoch1, had1 := a.before(g, node, class)
	epoch2, had2 := a.before(other, node, class)
	a.together[pair] = had1 && had2 && (epoch1 != g.epochAt(node) || epoch2 != other.epochAt(node))
	return a.together[pair]
}

// before is what the last look saw of the group: its epoch on the node, and whether it had the class.
func (a *Auditor) before(g *groupScene, node, class string) (epoch model.Epoch, had bool) {
	if a.previous == nil || a.previous.Objects == nil {
		return 0, false
	}
	for _, before := range a.previous.Objects.Groups {
		if before.UID == g.UID {
			return epochAt(before, node), slices.Contains(before.Spec.AntiAffinityClasses, class)
		}
	}
	return 0, false
}

// dependenciesMissing is S6: a resource is online only with what it depends on, and with the disks of its group, on the same node.
func dependenciesMissing(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		for _, r := range g.resources {
			for _, node := range g.holders() {
				if !g.onlineOn(r, node) || g.DeletionTimestamp != nil || r.DeletionTimestamp != nil {
					continue
				}
				for _, missing := range g.missingFor(r, node) {
					all = append(all, s.suspect("S6", resourceObject(r), fmt.Sprint(missing, g.epochAt(node)),
						"it is Online, and what it needs is not: "+missing,
						"Look at why it stopped: kubectl describe res -n "+g.Namespace,
						s.fromAPI("Online on %s at epoch %d", node, g.epochAt(node)), s.fromAPI("%s", missing)).within(s.stopGrace()))
				}
			}
		}
	}
	return all
}

// missingFor says what of a resource's dependencies, and of its group's disks, is not online on the node.
func (g *groupScene) missingFor(r *v1alpha1.Resource, node string) []string {
	var missing []string
	find := func(name string) *v1alpha1.Resource {
		i := slices.IndexFunc(g.resources, func(o *v1alpha1.Resource) bool { return o.Name == name })
		if i < 0 {
			return nil
		}
		return g.resources[i]
	}
	for _, d := range r.Spec.DependsOn {
		names := d.AnyOf
		if d.Name != "" {
			names = []string{d.Name}
		}
		if !slices.ContainsFunc(names, func(name string) bool { o := find(name); return o != nil && g.onlineOn(o, node) }) {
			missing = append(missing, strings.Join(names, " or ")+" is not Online there")
		}
	}
	for _, o := range g.resources {
		named := slices.ContainsFunc(r.Spec.DependsOn, func(d v1alpha1.Dependency) bool {
			return d.Name == o.Name || slices.Contains(d.AnyOf, o.Name)
		})
		if snapshot.Disk(o) != "" && !named && o != r && o.Spec.DesiredState != v1alpha1.DesiredOffline && !g.onlineOn(o, node) {
			missing = append(missing, "disk "+o.Name+" of the group is not Online there")
		}
	}
	return missing
}

// notOnline is L1: with quorum and a node that may take it, a group that is wanted is Online within its budget.
func (a *Auditor) notOnline(s *scene) []suspicion {
	if s.Objects == nil || s.view == nil || s.Objects.Cluster == nil || s.Objects.Cluster.Spec.Maintenance {
		return nil
	}
	var waiting []*groupScene
	for _, g := range s.groups {
		if g.wanted() && (g.state != model.GroupOnline || g.balanced()) {
			waiting = append(waiting, g)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	world := snapshot.Build(s.Objects, snapshot.Options{Invalid: validation.Check(s.Objects).InvalidGroups(s.Objects)})
	var all []suspicion
	for _, g := range waiting {
		i := slices.IndexFunc(world.Groups, func(m model.Group) bool { return m.Key == g.key })
		if i < 0 || world.Groups[i].Invalid != "" || !s.dependenciesOnline(g) {
			continue
		}
		candidates := policy.Explain(world, g.key, s.Ended)
		node := g.placeable(candidates)
		if g.state == model.GroupOnline { // of mode LoadBalanced: it may not be everywhere yet
			node = g.memberMissing(candidates)
		}
		if node == "" {
			continue
		}
		all = append(all, s.waits(g, node))
	}
	return all
}

// waits is the suspicion about a group that could run on a node and does not.
func (s *scene) waits(g *groupScene, node string) suspicion {
	found := s.suspect("L1", g.object(), fmt.Sprint(g.state, g.assigned.Epoch),
		fmt.Sprintf("it is wanted Online and is %s, though %s may run it", g.state, node),
		"Ask why: kubectl describe rg "+g.Name+" -n "+g.Namespace+"; `status.candidates` says what keeps it from each node",
		s.fromAPI("%s, state %s", g.owner(), g.state)).within(s.options.Online)
	if g.state == model.GroupOnline {
		found.finding.Message = fmt.Sprintf("%s may run it, and is not given it", node)
	}
	if g.state == model.GroupPending {
		found = found.within(s.options.Pending)
	}
	if g.state == model.GroupFailed || g.anyFailed() || g.Status.FailedSince != nil || g.state != model.GroupOnline && g.idleByChoice() {
		found = found.notice()
	}
	return found
}

// wanted says that the group should be online, as far as it says itself.
func (g *groupScene) wanted() bool {
	if g.DeletionTimestamp != nil || g.Spec.DesiredState == v1alpha1.DesiredOffline || g.Spec.Maintenance || len(g.resources) == 0 {
		return false
	}
	return g.Spec.Priority == nil || *g.Spec.Priority != 0 || len(g.holders()) > 0
}

// idleByChoice says that every resource that is not online is wanted so, or is refused.
func (g *groupScene) idleByChoice() bool {
	return !slices.ContainsFunc(g.resources, func(r *v1alpha1.Resource) bool {
		refused := slices.ContainsFunc(r.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == v1alpha1.ConditionAccepted && c.Status == "False"
		})
		everywhere := !slices.ContainsFunc(g.holders(), func(node string) bool { return !g.onlineOn(r, node) }) && len(g.holders()) > 0
		return !everywhere && r.Spec.DesiredState != v1alpha1.DesiredOffline && !refused
	})
}

// dependenciesOnline says that every group that g depends on is Online.
func (s *scene) dependenciesOnline(g *groupScene) bool {
	for _, d := range g.Spec.DependsOn {
		key := model.GroupKey{Namespace: g.Namespace, Name: d.Name}
		i := slices.IndexFunc(s.groups, func(o *groupScene) bool { return o.key == key })
		if i < 0 || s.groups[i].state != model.GroupOnline {
			return false
		}
	}
	return true
}

// placeable is a node that may run the group: its present owner, if that is well, else any that may take it.
func (g *groupScene) placeable(candidates []policy.Candidate) string {
	for _, c := range candidates {
		if c.Eligible || g.epochAt(c.Node) > 0 && len(c.Reasons) == 0 {
			return c.Node
		}
	}
	return ""
}
