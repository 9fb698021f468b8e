package polictest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// remember keeps the members for a restore of the API.
func (g *group) remember(e model.Epoch) {
	if g.pastMembers == nil {
		g.pastMembers = map[model.Epoch][]model.GroupMember{}
	}
	g.pastMembers[e] = slices.Clone(g.Members)
}

// members are the group's members with the states that their hosts report.
func (w *World) members(g *group) []model.GroupMember {
	list := slices.Clone(g.Members)
	for i := range list {
		m := &list[i]
		m.State = model.GroupOffline
		h := w.host(m.Node)
		if h == nil || !h.up || h.Generation != m.Generation || h.ID != m.ID {
			continue
		}
		l := h.local(g.UID)
		switch {
		case m.Withdrawn && l.Running > 0 || !m.Withdrawn && l.Running != m.Epoch:
			m.State = model.GroupPending
		case m.Withdrawn || g.ResourceCount == 0:
		case l.Failing != "":
			m.State = model.GroupFailed
		default:
			m.State = model.GroupOnline
		}
	}
	return list
}

// runner is the host that a command about a running group means: the one that it names, or the owner.
func (w *World) runner(g *group, named []string) (*host, error) {
	name := g.Assignment.Node
	if len(named) > 0 {
		name = named[0]
	}
	h := w.host(name)
	if h == nil {
		return nil, fmt.Errorf("%s runs on no host %q", g.Key.Name, name)
	}
	return h, nil
}

// checkMembers checks a change of a balanced group's members: epochs that were never given out (S5), a member withdrawn only for a
// reason, an entry dropped only by proof (O2, O11), nodes that may take the group (S7, A22).
func checkMembers(s *model.Snapshot, g *model.Group, d policy.Decision, report reporter) {
	known := knownBefore(g)
	before, after := map[string]model.GroupMember{}, map[string]model.GroupMember{}
	for _, m := range g.Members {
		before[m.Node] = m
	}
	epochs := map[model.Epoch]bool{}
	for _, m := range d.Members {
		old, had := before[m.Node]
		if _, twice := after[m.Node]; twice {
			report("plan", "two entries for %s", m.Node)
		}
		after[m.Node] = m
		m.State, old.State = "", ""
		if had && m == old {
			continue
		}
		if m.Epoch <= known || m.Epoch > model.MaxEpoch || epochs[m.Epoch] || m.Epoch > d.Assignment.Epoch {
			report("S5", "epoch %d for %s, but %d is known", m.Epoch, m.Node, known)
		}
		epochs[m.Epoch] = true
		if m.View != s.View.ID {
			report("O5", "%s is given view %s, present %s", m.Node, m.View, s.View.ID)
		}
		if !m.Withdrawn {
			checkJoining(s, g, m, report)
		}
	}
	checkDropped(s, g, before, after, report)
}

// checkDropped is O11 for members: an entry goes only by proof.
func checkDropped(s *model.Snapshot, g *model.Group, before, after map[string]model.GroupMember, report reporter) {
	for node, m := range before {
		if n, ok := after[node]; ok && n.ID == m.ID && n.Generation == m.Generation {
			continue
		}
		if !leftBehind(s, g, m) {
			report("O11", "%s.%d@%d left the members without proof", m.Node, m.Generation, m.Epoch)
		}
	}
}

// knownBefore is the highest epoch that anybody knows of for the group.
func knownBefore(g *model.Group) model.Epoch {
	known := max(g.Assignment.Epoch, g.EpochFloor)
	for _, r := range g.Reports {
		known = max(known, r.Running, r.Released, r.Floor, r.Proven)
	}
	for _, m := range g.Members {
		known = max(known, m.Epoch)
	}
	return known
}

// checkJoining checks a node that is given the group, or is given it again.
func checkJoining(s *model.Snapshot, g *model.Group, m model.GroupMember, report reporter) {
	if life, member := s.View.Generation(m.ID); !member || life != m.Generation {
		report("S4", "%s.%d is not in the view", m.Node, m.Generation)
	}
	if m.Reason == model.ReasonFirstPlacement || m.Reason == model.ReasonMemberAdded {
		checkPlacing(s, g, m.Node, report)
	}
}

// leftBehind is what lets an entry go: the node's own word that it carried out the withdrawal, a newer life of it in the view, or, for
// a withdrawn member that is in no view, the end of a long wait.
func leftBehind(s *model.Snapshot, g *model.Group, m model.GroupMember) bool {
	life, member := s.View.Generation(m.ID)
	if member && life > m.Generation || m.Withdrawn && (!member || life != m.Generation) {
		return true
	}
	return m.Withdrawn && slices.ContainsFunc(g.Reports, func(r model.OwnerReport) bool {
		return r.ID == m.ID && r.Generation == m.Generation && r.Released >= m.Epoch
	})
}

// randomMembers makes a balanced group out of a random one, with members that need not have come about by any history.
func randomMembers(rng *rand.Rand, g *model.Group, now time.Time) {
	g.Mode, g.Disks = model.ModeLoadBalanced, nil
	a := &g.Assignment
	a.Node, a.ID, a.Generation, a.Target, a.Unproven = "", 0, 0, "", nil
	for id := 1; id <= 5; id++ {
		e := epoch(rng)
		if coin(rng, 2) || e == 0 {
			continue
		}
		g.Members = append(g.Members, model.GroupMember{
			Node: fmt.Sprintf("n%d", id), ID: model.NodeID(id), Generation: model.Generation(1 + rng.IntN(3)), Epoch: e, Withdrawn: coin(rng, 3),
			View: model.ViewID{Number: uint64(rng.IntN(5)), Coordinator: 1}, Time: past(rng, now),
			State: pickOf(rng, model.GroupOnline, model.GroupFailed, model.GroupPending, model.GroupOffline),
		})
		a.Epoch = max(a.Epoch, e)
	}
}
