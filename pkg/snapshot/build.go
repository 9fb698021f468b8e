package snapshot

import (
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Options are what the objects do not say themselves.
type Options struct {
	// Invalid has the message of every group that may not be started (Accepted=False).
	Invalid map[model.GroupKey]string
	// HighestView is the highest number of a view that the caller has ever seen of the cluster. Objects that show a lower one come
	// from an API server that has gone back in time (rule O6).
	HighestView uint64
}

// facts are what the translation of one object needs of the others.
type facts struct {
	view     *model.View
	invalid  map[model.GroupKey]string
	advisory map[string]bool
}

// Build translates the objects. The result shares slices and maps with them.
func Build(o *Objects, opts Options) *model.Snapshot {
	f := &facts{view: o.View(), invalid: opts.Invalid, advisory: advisoryDisks(o.Nodes)}
	s := &model.Snapshot{
		Cluster: clusterOf(o),
		View:    f.view,
		Nodes:   make([]model.Node, 0, len(o.Nodes)),
		Groups:  make([]model.Group, 0, len(o.Groups)),
	}
	for _, n := range o.Nodes {
		node := nodeOf(n, f.view)
		generation, member := f.view.Generation(node.ID)
		node.PowerFencing = powerFencing(n, o.Nodes)
		node.Reported = member && n.Status.Agent != nil && n.Status.Agent.Generation == int64(generation)
		s.Nodes = append(s.Nodes, node)
	}
	reports, resources := Reports(o.Nodes), o.ResourcesByGroup()
	for _, g := range o.Groups {
		s.Groups = append(s.Groups, groupOf(g, resources[Key(g)], reports[string(g.UID)], f))
	}
	s.Restored = f.view != nil && (f.view.ID.Number < opts.HighestView || o.JournalLost())
	return s
}

func clusterOf(o *Objects) model.Cluster {
	cluster := model.Cluster{Name: o.Name}
	if o.Cluster != nil {
		spec := &o.Cluster.Spec
		cluster.AntiAffinityRequired = spec.AntiAffinity == v1alpha1.AntiAffinityRequired
		cluster.Preempt = spec.Preemption == v1alpha1.PreemptionLowerPriority
		cluster.RequireFencing = spec.RequireFencing
		cluster.Maintenance = spec.Maintenance
	}
	return cluster
}

// advisoryDisks are the disks whose reservation proves nothing: a node says that it is Advisory, or one says that there is none
// and no other knows better.
func advisoryDisks(nodes []*v1alpha1.Node) map[string]bool {
	advisory, enforced := map[string]bool{}, map[string]bool{}
	for _, n := range nodes {
		if n.Status.Agent == nil {
			continue
		}
		for _, d := range n.Status.Agent.Disks {
			switch d.Reservation {
			case v1alpha1.ReservationEnforced:
				enforced[d.Device] = true
			case v1alpha1.ReservationAdvisory:
				advisory[d.Device] = true
			case v1alpha1.ReservationNone:
				if !advisory[d.Device] {
					advisory[d.Device] = false // known, and not certain
				}
			}
		}
	}
	for device, certain := range advisory {
		advisory[device] = certain || !enforced[device]
	}
	return advisory
}

// Reports are what the agents say of groups, by the group's UID: groups are told apart by it (rule O7).
func Reports(nodes []*v1alpha1.Node) map[string][]model.OwnerReport {
	reports := map[string][]model.OwnerReport{}
	for _, n := range nodes {
		if n.Status.Agent == nil {
			continue
		}
		for i := range n.Status.Agent.Groups {
			entry := &n.Status.Agent.Groups[i]
			reports[entry.UID] = append(reports[entry.UID], reportOf(n, entry))
		}
	}
	return reports
}

func reportOf(n *v1alpha1.Node, g *v1alpha1.AgentGroup) model.OwnerReport {
	report := model.OwnerReport{
		Node:       n.Name,
		ID:         model.NodeID(n.Status.ID),
		Generation: model.Generation(g.Generation),
		Running:    epoch(g.Epoch),
		Released:   epoch(g.Released),
		Floor:      epoch(g.Floor),
		Proven:     epoch(g.ProvenEpoch),
	}
	if report.Generation == 0 {
		report.Generation = model.Generation(n.Status.Agent.Generation)
	}
	if want := g.FailoverWanted; want != nil {
		report.FailoverWanted, report.FailoverEpoch = want.Resource, epoch(want.Epoch)
		report.FailedAt, report.FailedNetwork = timeOf(want.Time), want.Network
	}
	return report
}

// AgentReport returns what the node's agent says of the group, or nil.
func AgentReport(n *v1alpha1.Node, uid string) *v1alpha1.AgentGroup {
	if n == nil || n.Status.Agent == nil {
		return nil
	}
	i := slices.IndexFunc(n.Status.Agent.Groups, func(g v1alpha1.AgentGroup) bool { return g.UID == uid })
	if i < 0 {
		return nil
	}
	return &n.Status.Agent.Groups[i]
}
