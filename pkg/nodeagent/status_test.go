package nodeagent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/resourcetype"
)

var installed = time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)

func reporting(view uint64) *standing {
	s := at(view, true)
	s.Reporter, s.ReachesAPI = 1, true
	s.Settings = &Settings{ClusterID: "00000000000000aa", Self: 1, Nodes: []NodeSettings{{Name: "node-a", ID: 1}, {Name: "node-b", ID: 2}}}
	s.Peers = []membership.PeerStatus{{ID: 2, ReachesAPI: true}}
	s.Committed = quorum.NewRecord(4, 1, []model.NodeID{1, 2})
	s.Installed, s.Detect = installed, 1004*time.Millisecond
	return s
}

func published(number int64) *v1alpha1.AgentStatus {
	return &v1alpha1.AgentStatus{ClusterID: "00000000000000aa", View: &v1alpha1.AgentView{
		ID: v1alpha1.ViewID{Number: number, Coordinator: 1}, Quorate: true, InstalledAt: &metav1.MicroTime{Time: installed.Add(-time.Hour)},
	}}
}

// TestViewOf: the highest view that is published never falls, and is published by its reporter only.
func TestViewOf(t *testing.T) {
	silent := reporting(7)
	silent.Peers[0].Silent = true
	other := reporting(7)
	other.Reporter = 2
	notActing := reporting(7)
	notActing.Acting = false
	foreign := published(9)
	foreign.ClusterID = "00000000000000bb"
	for name, tc := range map[string]struct {
		standing *standing
		before   *v1alpha1.AgentStatus
		want     int64
		at       time.Time
	}{
		"the first":                              {reporting(7), nil, 7, installed.Truncate(time.Microsecond)},
		"a higher one":                           {reporting(7), published(6), 7, installed.Truncate(time.Microsecond)},
		"the same, by an agent that restarted":   {reporting(7), published(7), 7, installed.Add(-time.Hour)},
		"a lower one":                            {reporting(7), published(8), 8, installed.Add(-time.Hour)},
		"of another cluster":                     {reporting(7), foreign, 7, installed.Truncate(time.Microsecond)},
		"another is the reporter":                {other, published(6), 6, installed.Add(-time.Hour)},
		"not acting":                             {notActing, published(6), 6, installed.Add(-time.Hour)},
		"a member is silent, the next will come": {silent, published(6), 6, installed.Add(-time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			v := viewOf(&observed{standing: tc.standing, before: tc.before})
			if v == nil || v.ID.Number != tc.want || !v.InstalledAt.Time.Equal(tc.at) || !v.Quorate {
				t.Errorf("got %+v, want number %d installed at %s", v, tc.want, tc.at)
			}
		})
	}
	if v := viewOf(&observed{standing: other}); v != nil {
		t.Errorf("a node that never reported publishes %+v", v)
	}
}

func TestAgentStatus(t *testing.T) {
	s := reporting(7)
	s.Incarnation = 5
	s.Links = []heartbeat.Link{{Peer: 2, Network: "lan", Up: true}, {Peer: 2, Network: "hb"}, {Peer: 9, Network: "hb"}}
	wall := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	report := monitor.GroupReport{Group: resourcetype.Identity{UID: "u1", Namespace: "db", Name: "shop"}, Generation: 3, Report: lifecycle.Report{
		Running: 5, Released: 4, ReleasedHow: lifecycle.ReleasedForced, Floor: 5, Proven: 5, Fenced: true, Fence: 6 * time.Millisecond,
		Proofs:   []lifecycle.Proof{{Resource: "disk", Type: lifecycle.ProofReservation}, {Resource: "app", Type: lifecycle.ProofNone}},
		Failover: &lifecycle.FailoverWanted{Resource: "app", Epoch: 5, Message: "exited", At: 90 * time.Second},
		Resources: []lifecycle.ResourceReport{
			{UID: "r1", Name: "disk", State: model.ResourceOnline, Device: "/array/1", Reserved: true, Enforced: true},
		},
	}}
	o := &observed{
		version: "v1", bootID: "boot", standing: s, guards: v1alpha1.AgentGuards{Addresses: true}, reports: []monitor.GroupReport{report}, wall: wall,
		disks:  []v1alpha1.AgentDisk{{Device: "/array/1", Visible: true}, {Device: "/array/2", Message: "no such file"}},
		images: []v1alpha1.AgentImage{{Name: "box", State: v1alpha1.ImageFetching}},
	}
	want := &v1alpha1.AgentStatus{
		Version: "v1", BootID: "boot", ClusterID: "00000000000000aa", NodeID: 1, Generation: 3, Incarnation: 5, RecordNumber: 4, Voters: []int32{1, 2},
		Guards: &v1alpha1.AgentGuards{Addresses: true},
		View: &v1alpha1.AgentView{
			ID: v1alpha1.ViewID{Number: 7, Coordinator: 1, Record: 4}, Quorate: true, Detect: duration(1004 * time.Millisecond),
			InstalledAt: &metav1.MicroTime{Time: installed.Truncate(time.Microsecond)},
			Members:     []v1alpha1.AgentViewMember{{ID: 1, Generation: 3, ReachesAPI: true}, {ID: 2, Generation: 1, ReachesAPI: true}},
		},
		Peers: []v1alpha1.AgentPeer{
			{Node: "node-b", Network: "hb", State: v1alpha1.LinkDown}, {Node: "node-b", Network: "lan", State: v1alpha1.LinkUp},
		},
		Disks: []v1alpha1.AgentDisk{
			{Device: "/array/1", Visible: true, Reservation: v1alpha1.ReservationEnforced, Holder: 1, Epoch: 5},
			{Device: "/array/2", Message: "no such file"},
		},
		Images: []v1alpha1.AgentImage{{Name: "box", State: v1alpha1.ImageFetching}},
		Groups: []v1alpha1.AgentGroup{{
			UID: "u1", Namespace: "db", Name: "shop", Epoch: 5, Generation: 3, Released: 4, ReleasedHow: v1alpha1.ReleasedForced, Floor: 5,
			ProvenEpoch: 5, Proofs: []v1alpha1.Proof{{Resource: "disk", Type: v1alpha1.ProofReservationPreempted}}, Fence: duration(6 * time.Millisecond),
			FailoverWanted: &v1alpha1.FailoverRequest{
				Resource: "app", Epoch: 5, Message: "exited", Time: &metav1.Time{Time: wall.Add(90 * time.Second)},
			},
		}},
	}
	if diff := cmp.Diff(want, agentStatus(o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestResourceStatus: times that were published stay although the wall clock was set a little meanwhile.
func TestResourceStatus(t *testing.T) {
	wall := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	r := &lifecycle.ResourceReport{UID: "r1", Name: "disk", State: model.ResourceOnline, Restarts: 1, Since: time.Minute, OnlineSince: time.Minute}
	first := resourceStatus(r, "web", "node-a", 5, 2, wall, &v1alpha1.ResourceStatus{})
	want := v1alpha1.ResourceStatus{
		ObservedGeneration: 2, State: v1alpha1.ResourceOnline, Node: "node-a", GroupName: "web", Epoch: 5, Restarts: 1,
		LastTransitionTime: &metav1.MicroTime{Time: wall.Add(time.Minute)}, OnlineSince: &metav1.MicroTime{Time: wall.Add(time.Minute)},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first, resourceStatus(r, "web", "node-a", 5, 2, wall.Add(900*time.Millisecond), &first)); diff != "" {
		t.Errorf("after a restart of the agent (-want +got):\n%s", diff)
	}
	if next := resourceStatus(r, "web", "node-a", 6, 2, wall.Add(900*time.Millisecond), &first); next.LastTransitionTime.Equal(first.LastTransitionTime) {
		t.Error("at another epoch the time of the old one stayed")
	}
}

// TestEpochOf: nobody speaks of a resource at an epoch that is not his (S5).
func TestEpochOf(t *testing.T) {
	p := &publisher{nodeName: "node-a"}
	for name, tc := range map[string]struct {
		running model.Epoch
		before  v1alpha1.ResourceStatus
		want    model.Epoch
	}{
		"first owner":                    {5, v1alpha1.ResourceStatus{}, 5},
		"running on":                     {5, v1alpha1.ResourceStatus{Node: "node-a", Epoch: 5}, 5},
		"next owner":                     {6, v1alpha1.ResourceStatus{Node: "node-b", Epoch: 5}, 6},
		"stopped":                        {0, v1alpha1.ResourceStatus{Node: "node-a", Epoch: 5}, 5},
		"stopped, the next has spoken":   {0, v1alpha1.ResourceStatus{Node: "node-b", Epoch: 6}, 0},
		"running, the next has spoken":   {5, v1alpha1.ResourceStatus{Node: "node-b", Epoch: 6}, 0},
		"equal epoch of another":         {5, v1alpha1.ResourceStatus{Node: "node-b", Epoch: 5}, 0},
		"never owned":                    {0, v1alpha1.ResourceStatus{}, 0},
		"the manager has set it Unknown": {5, v1alpha1.ResourceStatus{Epoch: 6}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			report := &monitor.GroupReport{Report: lifecycle.Report{Running: tc.running}}
			if got := p.epochOf(report, &tc.before); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
