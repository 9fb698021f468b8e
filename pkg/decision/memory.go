package decision

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// most is how many groups may have changed for a round to look at them alone.
const most = 64

// Memory is the last round about a cluster of which everything was written. A healthy cluster of thousands of groups changes one group at
// a time (a resource restarts, an agent reports), and such a change concerns nobody else: then only that group is looked at. Whatever
// could concern another one is decided over all groups. The zero value is ready to use.
type Memory struct {
	mu   sync.Mutex
	last *Round
	// highestView, providers and leaving are of the last round.
	highestView uint64
	providers   map[model.GroupKey]bool
	leaving     bool
}

// Round makes a round like NewRound, and looks at no more groups than the changes since the last one ask for.
func (m *Memory) Round(o *snapshot.Objects, highestView uint64, now time.Time) *Round {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.small(o, highestView, now); r != nil {
		return r
	}
	m.last = nil
	return NewRound(o, highestView, now)
}

// Keep remembers a round all of whose decisions and statuses have been written.
func (m *Memory) Keep(r *Round, highestView uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.highestView = r, highestView
	if r.changed != nil {
		return // a small round changes neither of these
	}
	m.providers, m.leaving = map[model.GroupKey]bool{}, false
	for _, g := range r.Objects.Groups {
		m.leaving = m.leaving || g.DeletionTimestamp != nil
		for _, d := range g.Spec.DependsOn {
			m.providers[model.GroupKey{Namespace: g.Namespace, Name: d.Name}] = true
		}
	}
}

// Forget makes the next round look at everything.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = nil
}

// small makes a round about the groups that have changed; nil when that is not enough.
func (m *Memory) small(o *snapshot.Objects, highestView uint64, now time.Time) *Round {
	last := m.last
	if last == nil || len(last.Plan.Decisions) > 0 || m.leaving || highestView != m.highestView ||
		!last.Plan.NextCheck.IsZero() && !now.Before(last.Plan.NextCheck) || !sameFrame(last.Objects, o) {
		return nil
	}
	changed, ok := m.changes(o)
	if !ok {
		return nil
	}
	r := &Round{
		Objects: o, Findings: last.Findings, Snapshot: last.Snapshot, Plan: last.Plan, Now: now, byGroup: last.byGroup,
		nodes: make(map[string]*v1alpha1.Node, len(o.Nodes)), decided: map[model.GroupKey]*policy.Decision{}, changed: changed,
	}
	for _, n := range o.Nodes {
		r.nodes[n.Name] = n
	}
	r.takeResources(changed)
	invalid := map[model.GroupKey]string{}
	for _, i := range changed {
		g := o.Groups[i]
		if found, bad := r.Findings.GroupError(g, r.byGroup[snapshot.Key(g)]); bad {
			invalid[snapshot.Key(g)] = found.Text()
		}
	}
	// The last snapshot is this round's from here on. Nobody else has it: that of a round that decided something is never used again.
	snapshot.Rebuild(r.Snapshot, o, changed, r.byGroup, snapshot.Options{Invalid: invalid})
	if !r.quiet(changed) {
		return nil
	}
	return r
}

// quiet says that a plan over the changed groups alone has nothing to say: then one over all has nothing new to say either, since what a
// group needs does not depend on where others are, only on where it could go to.
func (r *Round) quiet(changed []int) bool {
	part := &model.Snapshot{Cluster: r.Snapshot.Cluster, View: r.Snapshot.View, Nodes: r.Snapshot.Nodes, Restored: r.Snapshot.Restored}
	for _, i := range changed {
		if _, noted := r.Plan.Groups[r.Snapshot.Groups[i].Key]; noted {
			return false
		}
		part.Groups = append(part.Groups, r.Snapshot.Groups[i])
	}
	plan := policy.Plan(part, r.Now)
	return len(plan.Decisions) == 0 && len(plan.Groups) == 0 && plan.NextCheck.IsZero()
}

// takeResources puts the changed groups' resources of now in the place of those of the last round.
func (r *Round) takeResources(changed []int) {
	fresh := make(map[model.GroupKey][]*v1alpha1.Resource, len(changed))
	for _, i := range changed {
		fresh[snapshot.Key(r.Objects.Groups[i])] = nil
	}
	for _, res := range r.Objects.Resources {
		if list, wanted := fresh[snapshot.GroupKeyOf(res)]; wanted {
			fresh[snapshot.GroupKeyOf(res)] = append(list, res)
		}
	}
	for key, list := range fresh {
		r.byGroup[key] = list
	}
}

// sameFrame says that what every group depends on is the same: the cluster, its quorum, and who reports.
func sameFrame(a, b *snapshot.Objects) bool {
	return a.Cluster != nil && b.Cluster != nil && sameVersion(a.Cluster, b.Cluster) && a.Fresh == b.Fresh && a.Reporter == b.Reporter &&
		(a.Quorum == nil) == (b.Quorum == nil) && (a.Quorum == nil || sameVersion(a.Quorum, b.Quorum)) &&
		len(a.Nodes) == len(b.Nodes) && len(a.Groups) == len(b.Groups) && len(a.Resources) == len(b.Resources)
}

// sameVersion says that both are the same object in the same version.
func sameVersion(a, b metav1.Object) bool {
	return a == b || a.GetUID() == b.GetUID() && a.GetName() == b.GetName() && a.GetResourceVersion() != "" && a.GetResourceVersion() == b.GetResourceVersion()
}

// sameWish says that of an object at most the status has changed.
func sameWish(a, b metav1.Object) bool {
	return a.GetUID() == b.GetUID() && a.GetName() == b.GetName() && a.GetNamespace() == b.GetNamespace() && a.GetGeneration() == b.GetGeneration() &&
		a.GetGeneration() != 0 && a.GetDeletionTimestamp() == nil && b.GetDeletionTimestamp() == nil
}

// changes are the places of the groups of which something has changed; false when something has that may concern others.
func (m *Memory) changes(o *snapshot.Objects) ([]int, bool) {
	touched := map[model.GroupKey]bool{}
	for i, g := range o.Groups {
		before := m.last.Objects.Groups[i]
		if sameVersion(before, g) {
			continue
		}
		if !m.concernsNobodyElse(before, g) {
			return nil, false
		}
		touched[snapshot.Key(g)] = true
	}
	for i, r := range o.Resources {
		before := m.last.Objects.Resources[i]
		if sameVersion(before, r) {
			continue
		}
		if !sameWish(before, r) {
			return nil, false
		}
		touched[snapshot.GroupKeyOf(r)] = true
	}
	uids := map[string]bool{}
	for i, n := range o.Nodes {
		if !reportsOnly(m.last.Objects.Nodes[i], n, uids) {
			return nil, false
		}
	}
	changed := []int{}
	for i, g := range o.Groups {
		if key := snapshot.Key(g); touched[key] || uids[string(g.UID)] {
			if m.providers[key] || len(g.Spec.DependsOn) > 0 || g.Spec.Mode == v1alpha1.GroupModeLoadBalanced || len(changed) == most {
				return nil, false
			}
			changed = append(changed, i)
		}
	}
	return changed, true
}

// concernsNobodyElse says that the group takes the same room on the same node as before, and nobody asks anything of it.
func (m *Memory) concernsNobodyElse(before, g *v1alpha1.ResourceGroup) bool {
	_, move := g.Annotations[v1alpha1.MoveToAnnotation]
	return sameWish(before, g) && !move && equality.Semantic.DeepEqual(before.Status.Assignment, g.Status.Assignment) &&
		len(before.Status.Members) == 0 && len(g.Status.Members) == 0
}

// reportsOnly says that of a Node nothing has changed but what its agent says of groups, and adds those to uids.
func reportsOnly(before, n *v1alpha1.Node, uids map[string]bool) bool {
	if sameVersion(before, n) && before.Status.Agent == n.Status.Agent {
		return true
	}
	if !sameWish(before, n) || before.Status.Agent == nil || n.Status.Agent == nil {
		return false
	}
	a, b := bare(before), bare(n)
	if !equality.Semantic.DeepEqual(a, b) {
		return false
	}
	was := make(map[string]*v1alpha1.AgentGroup, len(before.Status.Agent.Groups))
	for i := range before.Status.Agent.Groups {
		was[before.Status.Agent.Groups[i].UID] = &before.Status.Agent.Groups[i]
	}
	for i := range n.Status.Agent.Groups {
		entry := &n.Status.Agent.Groups[i]
		if old := was[entry.UID]; old == nil || !equality.Semantic.DeepEqual(old, entry) {
			uids[entry.UID] = true
		}
		delete(was, entry.UID)
	}
	for uid := range was {
		uids[uid] = true
	}
	return true
}

// bare is the Node's labels, annotations, spec and status without what is said of groups.
func bare(n *v1alpha1.Node) *v1alpha1.Node {
	agent := *n.Status.Agent
	agent.Groups = nil
	out := &v1alpha1.Node{Spec: n.Spec, Status: n.Status}
	out.Labels, out.Annotations, out.Finalizers = n.Labels, n.Annotations, slices.Clone(n.Finalizers)
	out.Status.Agent = &agent
	return out
}
