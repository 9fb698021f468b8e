package cluster

import (
	"reflect"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
)

// publisher is nodeagent's: it writes status.agent of the own Node and the statuses of the Resources, computed when they are written.
type publisher struct {
	due      bool
	backoff  time.Duration
	last     *v1alpha1.AgentStatus
	at       time.Duration
	written  map[string]v1alpha1.ResourceStatus
	entries  map[string]v1alpha1.ResourceMember
	renewed  time.Duration
	reporter bool
}

// echoPatience is nodeagent's: how long an own write may take to show before the server is believed to have been set back.
const echoPatience = 3 * time.Second

func newPublisher() publisher {
	return publisher{written: map[string]v1alpha1.ResourceStatus{}, entries: map[string]v1alpha1.ResourceMember{}}
}

func (p *publisher) kick(a *agent) {
	if p.due || a.dead {
		return
	}
	p.due = true
	a.after(a.node.c.Between(300*time.Microsecond, 3*time.Millisecond)+p.backoff, func() {
		p.due = false
		p.write(a)
	})
}

func (p *publisher) write(a *agent) {
	n := a.node
	if !a.busy {
		a.reportJournal()
	}
	if !a.reaches || a.busy || a.dead {
		return
	}
	if !n.c.api.reachable(n) {
		p.backoff = min(2*time.Second, max(20*time.Millisecond, 2*p.backoff))
		p.last = nil
		p.kick(a)
		return
	}
	p.backoff = 0
	known := n.cache.node(n.name)
	if known == nil {
		return
	}
	before := known.Status.Agent
	if p.last != nil && (before == nil || before.View == nil || newer(p.last.View, before.View)) {
		before = p.last
	}
	status := a.status(before)
	if p.last != nil && !equality.Semantic.DeepEqual(known.Status.Agent, p.last) {
		if wait := echoPatience - (n.c.Now() - p.at); wait <= 0 {
			p.last = nil // the server was set back
			p.written, p.entries = map[string]v1alpha1.ResourceStatus{}, map[string]v1alpha1.ResourceMember{}
		} else {
			a.after(wait, func() { p.kick(a) })
		}
	}
	if p.last == nil || !equality.Semantic.DeepEqual(p.last, status) {
		change(n.c.api, ref{"Node", n.name}, func(o *v1alpha1.Node) { o.Status.Agent = status })
		p.last, p.at = status.DeepCopy(), n.c.Now()
	}
	for _, g := range a.sorted() {
		p.writeResources(a, g)
	}
}

func newer(a, b *v1alpha1.AgentView) bool { return a != nil && (b == nil || a.ID.Number > b.ID.Number) }

// status is status.agent. before is what the API shows: the highest view that a node has published never falls.
func (a *agent) status(before *v1alpha1.AgentStatus) *v1alpha1.AgentStatus {
	n := a.node
	out := &v1alpha1.AgentStatus{
		Version: "sim", BootID: "boot", ClusterID: clusterID, NodeID: int32(n.id), Guards: &v1alpha1.AgentGuards{Addresses: n.guards},
		Generation: int64(a.st.Self.Generation), Incarnation: int64(a.st.Incarnation), View: a.viewOf(before),
	}
	if a.st.Committed != nil {
		out.RecordNumber = int64(a.st.Committed.Number)
		for _, id := range a.st.Committed.Voters {
			out.Voters = append(out.Voters, int32(id))
		}
	}
	held := map[string]v1alpha1.AgentDisk{}
	for _, g := range a.sorted() {
		out.Groups = append(out.Groups, a.groupStatus(g))
		for _, r := range g.report.Resources {
			if r.Device != "" && r.Reserved {
				kind := v1alpha1.ReservationAdvisory
				if r.Enforced {
					kind = v1alpha1.ReservationEnforced
				}
				held[r.Device] = v1alpha1.AgentDisk{
					Device: r.Device, Visible: true, Holder: int32(n.id), Epoch: int64(g.report.Floor), Reservation: kind,
				}
			}
		}
	}
	for _, d := range n.c.diskList {
		entry, ok := held[d.device]
		if !ok {
			entry = v1alpha1.AgentDisk{Device: d.device, Visible: true, Reservation: v1alpha1.ReservationNone}
		}
		out.Disks = append(out.Disks, entry)
	}
	out.Journal = a.journalStatus()
	return out
}

func (a *agent) viewOf(before *v1alpha1.AgentStatus) *v1alpha1.AgentView {
	var old *v1alpha1.AgentView
	if before != nil {
		old = before.View
	}
	if !a.reporting() || old != nil && old.ID.Number > int64(a.st.View.ID.Number) {
		return old
	}
	v := &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: int64(a.st.View.ID.Number), Coordinator: int32(a.st.View.ID.Coordinator)}, Quorate: true,
		InstalledAt: &metav1.MicroTime{Time: a.wall(a.st.ViewSince).Truncate(time.Microsecond)},
	}
	if a.st.Committed != nil {
		v.ID.Record = int64(a.st.Committed.Number)
	}
	for _, m := range a.st.View.Members {
		reaches := a.st.ReachesAPI
		for _, p := range a.st.Peers {
			if p.ID == m.ID {
				reaches = p.ReachesAPI
			}
		}
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: int32(m.ID), Generation: int64(m.Generation), ReachesAPI: reaches})
	}
	if old != nil && old.ID.Number == v.ID.Number && old.ID.Coordinator == v.ID.Coordinator {
		v.InstalledAt = old.InstalledAt
	}
	return v
}

// reporting says that this node is to publish the view; while a member is silent another is about to come.
func (a *agent) reporting() bool {
	return a.st.Acting && a.st.View != nil && a.st.Reporter == a.st.Self.ID && silent(&a.st) == 0 && (!a.node.c.autonomy || a.journal.machine.Told())
}

func (a *agent) wall(local time.Duration) time.Time {
	return a.node.c.begin.Add(a.node.host.Truly(local))
}

func (a *agent) groupStatus(g *group) v1alpha1.AgentGroup {
	r := &g.report
	out := v1alpha1.AgentGroup{
		UID: g.uid, Namespace: namespace, Name: g.name, Epoch: int64(r.Running), Generation: int64(a.facts.Self.Generation),
		Released: int64(r.Released), ReleasedHow: v1alpha1.ReleaseHow(r.ReleasedHow), Floor: int64(r.Floor), ProvenEpoch: int64(r.Proven),
	}
	for _, p := range r.Proofs {
		if p.Type != lifecycle.ProofNone {
			out.Proofs = append(out.Proofs, v1alpha1.Proof{Resource: p.Resource, Type: v1alpha1.ProofType(p.Type)})
		}
	}
	if f := r.Failover; f != nil {
		out.FailoverWanted = &v1alpha1.FailoverRequest{
			Resource: f.Resource, Epoch: int64(f.Epoch), Message: f.Message, Time: &metav1.Time{Time: a.wall(f.At).Truncate(time.Second)},
		}
	}
	return out
}

// writeResources writes the statuses of a group's resources if this node may speak of them (S5).
func (p *publisher) writeResources(a *agent, g *group) {
	n := a.node
	for i := range g.report.Resources {
		r := &g.report.Resources[i]
		object, _ := n.cache.objects[ref{"Resource", r.Name}].(*v1alpha1.Resource)
		if object == nil || string(object.UID) != r.UID {
			continue
		}
		if g.name == balancedGroup {
			p.writeEntry(a, g, r, object)
			continue
		}
		before := object.Status
		if last, ok := p.written[r.UID]; ok && last.Epoch >= before.Epoch {
			before = last
		}
		status, speaks := a.resourceStatus(g, r, &before)
		if !speaks {
			continue
		}
		// After a restore the manager may have struck out what this node had only just said: its view was not in the API yet.
		struckOut := object.Status.State == v1alpha1.ResourceUnknown && object.Status.Node == ""
		if last, ok := p.written[r.UID]; ok && !struckOut && reflect.DeepEqual(last, status) {
			continue
		}
		p.written[r.UID] = status
		change(n.c.api, ref{"Resource", r.Name}, func(o *v1alpha1.Resource) {
			if status.Epoch < o.Status.Epoch { // the API's own rule refuses it
				return
			}
			conditions := o.Status.Conditions
			o.Status = status
			o.Status.Conditions = conditions
		})
	}
}

// resourceStatus is what this node may say of a resource (S5). before is what was said last.
func (a *agent) resourceStatus(g *group, r *lifecycle.ResourceReport, before *v1alpha1.ResourceStatus) (status v1alpha1.ResourceStatus, speaks bool) {
	n := a.node
	epoch := g.report.Running
	if epoch == 0 && before.Node == n.name {
		epoch = model.Epoch(before.Epoch)
	}
	if epoch == 0 || int64(epoch) < before.Epoch || int64(epoch) == before.Epoch && before.Node != "" && before.Node != n.name {
		return status, false
	}
	status = v1alpha1.ResourceStatus{
		State: v1alpha1.ResourceState(r.State), Node: n.name, Epoch: int64(epoch), Reason: string(r.Reason), Message: r.Message,
		Restarts: int32(r.Restarts), LastTransitionTime: &metav1.MicroTime{Time: a.wall(r.Since).Truncate(time.Microsecond)},
	}
	if r.OnlineSince > 0 {
		status.OnlineSince = &metav1.MicroTime{Time: a.wall(r.OnlineSince).Truncate(time.Microsecond)}
	}
	return status, true
}

// probe asks the server for a sign of life every second; two failures make it unreachable.
func (a *agent) probe() {
	n := a.node
	reached := n.c.api.reachable(n)
	switch {
	case reached && (!a.reaches || !n.cache.connected):
		a.reaches, a.probes = true, 0
		n.cache.relist()
		a.allDirty()
		a.publisher.written, a.publisher.entries = map[string]v1alpha1.ResourceStatus{}, map[string]v1alpha1.ResourceMember{}
		a.tellReach()
	case reached:
		a.probes = 0
	default:
		if a.probes++; a.probes == 2 {
			a.reaches = false
			n.cache.cut()
			a.tellReach()
		}
	}
	a.after(time.Second, a.probe)
}

func (a *agent) tellReach() {
	if !a.node.host.SetReachesAPI(a.reaches) {
		a.after(5*time.Millisecond, a.tellReach)
		return
	}
	a.publisher.kick(a)
	a.wake(0)
}

// report renews the reporter's Lease while this node is the reporter.
func (a *agent) report() {
	n := a.node
	switch {
	case !a.reporting() || !n.c.api.reachable(n) || !a.reaches:
		a.publisher.reporter = false
	case !a.publisher.reporter:
		a.publisher.reporter, a.publisher.renewed = true, n.c.Now()-time.Second
	case n.c.Now()-a.publisher.renewed >= 2*time.Second:
		a.publisher.renewed = n.c.Now()
		lease := &coordinationv1.Lease{}
		lease.Namespace, lease.Name = v1alpha1.SystemNamespace, v1alpha1.ReporterLeaseName(clusterName)
		lease.Spec.HolderIdentity = &n.name
		lease.Spec.RenewTime = &metav1.MicroTime{Time: n.c.wall()}
		n.c.api.put(lease)
	}
	a.after(250*time.Millisecond, a.report)
}
