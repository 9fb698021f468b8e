package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// published is a view that a node has published as quorate, and the look that first saw it.
type published struct {
	node    string
	id      model.NodeID
	view    model.ViewID
	members []model.NodeID
	look    int
}

// excludes says that the view is without the node.
func (p published) excludes(id model.NodeID) bool { return !slices.Contains(p.members, id) }

func (p published) String() string {
	var ids []string
	for _, id := range p.members {
		ids = append(ids, fmt.Sprint(id))
	}
	return fmt.Sprintf("%s published quorate view %d/%d of nodes %s", p.node, p.view.Number, p.view.Coordinator, strings.Join(ids, ", "))
}

// publishedNow are the quorate views that the nodes publish, each with the look in which it was first seen.
func (a *Auditor) publishedNow(s *scene) []published {
	var now []published
	for _, n := range s.Objects.Nodes {
		if n.Status.Agent == nil || n.Status.Agent.View == nil || !n.Status.Agent.View.Quorate {
			delete(a.views, n.Name)
			continue
		}
		p := publishedBy(n)
		p.look = a.verdict.Looks
		if before, known := a.views[n.Name]; known && before.view == p.view {
			p.look = before.look
		}
		a.views[n.Name] = p
		now = append(now, p)
	}
	return now
}

// viewsExclude is S3 as the API shows it. A node's view stays in its status when the node is lost, so an older view beside a newer one
// is history. It is a contradiction when two nodes have published different views of one number, each without the other (R3), or when
// a node publishes a view that is not newer than one without it that was there before.
func (a *Auditor) viewsExclude(s *scene) []suspicion {
	if s.Objects == nil {
		return nil
	}
	now := a.publishedNow(s)
	var all []suspicion
	for _, p := range now {
		for _, q := range now {
			if !p.excludes(q.id) || !q.excludes(p.id) || p.node == q.node {
				continue
			}
			same := p.view.Number == q.view.Number && p.node < q.node
			// Both before the first look: which came first is not known.
			late := p.view.Number < q.view.Number && p.look > q.look
			if !same && !late {
				continue
			}
			all = append(all, s.suspect("S3", "Cluster "+s.Objects.Name, p.node+q.node+p.view.String()+q.view.String(),
				fmt.Sprintf("%s and %s claim quorum in views that exclude each other", p.node, q.node),
				"Stop the groups on one side at once, and compare the vote records: `quorate-agent status` on both hosts",
				s.fromAPI("%s", p), s.fromAPI("%s", q)))
		}
	}
	return all
}

func publishedBy(n *v1alpha1.Node) published {
	view := n.Status.Agent.View
	p := published{node: n.Name, id: model.NodeID(n.Status.ID), view: snapshot.ViewID(view.ID)}
	p.view.Record = 0 // for display only
	for _, m := range view.Members {
		p.members = append(p.members, model.NodeID(m.ID))
	}
	return p
}

// actingTwice is S3 on the hosts themselves: two agents that may start things, in views without each other.
func actingTwice(s *scene) []suspicion {
	var all []suspicion
	for i, h := range s.Hosts {
		for _, other := range s.Hosts[i+1:] {
			if !acting(&h) || !acting(&other) || slices.Contains(h.Lease.Members, other.Node) || slices.Contains(other.Lease.Members, h.Node) {
				continue
			}
			all = append(all, s.suspect("S3", "Node "+h.Node, "acts beside "+other.Node,
				fmt.Sprintf("%s and %s both act, in views that exclude each other", h.Node, other.Node),
				"Stop the groups on one side at once: `quorate-agent status` on both hosts tells which has the older view",
				leaseEvidence(&h), leaseEvidence(&other)).within(s.options.Motion/2))
		}
	}
	return all
}

func acting(h *Host) bool {
	return h.Lease != nil && h.Lease.Acting && h.Lease.Left > 0 && len(h.Lease.Members) > 0 && !h.Halted
}

func leaseEvidence(h *Host) Evidence {
	return Evidence{Time: h.At, Source: SourceHosts, Fact: fmt.Sprintf("%s acts in view %s of %s, for %s yet",
		h.Node, h.Lease.View, strings.Join(h.Lease.Members, ", "), h.Lease.Left)}
}

// epochsFall is S5: no epoch is ever lower than before.
func (a *Auditor) epochsFall(s *scene) []suspicion {
	var all []suspicion
	look := func(object, what, id string, epoch int64) {
		if epoch <= 0 {
			return
		}
		now, before := model.Epoch(epoch), a.epochs[what+id]
		if now > before {
			a.epochs[what+id] = now
		}
		if now < before {
			all = append(all, s.suspect("S5", object, what+fmt.Sprint(before),
				fmt.Sprintf("the epoch of its %s fell from %d to %d", what, before, now),
				"If the API server was restored from a backup, the epochs recover as agents report; if not, look at who wrote the status",
				s.fromAPI("epoch %d, after %d was seen", now, before)).once())
		}
	}
	for _, g := range s.groups {
		look(g.object(), "assignment", string(g.UID), int64(g.assigned.Epoch))
		for _, m := range g.members {
			look(g.object(), "member "+m.Node, string(g.UID), int64(m.Epoch))
		}
		look(g.object(), "floor", string(g.UID), g.Status.EpochFloor)
		for _, r := range g.resources {
			look(resourceObject(r), "status", string(r.UID), r.Status.Epoch)
			for _, m := range r.Status.Members {
				look(resourceObject(r), "member "+m.Node, string(r.UID), m.Epoch)
			}
		}
	}
	for _, d := range s.Disks {
		if w := s.witness(); w != nil && w.Device == d.Device {
			continue // its keys carry incarnations of nodes, which come and go
		}
		var highest model.Epoch
		for _, k := range d.Status.Keys {
			if s.ours(k) {
				highest = max(highest, k.Epoch())
			}
		}
		look("Disk "+d.Device, "keys", d.Device, int64(highest))
	}
	return all
}
