package polictest

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// asymmetry plans over the same cluster with other names and numbers, and says where the plan differs by more than them. Nodes are
// told apart by their ids, so their names may change in any way; groups are placed in order of their names, so theirs keep their order.
func asymmetry(s *model.Snapshot, r policy.Result, now time.Time) string {
	renamed := renameResult(policy.Plan(renameSnapshot(s, otherNames), now), ownNames)
	return cmp.Diff(withoutSentences(r), withoutSentences(renamed))
}

// naming maps names and ids; numbers keep their order.
type naming struct {
	node  func(string) string
	group func(string) string
	uid   func(string) string
	id    func(model.NodeID) model.NodeID
}

var otherNames = naming{
	node:  func(n string) string { return mirrored(n) + ".other" },
	group: func(n string) string { return "other-" + n },
	uid:   func(u string) string { return u + "-other" },
	id:    func(i model.NodeID) model.NodeID { return 7 * i },
}

var ownNames = naming{
	node:  func(n string) string { return mirrored(strings.TrimSuffix(n, ".other")) },
	group: func(n string) string { return strings.TrimPrefix(n, "other-") },
	uid:   func(u string) string { return strings.TrimSuffix(u, "-other") },
	id:    func(i model.NodeID) model.NodeID { return i / 7 },
}

// mirrored turns the order of names round: of two, the one that came first comes last.
func mirrored(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + 'z' - r
		case r >= '0' && r <= '9':
			return '0' + '9' - r
		}
		return r
	}, s)
}

func (m naming) nodeOrNone(n string) string {
	if n == "" || n == "best" {
		return n
	}
	return m.node(n)
}

func (m naming) nodes(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = m.node(n)
	}
	return out
}

func (m naming) key(k model.GroupKey) model.GroupKey {
	return model.GroupKey{Namespace: k.Namespace, Name: m.group(k.Name)}
}

func (m naming) owners(list []model.Owner) []model.Owner {
	out := slices.Clone(list)
	for i := range out {
		out[i].Node, out[i].ID = m.node(out[i].Node), m.id(out[i].ID)
	}
	return out
}

// members are in order of the nodes' names.
func (m naming) members(list []model.GroupMember) []model.GroupMember {
	out := slices.Clone(list)
	for i := range out {
		out[i].Node, out[i].ID = m.node(out[i].Node), m.id(out[i].ID)
		out[i].View.Coordinator = m.id(out[i].View.Coordinator)
	}
	slices.SortStableFunc(out, func(a, b model.GroupMember) int { return strings.Compare(a.Node, b.Node) })
	return out
}

func (m naming) changes(list []policy.MemberChange) []policy.MemberChange {
	out := slices.Clone(list)
	for i := range out {
		out[i].Node = m.node(out[i].Node)
	}
	slices.SortStableFunc(out, func(a, b policy.MemberChange) int { return strings.Compare(a.Node, b.Node) })
	return out
}

func (m naming) assignment(a model.Assignment) model.Assignment {
	a.Node, a.Target, a.ID = m.nodeOrNone(a.Node), m.nodeOrNone(a.Target), m.id(a.ID)
	a.View.Coordinator = m.id(a.View.Coordinator)
	a.Unproven = m.owners(a.Unproven)
	return a
}

func renameSnapshot(s *model.Snapshot, m naming) *model.Snapshot {
	c := clone(s)
	if c.View != nil {
		c.View.ID.Coordinator, c.View.Reporter = m.id(c.View.ID.Coordinator), m.id(c.View.Reporter)
		for i := range c.View.Members {
			c.View.Members[i].ID = m.id(c.View.Members[i].ID)
		}
	}
	for i := range c.Nodes {
		c.Nodes[i].Name, c.Nodes[i].ID = m.node(c.Nodes[i].Name), m.id(c.Nodes[i].ID)
	}
	for i := range c.Groups {
		renameGroup(&c.Groups[i], m)
	}
	return c
}

func renameGroup(g *model.Group, m naming) {
	g.Key, g.UID = m.key(g.Key), m.uid(g.UID)
	g.PreferredOwners, g.PossibleOwners = m.nodes(g.PreferredOwners), m.nodes(g.PossibleOwners)
	g.DrainedFrom, g.Assignment = m.nodeOrNone(g.DrainedFrom), m.assignment(g.Assignment)
	g.Members = m.members(g.Members)
	g.DependsOn = slices.Clone(g.DependsOn)
	for i := range g.DependsOn {
		g.DependsOn[i] = m.key(g.DependsOn[i])
	}
	for i := range g.Reports {
		g.Reports[i].Node, g.Reports[i].ID = m.node(g.Reports[i].Node), m.id(g.Reports[i].ID)
	}
	for i := range g.Failures {
		g.Failures[i].Node = m.node(g.Failures[i].Node)
	}
	if g.Move != nil {
		g.Move.Target = m.nodeOrNone(g.Move.Target)
	}
}

func renameResult(r policy.Result, m naming) policy.Result {
	for i := range r.Decisions {
		d := &r.Decisions[i]
		d.Group, d.UID, d.From, d.Assignment = m.key(d.Group), m.uid(d.UID), m.nodeOrNone(d.From), m.assignment(d.Assignment)
		d.Members, d.Changes = m.members(d.Members), m.changes(d.Changes)
		if d.Failure != nil {
			d.Failure.Node = m.node(d.Failure.Node)
		}
		if d.Move != nil {
			d.Move.Target = m.nodeOrNone(d.Move.Target)
		}
	}
	groups := map[model.GroupKey]policy.GroupNote{}
	for key, note := range r.Groups {
		candidates := note.Candidates.All()
		for i := range candidates {
			candidates[i].Node, candidates[i].ID = m.node(candidates[i].Node), m.id(candidates[i].ID)
		}
		note.Candidates = policy.CandidatesOf(candidates)
		groups[m.key(key)] = note
	}
	r.Groups = groups
	return r
}

// withoutSentences leaves out what is for people, and names nodes and groups in the middle of a sentence.
func withoutSentences(r policy.Result) policy.Result {
	r.Decisions = slices.Clone(r.Decisions)
	for i := range r.Decisions {
		d := &r.Decisions[i]
		d.Note = ""
		if d.Move != nil {
			d.Move = new(*d.Move)
			d.Move.Message = ""
		}
	}
	groups := map[model.GroupKey]policy.GroupNote{}
	for key, note := range r.Groups {
		candidates := note.Candidates.All()
		for i := range candidates {
			candidates[i].Message = ""
		}
		note.Message, note.Candidates = "", policy.CandidatesOf(candidates)
		groups[key] = note
	}
	r.Groups = groups
	return r
}
