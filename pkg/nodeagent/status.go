package nodeagent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
)

// observed is all that status.agent is made of.
type observed struct {
	version, bootID string
	standing        *standing
	guards          v1alpha1.AgentGuards
	// scheduling is nil until it is known.
	scheduling    *v1alpha1.AgentScheduling
	reports       []monitor.GroupReport
	problems      []v1alpha1.AgentProblem
	interfaces    []v1alpha1.AgentInterface
	disks         []v1alpha1.AgentDisk
	images        []v1alpha1.AgentImage
	canFence      []v1alpha1.AgentFenceTarget
	fencings      []v1alpha1.AgentFencing
	confirmations []v1alpha1.AgentConfirmation
	clearings     []v1alpha1.AgentClearing
	// orders is whom the node obeys; nil is the API server.
	orders *orders
	// before is what the API shows now; a view that was published stays until this node publishes a higher one, so that the
	// highest view of the cluster never falls.
	before *v1alpha1.AgentStatus
	// wall is the wall clock at boot: all times of reports count from there.
	wall time.Time
}

// agentStatus computes status.agent. The same observation always gives the same status: nothing is written while nothing happens.
func agentStatus(o *observed) *v1alpha1.AgentStatus {
	s := o.standing
	out := &v1alpha1.AgentStatus{
		Version: o.version, BootID: o.bootID, Guards: new(o.guards), Scheduling: o.scheduling, HeartbeatKeys: keysOf(s),
		Generation: int64(s.Self.Generation), Incarnation: int64(s.Incarnation),
		Peers: peersOf(s), Interfaces: o.interfaces, Images: o.images, Problems: o.problems, View: viewOf(o),
		CanFence: o.canFence, Fencings: o.fencings, Confirmations: o.confirmations, Clearings: o.clearings,
	}
	if s.Settings != nil {
		out.ClusterID, out.NodeID = s.Settings.ClusterID, int32(s.Settings.Self)
	}
	if s.Committed != nil {
		out.RecordNumber = int64(s.Committed.Number)
		for _, id := range s.Committed.Voters {
			out.Voters = append(out.Voters, int32(id))
		}
		out.WitnessVotes, out.WitnessOnly, out.Forced = s.Committed.Witness != 0, s.Committed.WitnessOnly, s.Committed.Forced
	}
	out.PreventsQuorum = s.Prevented
	for i := range o.reports {
		out.Groups = append(out.Groups, groupStatus(&o.reports[i], o.wall))
	}
	slices.SortFunc(out.Groups, func(a, b v1alpha1.AgentGroup) int { return cmp.Compare(a.UID, b.UID) })
	out.Disks = disksOf(o)
	if o.orders != nil {
		out.Journal = o.orders.word
	}
	return out
}

// publishes says that this node is to publish its view.
func (o *observed) publishes() bool {
	return o.standing.reporting() && (o.orders == nil || o.orders.publishes(o.standing))
}

func (o *observed) beforeView() *v1alpha1.AgentView {
	if o.before == nil {
		return nil
	}
	return o.before.View
}

// viewOf is the view to publish: this node's own if it is the reporter, else what it has published before.
func viewOf(o *observed) *v1alpha1.AgentView {
	var before *v1alpha1.AgentView
	if b := o.before; b != nil && o.standing.Settings != nil && b.ClusterID == o.standing.Settings.ClusterID {
		before = b.View
	}
	s := o.standing
	if !o.publishes() || (before != nil && before.ID.Number > int64(s.View.ID.Number)) {
		return before
	}
	v := &v1alpha1.AgentView{
		ID:          v1alpha1.ViewID{Number: int64(s.View.ID.Number), Coordinator: int32(s.View.ID.Coordinator)},
		Quorate:     true,
		InstalledAt: &metav1.MicroTime{Time: s.Installed.Truncate(time.Microsecond)},
	}
	if s.Committed != nil {
		v.ID.Record = int64(s.Committed.Number)
	}
	v.WitnessHeld, v.WitnessHolder = s.Witness.Holder != 0, int32(s.Witness.Holder)
	if s.Detect > 0 {
		v.Detect = &metav1.Duration{Duration: s.Detect.Round(time.Millisecond)}
	}
	for _, m := range s.View.Members {
		reaches := s.ReachesAPI
		if m.ID != s.Self.ID {
			p, _ := s.peer(m.ID)
			reaches = p.ReachesAPI
		}
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: int32(m.ID), Generation: int64(m.Generation), ReachesAPI: reaches})
	}
	if before != nil && before.ID.Number == v.ID.Number && before.ID.Coordinator == v.ID.Coordinator {
		// It was installed once: an agent that was restarted in it does not know that moment as well as its predecessor did.
		v.InstalledAt, v.Detect = before.InstalledAt, before.Detect
	}
	return v
}

func peersOf(s *standing) []v1alpha1.AgentPeer {
	var peers []v1alpha1.AgentPeer
	for _, l := range s.Links {
		name := s.Settings.nodeName(l.Peer)
		if name == "" {
			continue
		}
		peers = append(peers, v1alpha1.AgentPeer{Node: name, Network: l.Network, State: linkState(l)})
	}
	slices.SortFunc(peers, func(a, b v1alpha1.AgentPeer) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Network, b.Network))
	})
	return peers
}

func groupStatus(r *monitor.GroupReport, wall time.Time) v1alpha1.AgentGroup {
	g := v1alpha1.AgentGroup{
		UID: r.Group.UID, Namespace: r.Group.Namespace, Name: r.Group.Name,
		Epoch: int64(r.Running), Generation: int64(r.Generation), Released: int64(r.Released),
		ReleasedHow: v1alpha1.ReleaseHow(r.ReleasedHow), Floor: int64(r.Floor), ProvenEpoch: int64(r.Proven),
	}
	for _, p := range r.Proofs {
		if p.Type != lifecycle.ProofNone {
			g.Proofs = append(g.Proofs, v1alpha1.Proof{Resource: p.Resource, Type: v1alpha1.ProofType(p.Type)})
		}
	}
	if r.Fenced {
		g.Fence = &metav1.Duration{Duration: r.Fence.Round(time.Microsecond)}
	}
	if r.AllOnline {
		g.Online = &metav1.Duration{Duration: r.Online.Round(time.Microsecond)}
	}
	if f := r.Failover; f != nil {
		g.FailoverWanted = &v1alpha1.FailoverRequest{
			Resource: f.Resource, Epoch: int64(f.Epoch), Message: cut(f.Message, maxProblemText), Network: f.Network,
			Time: &metav1.Time{Time: wall.Add(f.At).Truncate(time.Second)},
		}
	}
	return g
}

// disksOf joins what the host sees of the disks that groups need with how its own groups hold theirs.
func disksOf(o *observed) []v1alpha1.AgentDisk {
	byDevice := map[string]v1alpha1.AgentDisk{}
	for _, d := range o.disks {
		byDevice[d.Device] = d
	}
	for _, r := range o.reports {
		for _, resource := range r.Resources {
			if resource.Device == "" || !resource.Reserved {
				continue
			}
			byDevice[resource.Device] = v1alpha1.AgentDisk{
				Device: resource.Device, Visible: true, Holder: int32(o.standing.Self.ID), Epoch: int64(r.Floor),
				Reservation: v1alpha1.ReservationKind(monitor.Reservation(resource)),
			}
		}
	}
	disks := make([]v1alpha1.AgentDisk, 0, len(byDevice))
	for _, d := range byDevice {
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b v1alpha1.AgentDisk) int { return strings.Compare(a.Device, b.Device) })
	if len(disks) == 0 {
		return nil
	}
	return disks
}

// resourceStatus computes the status of a resource that this node owns at the epoch. before is what the API shows.
func resourceStatus(
	r *lifecycle.ResourceReport, group, node string, epoch model.Epoch, generation int64, wall time.Time, before *v1alpha1.ResourceStatus,
) v1alpha1.ResourceStatus {
	s := v1alpha1.ResourceStatus{
		ObservedGeneration: generation, State: v1alpha1.ResourceState(r.State), Node: node, GroupName: group, Epoch: int64(epoch),
		Reason: string(r.Reason), Message: cut(r.Message, maxProblemText), Restarts: int32(r.Restarts),
	}
	same := before.Node == node && before.Epoch == s.Epoch
	s.LastTransitionTime = moment(wall, r.Since, same && before.State == s.State, before.LastTransitionTime)
	if r.OnlineSince > 0 {
		s.OnlineSince = moment(wall, r.OnlineSince, same, before.OnlineSince)
	}
	return s
}

// moment turns a time since boot into the wall clock's. One that was published before stays if it can be the same: an agent that
// was restarted computes it from a wall clock that may have been set meanwhile.
func moment(wall time.Time, since time.Duration, may bool, before *metav1.MicroTime) *metav1.MicroTime {
	at := wall.Add(since).Truncate(time.Microsecond)
	if may && before != nil && at.Sub(before.Time).Abs() < 2*time.Second {
		return before
	}
	return &metav1.MicroTime{Time: at}
}
