package nodeagent

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/fenceplan"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// facts gathers what a decision about fencing is made from; nil when no node that can be fenced is missing from the view.
func (f *powerFencer) facts(ctx context.Context, w *world, s *standing) (*fenceplan.Facts, error) {
	all, err := w.nodes(ctx)
	if err != nil {
		return nil, err
	}
	nodes := slices.DeleteFunc(all, func(n *v1alpha1.Node) bool { return n.Spec.ClusterName != f.cluster || n.Status.ID == 0 })
	f.forget(newestLives(nodes, s))
	lost := slices.ContainsFunc(nodes, func(n *v1alpha1.Node) bool {
		return len(n.Spec.Fencing) > 0 && !s.View.Has(model.NodeID(n.Status.ID))
	})
	if !lost {
		return nil, nil
	}
	objects := &snapshot.Objects{Name: f.cluster, Nodes: nodes}
	if objects.Cluster, err = w.cluster(ctx, f.cluster); err != nil || objects.Cluster == nil {
		return nil, err
	}
	if objects.Groups, err = w.groups(ctx, f.cluster); err != nil {
		return nil, err
	}
	if objects.Resources, err = w.allResources(ctx); err != nil {
		return nil, err
	}
	return f.factsFrom(objects, s), nil
}

func (f *powerFencer) factsFrom(o *snapshot.Objects, s *standing) *fenceplan.Facts {
	facts := &fenceplan.Facts{Self: s.Self.ID, Acting: s.Acting, Maintenance: o.Cluster.Spec.Maintenance}
	for _, m := range s.View.Members {
		member := fenceplan.Member{Member: m, ReachesAPI: s.ReachesAPI}
		if p, found := s.peer(m.ID); found {
			member.ReachesAPI = p.ReachesAPI && !p.Silent
		}
		facts.View = append(facts.View, member)
	}
	newest := newestLives(o.Nodes, s)
	can, fencings, confirmations := f.report()
	can = slices.DeleteFunc(can, func(target v1alpha1.AgentFenceTarget) bool { return f.outdated(o.Node(target.Node)) })
	for _, n := range o.Nodes {
		facts.Nodes = append(facts.Nodes, f.nodeFacts(n, o.Nodes, newest[model.NodeID(n.Status.ID)], s, can, fencings, confirmations))
	}
	built := snapshot.Build(o, snapshot.Options{})
	inMaintenance := map[model.NodeID]bool{}
	for _, n := range built.Nodes {
		inMaintenance[n.ID] = n.Maintenance
	}
	for i := range built.Groups {
		facts.Groups = append(facts.Groups, groupFacts(&built.Groups[i], inMaintenance))
	}
	return facts
}

// outdated says that the levels of a node were looked at before its spec was changed: it is not fenced by what it said before. They
// are looked at again at once.
func (f *powerFencer) outdated(n *v1alpha1.Node) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == nil || f.checked[n.Name] == n.Generation {
		return false
	}
	select {
	case f.recheck <- struct{}{}:
	default:
	}
	return true
}

// newestLives are the highest generation of each node that was seen in a view, or is heard now.
func newestLives(nodes []*v1alpha1.Node, s *standing) map[model.NodeID]model.Generation {
	newest := map[model.NodeID]model.Generation{}
	for _, n := range nodes {
		newest[model.NodeID(n.Status.ID)] = model.Generation(max(0, n.Status.Generation))
	}
	for _, p := range s.Peers {
		if _, known := newest[p.ID]; known {
			newest[p.ID] = max(newest[p.ID], p.Generation)
		}
	}
	return newest
}

func (f *powerFencer) nodeFacts(
	n *v1alpha1.Node, nodes []*v1alpha1.Node, life model.Generation, s *standing,
	can []v1alpha1.AgentFenceTarget, fencings []v1alpha1.AgentFencing, confirmations []v1alpha1.AgentConfirmation,
) fenceplan.Node {
	out := fenceplan.Node{
		ID: model.NodeID(n.Status.ID), Name: n.Name, Generation: life, Maintenance: n.Spec.Maintenance, Policy: fenceplan.Policy(n.Spec.FencingPolicy),
		StaysOff: n.Spec.PowerAfterFencing == v1alpha1.PowerOff, Fencers: map[model.NodeID][]int{},
	}
	if p, found := s.peer(out.ID); found {
		out.Left = p.Leaving || p.Left
	}
	if p := n.Status.Fencing; p != nil && p.Generation == int64(life) {
		// A proof of either kind: there is nothing left to do.
		out.Confirmed = life
	}
	for _, by := range nodes {
		agent := by.Status.Agent
		if by.Name == f.nodeName {
			agent = &v1alpha1.AgentStatus{CanFence: can, Fencings: fencings, Confirmations: confirmations} // the API may be late
		}
		if agent == nil {
			continue
		}
		for _, target := range agent.CanFence {
			if target.Node == n.Name {
				for _, l := range target.Levels {
					out.Fencers[model.NodeID(by.Status.ID)] = append(out.Fencers[model.NodeID(by.Status.ID)], int(l))
				}
			}
		}
		for _, r := range agent.Fencings {
			if r.NodeID == n.Status.ID {
				out.Records = append(out.Records, fenceplan.Record{
					By: model.NodeID(by.Status.ID), Generation: model.Generation(r.Generation), State: fenceplan.State(r.State),
					Failures: int(r.Failures), Attempts: plainTimes(r.Attempts), Cycles: plainTimes(r.Cycles),
				})
			}
		}
		for _, c := range agent.Confirmations {
			if c.NodeID == n.Status.ID && c.Generation == int64(life) {
				out.Confirmed = life
			}
		}
	}
	return out
}

func plainTimes(times []metav1.MicroTime) []time.Time {
	var out []time.Time
	for _, t := range times {
		out = append(out, t.Time)
	}
	return out
}

func groupFacts(g *model.Group, inMaintenance map[model.NodeID]bool) fenceplan.Group {
	a := &g.Assignment
	out := fenceplan.Group{Name: g.Key.String(), NeedsFencing: g.NeedsFencing, Maintenance: g.Maintenance}
	if a.Node != "" {
		out.Owner = model.Member{ID: a.ID, Generation: a.Generation}
		out.Maintenance = out.Maintenance || inMaintenance[a.ID]
	}
	for _, o := range a.Unproven {
		out.Unproven = append(out.Unproven, model.Member{ID: o.ID, Generation: o.Generation})
	}
	out.Proven = slices.ContainsFunc(g.Reports, func(r model.OwnerReport) bool { return r.ID == a.ID && r.Proven >= a.Epoch })
	return out
}

// proofs are the lives of nodes that are proven over because the host is off: by what any agent has done, and by what the manager has
// written down.
func (f *powerFencer) proofs(ctx context.Context) (fenced, confirmed map[model.Member]bool, err error) {
	fenced, confirmed = map[model.Member]bool{}, map[model.Member]bool{}
	add := func(fencings []v1alpha1.AgentFencing, confirmations []v1alpha1.AgentConfirmation) {
		for _, r := range fencings {
			if r.State == v1alpha1.FencingFenced {
				fenced[lifeOf(r.NodeID, r.Generation)] = true
			}
		}
		for _, c := range confirmations {
			confirmed[lifeOf(c.NodeID, c.Generation)] = true
		}
	}
	_, fencings, confirmations := f.report()
	add(fencings, confirmations)
	w := f.world()
	if w == nil {
		return fenced, confirmed, nil
	}
	nodes, err := w.nodes(ctx)
	if err != nil {
		return fenced, confirmed, fmt.Errorf("reading who was fenced: %w", err)
	}
	for _, n := range nodes {
		if n.Spec.ClusterName != f.cluster {
			continue
		}
		if agent := n.Status.Agent; agent != nil && n.Name != f.nodeName {
			add(agent.Fencings, agent.Confirmations)
		}
		switch p := n.Status.Fencing; {
		case p == nil || n.Status.ID == 0:
		case p.Proof == v1alpha1.ProofPowerFenced:
			fenced[lifeOf(n.Status.ID, p.Generation)] = true
		case p.Proof == v1alpha1.ProofManualConfirmation:
			confirmed[lifeOf(n.Status.ID, p.Generation)] = true
		}
	}
	return fenced, confirmed, nil
}

func lifeOf(id int32, generation int64) model.Member {
	return model.Member{ID: model.NodeID(id), Generation: model.Generation(generation)}
}
