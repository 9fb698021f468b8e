package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// holders are the nodes that are to have the group: its owner, or the members of a group of mode LoadBalanced.
func (g *groupScene) holders() []string {
	if !g.balanced() {
		if g.assigned.Node == "" {
			return nil
		}
		return []string{g.assigned.Node}
	}
	var nodes []string
	for _, m := range g.members {
		if !m.Withdrawn {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}

func (g *groupScene) balanced() bool { return snapshot.Balanced(g.ResourceGroup) }

// epochAt is the epoch at which the node is to have the group; 0 when it is not.
func (g *groupScene) epochAt(node string) model.Epoch { return epochAt(g.ResourceGroup, node) }

func epochAt(g *v1alpha1.ResourceGroup, node string) model.Epoch {
	if a := snapshot.Assignment(snapshot.AssignmentFor(g, node)); a.Node == node && node != "" {
		return a.Epoch
	}
	return 0
}

// onlineOn says that the node reports the resource Online at the epoch at which it has the group.
func (g *groupScene) onlineOn(r *v1alpha1.Resource, node string) bool {
	epoch := int64(g.epochAt(node))
	if !g.balanced() {
		return epoch > 0 && r.Status.State == v1alpha1.ResourceOnline && r.Status.Node == node && r.Status.Epoch == epoch
	}
	said := snapshot.OnNode(r, node)
	return epoch > 0 && said != nil && said.State == v1alpha1.ResourceOnline && said.Epoch == epoch
}

// where tells the members for people.
func (g *groupScene) where() string {
	var parts []string
	for _, m := range g.members {
		if m.Withdrawn {
			parts = append(parts, fmt.Sprintf("withdrawn from %s at epoch %d", m.Node, m.Epoch))
		} else {
			parts = append(parts, fmt.Sprintf("given to %s at epoch %d", m.Node, m.Epoch))
		}
	}
	if len(parts) == 0 {
		return "given to no node"
	}
	return strings.Join(parts, ", ")
}

// strayMembers is S9 as agents tell it: a member of the view has something of a group of mode LoadBalanced that it is not given. That
// several nodes have such a group at once is its purpose.
func strayMembers(s *scene) []suspicion {
	var all []suspicion
	for _, g := range s.groups {
		if !g.balanced() {
			continue
		}
		for _, n := range s.members() {
			report := snapshot.AgentReport(n, string(g.UID))
			if report == nil || report.Epoch == 0 || report.Generation != 0 && report.Generation != n.Status.Agent.Generation || g.epochAt(n.Name) > 0 {
				continue
			}
			grace := s.stopGrace()
			if g.releasing(n.Name) {
				grace = s.options.Pending
			}
			all = append(all, s.suspect("S9", g.object(), fmt.Sprint("stray ", n.Name, report.Epoch),
				fmt.Sprintf("it is on %s, which is not one of its members", n.Name),
				"Look at the agent of "+n.Name+": it stops what it is not given; after a restore of the API server the group gets it back as a member",
				s.fromAPI("the agent of %s has something of it, at epoch %d", n.Name, report.Epoch), s.fromAPI("the group is %s", g.owner())).
				within(grace))
		}
	}
	return all
}

// memberMissing is L1 for a group of mode LoadBalanced that is online, and not everywhere: the first node that may take it and is not
// given it; "" for none.
func (g *groupScene) memberMissing(candidates []policy.Candidate) string {
	for _, c := range candidates {
		if c.Eligible && g.epochAt(c.Node) == 0 {
			return c.Node
		}
	}
	return ""
}

// anyFailed says that some member has failed: it is tried again in its own time.
func (g *groupScene) anyFailed() bool {
	return slices.ContainsFunc(g.members, func(m model.GroupMember) bool { return !m.Withdrawn && m.State == model.GroupFailed })
}
