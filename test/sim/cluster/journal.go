package cluster

import (
	"reflect"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// journal is nodeagent's: the node's part in what is decided without the API server.
type journal struct {
	machine *autonomy.Machine
	// told is what heartbeats say; held is what waits until they say it.
	told    bool
	held    []autonomy.Envelope
	telling bool
	// waiting says that something was not looked at because it was not known whom to obey.
	waiting bool
	last    *autonomy.Report
	spoken  map[string]v1alpha1.ResourceStatus
	obeyed  bool
}

// said says that heartbeats tell what the machine's are to tell.
func (j *journal) said() bool { return j.told == j.machine.Pending() }

const journalTick = 100 * time.Millisecond

func (a *agent) startJournal() {
	n := a.node
	a.journal.spoken = map[string]v1alpha1.ResourceStatus{}
	a.journal.machine = autonomy.New(autonomy.Config{
		Self: n.id, Node: n.name, Cluster: clusterName, Decides: n.c.autonomy, Boot: a.wall(0),
	}, n.kept, n.now())
	a.journal.told = !a.journal.machine.Pending() // so that it is told
	a.tellPending()
	if n.c.autonomy {
		a.after(n.c.Between(0, journalTick), a.tickJournal)
	}
}

func (a *agent) tickJournal() {
	a.drive(func(m *autonomy.Machine) {
		a.feed(m)
		m.Tick(a.node.now())
	})
	a.after(journalTick, a.tickJournal)
}

// feed hands in what the API server shows, as far as this node has it.
func (a *agent) feed(m *autonomy.Machine) {
	c := a.node.cache
	if !c.connected {
		return
	}
	o := &snapshot.Objects{Name: clusterName}
	o.Cluster, _ = c.objects[ref{"Cluster", clusterName}].(*v1alpha1.Cluster)
	o.Quorum, _ = c.objects[ref{"QuorumConfig", clusterName}].(*v1alpha1.QuorumConfig)
	o.Nodes, o.Groups = listOf[*v1alpha1.Node](c, "Node"), c.groups()
	o.Resources = listOf[*v1alpha1.Resource](c, "Resource")
	m.Seen(o)
}

// drive makes a step of the machine, and does what follows from it: the disk, the heartbeats, the network, the groups.
func (a *agent) drive(step func(m *autonomy.Machine)) {
	n, j := a.node, &a.journal
	step(j.machine)
	out := j.machine.Ready()
	if out.Save != nil {
		n.c.check.committed(n, n.kept, out.Save)
		n.kept = out.Save
		if out.Save.Pending {
			for _, g := range out.Save.Copy.Objects(clusterName).Groups {
				n.floors[string(g.UID)] = max(n.floors[string(g.UID)], model.Epoch(replica.EpochOf(g)))
			}
		}
	}
	a.keepOnWitness(out.Keep)
	n.c.check.heard(n, out.Replies)
	j.held = append(j.held, out.Send...)
	a.tellPending()
	if obeys := j.machine.ObeysAPI(); out.Changed || obeys != j.obeyed {
		j.obeyed = obeys
		a.allDirty()
		a.wake(n.c.Between(20*time.Microsecond, 500*time.Microsecond))
		a.publisher.kick(a)
	}
}

// tellPending has heartbeats say whether the node goes by its journal, then sends what has waited for it.
func (a *agent) tellPending() {
	j := &a.journal
	if !j.said() {
		before := j.told
		j.told = j.machine.Pending()
		if !a.node.host.SetPending(j.told) {
			j.told = before
			if !j.telling {
				j.telling = true
				a.after(2*time.Millisecond, func() { j.telling = false; a.tellPending() })
			}
			return
		}
	}
	held := j.held
	j.held = nil
	for _, e := range held {
		a.sendJournal(e)
	}
}

func (a *agent) sendJournal(e autonomy.Envelope) {
	c, from, to := a.node.c, a.node, a.node.c.nodes[e.To-1]
	if !c.Reaches(from.id, to.id) || !c.Reaches(to.id, from.id) {
		return
	}
	c.After(c.Between(200*time.Microsecond, 3*time.Millisecond), func() {
		b := to.agent
		if b == nil || to.host.Frozen() || b.busy {
			return
		}
		b.drive(func(m *autonomy.Machine) {
			if e.Message.Lead != nil && !m.Pending() {
				b.beforeJournal(m)
			}
			m.Receive(to.now(), from.id, &e.Message)
		})
	})
}

// beforeJournal tells all that this node has obeyed until now, before it goes by the journal (J7).
func (a *agent) beforeJournal(m *autonomy.Machine) {
	if enforced(ruleFeed) {
		a.feed(m)
		a.journal.last = a.makeReport()
		m.Report(a.journal.last)
	}
}

// groupObject is the group as this node is to take it; goes is false while it is not known whom to obey.
func (a *agent) groupObject(name string) (g *v1alpha1.ResourceGroup, goes bool) {
	m := a.journal.machine
	switch {
	case m.Pending():
		o := m.Objects()
		if o == nil {
			return nil, false
		}
		at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return g.Name == name })
		if at < 0 {
			return nil, false
		}
		return o.Groups[at], true
	case !m.ObeysAPI():
		return nil, false
	}
	return a.node.cache.group(name), true
}

func (a *agent) groupResources(group string) []*v1alpha1.Resource {
	if m := a.journal.machine; m.Pending() {
		return slices.DeleteFunc(m.Objects().Resources, func(r *v1alpha1.Resource) bool { return r.Spec.GroupName != group })
	}
	return a.node.cache.resources(group)
}

// reportJournal tells the machine what is on this node, if that has changed.
func (a *agent) reportJournal() {
	if !a.node.c.autonomy {
		return
	}
	r := a.makeReport()
	if last := a.journal.last; last != nil && reflect.DeepEqual(last.Agent, r.Agent) && reflect.DeepEqual(last.Resources, r.Resources) {
		return
	}
	a.journal.last = r
	a.drive(func(m *autonomy.Machine) { m.Report(r) })
}

func (a *agent) makeReport() *autonomy.Report {
	r := &autonomy.Report{Agent: a.status(nil)}
	r.Agent.View, r.Agent.Journal = nil, nil
	r.Serial = uint64(a.node.now())
	for _, g := range a.sorted() {
		for i := range g.report.Resources {
			resource := &g.report.Resources[i]
			before := a.journal.spoken[resource.UID]
			if status, speaks := a.resourceStatus(g, resource, &before); speaks {
				a.journal.spoken[resource.UID] = status
				r.Resources = append(r.Resources, autonomy.ResourceReport{UID: resource.UID, Status: status})
			}
		}
	}
	return r
}

// journalStatus is status.agent.journal.
func (a *agent) journalStatus() *v1alpha1.AgentJournal {
	m := a.journal.machine
	pending := m.ViewPending()
	if !pending && !m.Lost() || !enforced(ruleShown) {
		return nil
	}
	out := &v1alpha1.AgentJournal{Pending: pending, Lost: m.Lost()}
	if entries := m.Journal(); len(entries) > 0 && a.st.Reporter == a.st.Self.ID {
		page, token, _, err := replica.Page(entries)
		if err != nil {
			a.node.c.Fail("the journal: %v", err)
		}
		out.Page, out.Token = page, token
	}
	return out
}

// committed checks what a node takes over from the journal: S5.
func (k *checker) committed(n *node, before, after *autonomy.State) {
	if before == nil || before.Copy == nil || !after.Pending || before.Copy == after.Copy {
		return
	}
	k.c.count("journal", 1)
	for _, g := range after.Copy.Groups {
		a := snapshot.Assignment(g.Status.Assignment)
		at, owner := epochKey(string(g.UID), a.Epoch), model.Member{ID: a.ID, Generation: a.Generation}
		if a.Node == "" || a.View.Number == 0 {
			continue
		}
		if other, ok := k.owners[at]; ok && other != owner {
			k.c.Fail("S5: epoch %d of %s is given to %v after %v, by the journal of node %d", a.Epoch, g.Name, owner, other, n.id)
		}
		if _, known := k.owners[at]; !known {
			k.c.Trace("journal %s to %s epoch %d view %v unproven %v (%s)", g.Name, a.Node, a.Epoch, a.View, a.Unproven, a.Reason)
			k.c.count("autonomous", 1)
			if n.agent.st.Witness.Needed {
				k.c.count("bywitness", 1)
			}
		}
		k.owners[at] = owner
	}
}
