package polictest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/standin"
)

// Namespace is the namespace of every group of the fake world.
const Namespace = "demo"

// World is a cluster with its agents. It is driven by one goroutine.
type World struct {
	Cluster model.Cluster
	Now     time.Time
	Start   time.Time
	hosts   []*host
	groups  []*group
	view    model.ViewID
	// installed is when the view was.
	installed time.Time
	quorate   bool
	restored  bool
	// holdProof keeps agents from proving earlier owners harmless.
	holdProof bool
	uids      int
}

// host is a machine with its agent.
type host struct {
	model.Node
	up bool
	// hung hosts stay in the view, but their agents neither act nor report.
	hung bool
	// forgotten hosts have no Node object any more; the machine may go on all the same.
	forgotten bool
	// mine is what the agent knows of each group, by UID.
	mine map[string]*standin.Local
}

// group is a group as the API has it.
type group struct {
	model.Group
	history []model.Assignment
	// pastMembers are the members that came with an assignment, by its epoch.
	pastMembers map[model.Epoch][]model.GroupMember
	// leaving is the node that a drain is taking the group from.
	leaving string
}

// NewWorld returns an empty cluster at midnight, UTC, of 2026-01-01.
func NewWorld() *World {
	start := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return &World{Cluster: model.Cluster{Name: "demo"}, Now: start, Start: start, quorate: true}
}

func (w *World) host(name string) *host {
	for _, h := range w.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

func (w *World) group(name string) *group {
	for _, g := range w.groups {
		if g.Key.Name == name {
			return g
		}
	}
	return nil
}

func (h *host) local(uid string) *standin.Local {
	l := h.mine[uid]
	if l == nil {
		l = &standin.Local{Generation: h.Generation}
		h.mine[uid] = l
	}
	return l
}

// newView installs the next view, of the hosts that are up.
func (w *World) newView() {
	w.view.Number++
	w.view.Coordinator = 0
	for _, h := range w.hosts {
		if h.up && (w.view.Coordinator == 0 || h.ID < w.view.Coordinator) {
			w.view.Coordinator = h.ID
		}
	}
	w.installed = w.Now
}

// begin starts a new life of a host: what ran in the old one is gone.
func (w *World) begin(h *host) {
	h.up, h.hung, h.Connected = true, false, true
	h.Generation++
	h.JoinedAt = w.Now
	h.JoinEpoch++
	for _, l := range h.mine {
		l.Begin(h.Generation)
	}
}

// Snapshot returns what the controllers see.
func (w *World) Snapshot() *model.Snapshot {
	s := &model.Snapshot{Cluster: w.Cluster, Restored: w.restored}
	v := &model.View{ID: w.view, Quorate: w.quorate, Installed: w.installed}
	for _, h := range w.hosts {
		n := h.Node
		n.State = model.NodeDown
		if h.up {
			n.State = model.NodeUp
			v.Members = append(v.Members, model.ViewMember{Member: model.Member{ID: h.ID, Generation: h.Generation}, ReachesAPI: h.Connected})
		}
		if !h.forgotten {
			s.Nodes = append(s.Nodes, n)
		}
	}
	s.View = v
	for _, g := range w.groups {
		c := g.Group
		c.Failures = slices.Clone(g.Failures)
		c.Assignment.Unproven = slices.Clone(g.Assignment.Unproven)
		c.Members = w.members(g)
		c.Reports = w.reports(g)
		c.State = w.state(g)
		s.Groups = append(s.Groups, c)
	}
	return s
}

func (w *World) reports(g *group) []model.OwnerReport {
	var reports []model.OwnerReport
	for _, h := range w.hosts {
		l, ok := h.mine[g.UID]
		if !ok {
			continue
		}
		reports = append(reports, l.Report(h.Name, h.ID))
	}
	return reports
}

func (w *World) state(g *group) model.GroupState {
	if g.Mode == model.ModeLoadBalanced {
		return model.AggregateMembers(w.members(g))
	}
	h := w.host(g.Assignment.Node)
	if h == nil || g.ResourceCount == 0 || !h.up || h.Generation != g.Assignment.Generation {
		return model.GroupOffline
	}
	l := h.local(g.UID)
	switch {
	case l.Running != g.Assignment.Epoch:
		return model.GroupPending
	case l.Failing != "":
		return model.GroupFailed
	}
	return model.GroupOnline
}

// Apply carries out a decision as the group controller does.
func (w *World) Apply(d policy.Decision) {
	g := w.group(d.Group.Name)
	if d.Kind == policy.Assign || d.Kind == policy.Withdraw {
		g.history = append(g.history, d.Assignment)
		g.recordDrain(d)
	}
	g.Assignment = d.Assignment
	g.Assignment.Unproven = slices.Clone(d.Assignment.Unproven)
	if d.Kind == policy.Balance {
		g.Members = slices.Clone(d.Members)
		g.history = append(g.history, d.Assignment)
		g.remember(d.Assignment.Epoch)
	}
	if d.ResetFailures {
		g.Failures = slices.DeleteFunc(g.Failures, func(f model.Failure) bool { return f.Kind == model.FailureResource })
	}
	if d.Failure != nil {
		g.Failures = append(g.Failures, *d.Failure)
	}
	if d.FailedSince != nil {
		g.FailedSince = *d.FailedSince
	}
	if d.Placed != nil {
		g.PlacedByOperator, g.PlacedAt = d.Placed.ByOperator, d.Placed.At
	}
	if d.Move != nil {
		g.Move = nil
	}
}

// recordDrain remembers over both steps of a drain which node the group left.
func (g *group) recordDrain(d policy.Decision) {
	switch {
	case d.Kind == policy.Withdraw && d.Reason == model.ReasonDrain:
		g.leaving = d.From
	case d.Kind == policy.Assign && d.Reason == model.ReasonDrain:
		g.DrainedFrom, g.leaving = g.leaving, ""
	case d.Kind == policy.Assign:
		g.DrainedFrom, g.leaving = "", ""
	}
}

// Act lets every agent look at every group once. It returns what happened, in the order of nodes and groups.
func (w *World) Act() []string {
	var happened []string
	for _, h := range w.hosts {
		if !h.up || h.hung || !h.Connected {
			continue
		}
		for _, g := range w.groups {
			if e := w.act(h, g); e != "" {
				happened = append(happened, e)
			}
		}
	}
	for _, g := range slices.Clone(w.groups) {
		if g.Deleting && policy.Released(&w.snapshotOf(g).Group) {
			w.groups = slices.DeleteFunc(w.groups, func(o *group) bool { return o == g })
			happened = append(happened, "removed   "+g.Key.Name)
		}
	}
	return happened
}

func (w *World) snapshotOf(g *group) *group {
	c := *g
	c.Reports = w.reports(g)
	return &c
}

func (w *World) act(h *host, g *group) string {
	a := g.AssignmentFor(h.Name)
	if _, known := h.mine[g.UID]; !known && !standin.Concerned(h.Name, h.ID, &a) {
		return ""
	}
	self := model.Member{ID: h.ID, Generation: h.Generation}
	did := h.local(g.UID).Look(h.Name, self, &a, w.mayStillRun(h, g), w.holdProof)
	if did == standin.Nothing {
		return ""
	}
	return fmt.Sprintf("%-9s %s on %s", did, g.Key.Name, h.Name)
}

// mayStillRun says that a host of the view other than this one runs the group: the agent waits for it.
func (w *World) mayStillRun(h *host, g *group) bool {
	return g.Mode != model.ModeLoadBalanced && slices.ContainsFunc(w.hosts, func(o *host) bool {
		l := o.mine[g.UID]
		return o != h && o.up && l != nil && l.Running > 0
	})
}

// Runners returns the hosts of the view that run the group.
func (w *World) Runners(g *group) []string {
	var names []string
	for _, h := range w.hosts {
		if l := h.mine[g.UID]; h.up && l != nil && l.Running > 0 {
			names = append(names, h.Name)
		}
	}
	return names
}

// Clone returns an independent copy of the world.
func (w *World) Clone() *World {
	c := *w
	c.hosts, c.groups = nil, nil
	for _, h := range w.hosts {
		n := *h
		n.mine = map[string]*standin.Local{}
		for uid, l := range h.mine {
			n.mine[uid] = new(*l)
		}
		n.Reached = maps.Clone(h.Reached)
		n.HiddenDisks, n.LackedImages = maps.Clone(h.HiddenDisks), maps.Clone(h.LackedImages)
		c.hosts = append(c.hosts, &n)
	}
	for _, g := range w.groups {
		n := *g
		n.Failures, n.history, n.Members = slices.Clone(g.Failures), slices.Clone(g.history), slices.Clone(g.Members)
		n.pastMembers = maps.Clone(g.pastMembers)
		c.groups = append(c.groups, &n)
	}
	return &c
}
