package controllertest

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Host plays the agent of one node: it does at once what is asked of it.
type Host struct {
	Node       string
	Generation int64
	// Up says that the host and its agent live.
	Up bool
	// Broken are the resources that fail here past their restarts.
	Broken map[string]bool
	// Stuck makes the host never release anything.
	Stuck bool

	world     *World
	clusterID string
	groups    []v1alpha1.AgentGroup
	view      *v1alpha1.AgentView
}

// View makes the named nodes the quorate view; the first of them reports it.
func (w *World) View(members ...string) {
	w.T.Helper()
	w.view++
	v := &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: w.view, Record: w.view}, Quorate: true, InstalledAt: &metav1.MicroTime{Time: w.Clock.Now()},
		Detect: &metav1.Duration{Duration: 1004 * time.Millisecond},
	}
	var voters []int32
	for _, name := range members {
		id := w.Node(name).Status.ID
		voters = append(voters, id)
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: w.Hosts[name].Generation, ReachesAPI: true})
	}
	v.ID.Coordinator = slices.Min(voters)
	for _, name := range members {
		w.Hosts[name].clusterID = w.Cluster().Status.ClusterID
		w.Hosts[name].writeStatus(func(st *v1alpha1.AgentStatus) { st.Voters, st.RecordNumber = voters, w.view })
	}
	w.Hosts[members[0]].view = v
	w.Hosts[members[0]].Report()
}

// Kill cuts the power of a host.
func (w *World) Kill(name string) { w.Hosts[name].Up = false }

// Boot starts a host again: a new generation, with nothing running.
func (w *World) Boot(name string) {
	h := w.Hosts[name]
	h.Up, h.Generation, h.groups, h.view = true, h.Generation+1, nil, nil
	h.Report()
}

// Report writes the whole of status.agent.
func (h *Host) Report() {
	h.writeStatus(func(*v1alpha1.AgentStatus) {})
}

func (h *Host) writeStatus(change func(*v1alpha1.AgentStatus)) {
	w := h.world
	w.T.Helper()
	n := w.Node(h.Node)
	if n == nil {
		return
	}
	before := n.DeepCopy()
	if n.Status.Agent == nil {
		n.Status.Agent = &v1alpha1.AgentStatus{}
	}
	agent := n.Status.Agent
	agent.Version, agent.BootID, agent.ClusterID, agent.Generation = "test", "boot", h.clusterID, h.Generation
	agent.Guards = &v1alpha1.AgentGuards{Addresses: true}
	agent.View, agent.Groups = h.view, h.groups
	change(agent)
	if equality.Semantic.DeepEqual(before.Status, n.Status) {
		return
	}
	if err := w.Env.Admin.Status().Patch(w.T.Context(), n, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		w.T.Fatal(err)
	}
}

// act does what the groups' assignments ask of the host, and says whether there was anything to do.
func (h *Host) act(groups []v1alpha1.ResourceGroup) bool {
	if !h.Up {
		return false
	}
	acted := false
	for _, g := range groups {
		acted = h.serve(&g) || acted
	}
	before := len(h.groups)
	h.groups = slices.DeleteFunc(h.groups, func(entry v1alpha1.AgentGroup) bool {
		return !slices.ContainsFunc(groups, func(g v1alpha1.ResourceGroup) bool { return string(g.UID) == entry.UID })
	})
	if acted || len(h.groups) != before {
		h.Report()
		return true
	}
	return false
}

func (h *Host) entry(g *v1alpha1.ResourceGroup) *v1alpha1.AgentGroup {
	for i := range h.groups {
		if h.groups[i].UID == string(g.UID) {
			return &h.groups[i]
		}
	}
	h.groups = append(h.groups, v1alpha1.AgentGroup{UID: string(g.UID), Namespace: g.Namespace, Name: g.Name, Generation: h.Generation})
	return &h.groups[len(h.groups)-1]
}

// serve runs, or stops, one group as its assignment says.
func (h *Host) serve(g *v1alpha1.ResourceGroup) bool {
	a := g.Status.Assignment
	if a == nil {
		return false
	}
	mine := a.Node == h.Node && a.Generation == h.Generation
	awaited := slices.ContainsFunc(a.Unproven, func(o v1alpha1.UnprovenOwner) bool { return o.Node == h.Node && o.Generation == h.Generation })
	known := slices.ContainsFunc(h.groups, func(e v1alpha1.AgentGroup) bool { return e.UID == string(g.UID) })
	if !mine && !awaited && !known || h.Stuck && !mine {
		return false
	}
	entry := h.entry(g)
	switch {
	case mine:
		return h.start(g, entry, a)
	case entry.Released >= a.Epoch || a.Node != "" && entry.Epoch == 0:
		return false
	default:
		h.writeResources(g, entry.Epoch, v1alpha1.ResourceOffline)
		entry.Epoch, entry.Released, entry.ReleasedHow, entry.FailoverWanted = 0, a.Epoch, v1alpha1.ReleasedGraceful, nil
		return true
	}
}

func (h *Host) start(g *v1alpha1.ResourceGroup, entry *v1alpha1.AgentGroup, a *v1alpha1.Assignment) bool {
	acted := h.writeResources(g, a.Epoch, v1alpha1.ResourceOnline)
	if entry.Epoch == a.Epoch {
		return acted
	}
	*entry = v1alpha1.AgentGroup{
		UID: entry.UID, Namespace: entry.Namespace, Name: entry.Name, Generation: h.Generation, Epoch: a.Epoch, Floor: a.Epoch, ProvenEpoch: a.Epoch,
		Fence: &metav1.Duration{Duration: 6 * time.Millisecond}, Online: &metav1.Duration{Duration: 88 * time.Millisecond},
	}
	for _, r := range h.world.Resources(g.Name) {
		if len(a.Unproven) > 0 && r.Spec.LoopbackDisk != nil {
			entry.Proofs = append(entry.Proofs, v1alpha1.Proof{Resource: r.Name, Type: v1alpha1.ProofReservationPreempted})
		}
		if h.Broken[r.Name] {
			entry.Online = nil
			entry.FailoverWanted = &v1alpha1.FailoverRequest{Resource: r.Name, Epoch: a.Epoch, Time: &metav1.Time{Time: h.world.Clock.Now()}}
		}
	}
	return true
}

// writeResources reports the state of the group's resources, and that it has let go of those that were moved away.
func (h *Host) writeResources(g *v1alpha1.ResourceGroup, epoch int64, state v1alpha1.ResourceState) bool {
	w := h.world
	wrote := h.letGo(g, epoch)
	for _, r := range w.Resources(g.Name) {
		if !snapshot.Arrived(&r, model.Epoch(epoch)) {
			continue
		}
		want := state
		if r.DeletionTimestamp != nil || r.Spec.DesiredState == v1alpha1.DesiredOffline {
			want = v1alpha1.ResourceOffline
		}
		if h.Broken[r.Name] && want == v1alpha1.ResourceOnline {
			want = v1alpha1.ResourceFailed
		}
		if r.Status.Epoch > epoch || r.Status.Epoch == epoch && r.Status.State == want && r.Status.Node == h.Node && r.Status.GroupName == g.Name {
			continue
		}
		before := r.DeepCopy()
		r.Status.State, r.Status.Node, r.Status.GroupName, r.Status.Epoch = want, h.Node, g.Name, epoch
		if err := w.Env.Admin.Status().Patch(w.T.Context(), &r, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			w.T.Fatal(err)
		}
		wrote = true
	}
	return wrote
}

// letGo says of resources that were moved to other groups that they are offline here.
func (h *Host) letGo(g *v1alpha1.ResourceGroup, epoch int64) bool {
	w := h.world
	wrote := false
	for _, to := range w.Groups() {
		for _, r := range w.Resources(to.Name) {
			if !snapshot.HeldByOther(&r) || r.Status.GroupName != g.Name || r.Status.Node != h.Node || r.Status.Epoch > epoch {
				continue
			}
			before := r.DeepCopy()
			r.Status.State = v1alpha1.ResourceOffline
			if err := w.Env.Admin.Status().Patch(w.T.Context(), &r, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				w.T.Fatal(err)
			}
			wrote = true
		}
	}
	return wrote
}
