package snapshot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// balancedGroup has members on a (epoch 4) and b (5), and one on c that is withdrawn (6).
func balancedGroup() *v1alpha1.ResourceGroup {
	g := &v1alpha1.ResourceGroup{Spec: v1alpha1.ResourceGroupSpec{Mode: v1alpha1.GroupModeLoadBalanced}}
	g.Status.Assignment = &v1alpha1.Assignment{Epoch: 6, Node: ""}
	g.Status.Members = APIMembers([]model.GroupMember{
		{Node: "a", ID: 1, Generation: 1, Epoch: 4, Reason: model.ReasonFirstPlacement, View: model.ViewID{Number: 3, Coordinator: 1}},
		{Node: "b", ID: 2, Generation: 1, Epoch: 5},
		{Node: "c", ID: 3, Generation: 1, Epoch: 6, Withdrawn: true, Time: time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)},
	})
	return g
}

func TestMembersRoundTrip(t *testing.T) {
	g := balancedGroup()
	if diff := cmp.Diff(g.Status.Members, APIMembers(Members(g))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	g.Spec.Mode = v1alpha1.GroupModeFailover
	if m := Members(g); m != nil {
		t.Errorf("a group of mode Failover has members %v", m)
	}
}

// TestAssignmentFor: each node is asked by its own member, in the form of an assignment (O1).
func TestAssignmentFor(t *testing.T) {
	g := balancedGroup()
	a := AssignmentFor(g, "a")
	if a == nil || a.Node != "a" || a.NodeID != 1 || a.Generation != 1 || a.Epoch != 4 || a.ViewID.Number != 3 || len(a.Unproven) != 0 {
		t.Errorf("a is asked %+v", a)
	}
	c := AssignmentFor(g, "c")
	if c == nil || c.Node != "" || c.Epoch != 6 || len(c.Unproven) != 1 || c.Unproven[0].NodeID != 3 || c.Unproven[0].Epoch != 5 {
		t.Errorf("c is asked %+v: want a withdrawal that waits for its word", c)
	}
	if d := AssignmentFor(g, "d"); d != nil {
		t.Errorf("d is asked %+v, and is no member", d)
	}
	g.Spec.Mode = v1alpha1.GroupModeFailover
	if d := AssignmentFor(g, "d"); d != g.Status.Assignment {
		t.Errorf("of mode Failover d is asked %+v", d)
	}
}

func TestMembersNow(t *testing.T) {
	entry := func(node string, epoch int64, state v1alpha1.ResourceState) v1alpha1.ResourceMember {
		return v1alpha1.ResourceMember{Node: node, Epoch: epoch, State: state}
	}
	all := &model.View{Members: []model.ViewMember{{Member: model.Member{ID: 1, Generation: 1}}, {Member: model.Member{ID: 2, Generation: 1}},
		{Member: model.Member{ID: 3, Generation: 1}}}}
	cases := map[string]struct {
		said     []v1alpha1.ResourceMember
		view     *model.View
		released model.Epoch
		want     string // of a, b, c and the group
	}{
		"nothing said yet": {view: all, want: "Pending Pending Pending Pending"},
		"both online, one stopping": {view: all, said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 5, "Online"), entry("c", 2, "Online")},
			want: "Online Online Pending Online"},
		"stopped": {view: all, released: 6, said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 5, "Online"), entry("c", 2, "Online")},
			want: "Online Online Offline Online"},
		"said of an earlier epoch": {view: all, said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 4, "Online")},
			want: "Online Pending Pending PartialOnline"},
		"one failed":            {view: all, said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 5, "Failed")}, want: "Online Failed Pending PartialOnline"},
		"all failed or pending": {view: all, said: []v1alpha1.ResourceMember{entry("b", 5, "Failed")}, want: "Pending Failed Pending Failed"},
		"a node is gone": {view: &model.View{Members: all.Members[:1]}, said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 5, "Online")},
			want: "Online Offline Offline PartialOnline"},
		"nobody reports: the last word": {said: []v1alpha1.ResourceMember{entry("a", 4, "Online"), entry("b", 5, "Online")}, want: "Online Online Offline Online"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g, r := balancedGroup(), res("app", nil)
			r.Status.Members = tc.said
			reports := []model.OwnerReport{{ID: 3, Generation: 1, Released: tc.released}}
			got := ""
			for _, m := range MembersNow(g, []*v1alpha1.Resource{r}, reports, tc.view) {
				got += string(m.State) + " "
			}
			if got += string(GroupState(g, []*v1alpha1.Resource{r}, reports, tc.view)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
