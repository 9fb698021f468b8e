package whatif

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/policy/standin"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// publish writes what the agents report into the Nodes, and what the manager makes of it.
func (w *World) publish() {
	o := w.objects
	o.Fresh, o.Reporter = w.quorate, ""
	for i, n := range o.Nodes {
		c := *n
		c.Status = *n.Status.DeepCopy()
		w.report(&c, w.host(n.Name))
		o.Nodes[i] = &c
	}
	if reporter := w.reporter(); reporter != nil {
		o.Reporter = reporter.name
	}
	owned := map[string]int{}
	for _, g := range o.Groups {
		for _, n := range o.Nodes {
			if a := snapshot.AssignmentFor(g, n.Name); a != nil && a.Node == n.Name {
				owned[n.Name]++
			}
		}
	}
	view := o.View()
	facts := make([]*status.NodeFacts, len(o.Nodes))
	for i, n := range o.Nodes {
		facts[i] = &status.NodeFacts{Node: n, Cluster: o.Cluster, View: view, Nodes: o.Nodes, Owns: owned[n.Name], Now: w.now}
	}
	nodes := make([]*v1alpha1.Node, len(o.Nodes))
	for i, st := range status.Nodes(facts) {
		c := *o.Nodes[i]
		c.Status = *st
		nodes[i] = &c
	}
	o.Nodes = nodes
}

// reporter is the member that publishes the view: the lowest id that reaches the API server.
func (w *World) reporter() *host {
	var lowest *host
	for _, h := range w.hosts {
		if h.up && h.reaches && (lowest == nil || h.id < lowest.id) {
			lowest = h
		}
	}
	return lowest
}

// report writes what the agent of one host says. A host that is down, or has lost quorum, leaves its last words behind.
func (w *World) report(n *v1alpha1.Node, h *host) {
	if n.Status.Agent == nil {
		n.Status.Agent = w.firstReport(n)
	}
	agent := n.Status.Agent
	agent.View = nil
	if !h.up {
		return
	}
	agent.NodeID, agent.Generation = int32(h.id), int64(h.generation)
	w.reportVotes(agent)
	if w.quorate && h == w.reporter() {
		agent.View = w.agentView()
	}
	w.reportGroups(agent, h)
}

// firstReport is what a host is taken to be of which nothing is known: what its Node and the cluster promise, and a kernel that guards
// addresses.
func (w *World) firstReport(n *v1alpha1.Node) *v1alpha1.AgentStatus {
	agent := &v1alpha1.AgentStatus{Guards: &v1alpha1.AgentGuards{Addresses: true}}
	if c := w.objects.Cluster; c != nil {
		agent.Guards.Watchdog = c.Spec.SelfFence.WatchdogDevice != ""
	}
	for _, other := range w.objects.Nodes {
		if other.Name == n.Name || len(other.Spec.Fencing) == 0 {
			continue
		}
		target := v1alpha1.AgentFenceTarget{Node: other.Name}
		for _, l := range other.Spec.Fencing {
			target.Levels = append(target.Levels, l.Level)
		}
		agent.CanFence = append(agent.CanFence, target)
	}
	return agent
}

func (w *World) reportVotes(agent *v1alpha1.AgentStatus) {
	agent.Voters = nil
	if w.record == nil {
		return
	}
	agent.RecordNumber, agent.WitnessVotes = int64(w.record.Number), w.record.Witness != 0
	agent.WitnessOnly, agent.Forced = w.record.WitnessOnly, w.record.Forced
	for _, id := range w.record.Voters {
		agent.Voters = append(agent.Voters, int32(id))
	}
}

func (w *World) agentView() *v1alpha1.AgentView {
	v := &v1alpha1.AgentView{
		ID:      v1alpha1.ViewID{Number: int64(w.view.Number), Coordinator: int32(w.view.Coordinator), Record: int64(w.view.Record)},
		Quorate: true, WitnessHeld: w.holdsWitness(), InstalledAt: &metav1.MicroTime{Time: w.installed},
	}
	for _, h := range w.hosts {
		if h.up {
			v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: int32(h.id), Generation: int64(h.generation), ReachesAPI: h.reaches})
		}
	}
	slices.SortFunc(v.Members, func(a, b v1alpha1.AgentViewMember) int { return int(a.ID) - int(b.ID) })
	return v
}

// reportGroups writes what the agent knows of each group that there is.
func (w *World) reportGroups(agent *v1alpha1.AgentStatus, h *host) {
	agent.Groups = make([]v1alpha1.AgentGroup, 0, len(h.mine))
	for _, g := range w.objects.Groups {
		if l := h.mine[string(g.UID)]; l != nil {
			agent.Groups = append(agent.Groups, agentGroup(g, l))
		}
	}
}

func agentGroup(g *v1alpha1.ResourceGroup, l *standin.Local) v1alpha1.AgentGroup {
	entry := v1alpha1.AgentGroup{
		UID: string(g.UID), Namespace: g.Namespace, Name: g.Name, Epoch: int64(l.Running), Generation: int64(l.Generation),
		Released: int64(l.Released), Floor: int64(l.Floor), ProvenEpoch: int64(l.Proven),
	}
	if l.Failing != "" {
		entry.FailoverWanted = &v1alpha1.FailoverRequest{
			Resource: l.Failing, Epoch: int64(l.Running), Network: l.FailedNetwork, Time: &metav1.Time{Time: l.FailedAt},
		}
	}
	return entry
}

// others says that a host that is up, other than this one, runs the group: an agent waits for it.
func (w *World) others(h *host, g *v1alpha1.ResourceGroup) bool {
	uid := string(g.UID)
	return !snapshot.Balanced(g) && slices.ContainsFunc(w.hosts, func(o *host) bool {
		l := o.mine[uid]
		return o != h && o.up && l != nil && l.Running > 0 && l.Generation == o.generation
	})
}

// local is what the host knows of a group.
func (h *host) local(uid string) *standin.Local {
	l := h.mine[uid]
	if l == nil {
		l = &standin.Local{Generation: h.generation}
		h.mine[uid] = l
	}
	return l
}
