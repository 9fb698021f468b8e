package snapshot

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

func node(name string, id int32, view *v1alpha1.AgentView) *v1alpha1.Node {
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"},
		Status: v1alpha1.NodeStatus{ID: id, Agent: &v1alpha1.AgentStatus{Generation: 1, View: view}},
	}
}

func view(number int64, coordinator int32, members ...int32) *v1alpha1.AgentView {
	v := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: number, Coordinator: coordinator}, Quorate: true}
	for _, id := range members {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: 1, ReachesAPI: true})
	}
	return v
}

func TestHighestView(t *testing.T) {
	loser := view(9, 3, 3)
	loser.Quorate = false
	deaf := view(5, 1, 1, 2)
	deaf.Members[0].ReachesAPI = false
	cases := map[string]struct {
		nodes []*v1alpha1.Node
		want  string // the reporter
	}{
		"none":                          {},
		"nobody reports":                {nodes: []*v1alpha1.Node{node("a", 1, nil), {}}},
		"the higher number":             {nodes: []*v1alpha1.Node{node("a", 1, view(4, 1, 1, 2)), node("b", 2, view(5, 2, 2, 3))}, want: "b"},
		"not one without quorum":        {nodes: []*v1alpha1.Node{node("a", 1, view(4, 1, 1, 2)), node("c", 3, loser)}, want: "a"},
		"of two, the reporter":          {nodes: []*v1alpha1.Node{node("b", 2, view(5, 1, 1, 2)), node("a", 1, view(5, 1, 1, 2))}, want: "a"},
		"of two, the one in charge now": {nodes: []*v1alpha1.Node{node("a", 1, view(5, 1, 1, 2)), node("b", 2, deaf)}, want: "b"},
		"equal numbers, by coordinator": {nodes: []*v1alpha1.Node{node("b", 2, view(5, 2, 2)), node("a", 1, view(5, 1, 1))}, want: "b"},
	}
	// Both say that they are in charge: the Lease tells who is.
	o := Objects{Nodes: cases["of two, the one in charge now"].nodes, Reporter: "a"}
	if _, reporter := o.Published(); reporter.Name != "a" {
		t.Errorf("the reporter that renews the Lease is a, got %s", reporter.Name)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, reporter := HighestView(tc.nodes)
			got := ""
			if reporter != nil {
				got = reporter.Name
			}
			if got != tc.want {
				t.Errorf("reporter: got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNodeState(t *testing.T) {
	v := &model.View{Members: []model.ViewMember{{Member: model.Member{ID: 1, Generation: 1}}}}
	cases := map[string]struct {
		id           int32
		joins        int64
		availability v1alpha1.Availability
		view         *model.View
		want         model.NodeState
	}{
		"in the view":             {id: 1, joins: 1, view: v, want: model.NodeUp},
		"in the view, paused":     {id: 1, joins: 1, view: v, availability: v1alpha1.AvailabilityPaused, want: model.NodePaused},
		"in the view, drained":    {id: 1, joins: 1, view: v, availability: v1alpha1.AvailabilityDrained, want: model.NodePaused},
		"not in the view":         {id: 2, joins: 1, view: v, want: model.NodeDown},
		"never was in a view":     {id: 2, view: v, want: model.NodeJoining},
		"without a number":        {view: v, want: model.NodeJoining},
		"no view":                 {id: 1, joins: 1, want: model.NodeUnknown},
		"no view, never in a one": {id: 1, want: model.NodeJoining},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n := node("a", tc.id, nil)
			n.Status.Joins, n.Spec.Availability = tc.joins, tc.availability
			if got := NodeState(n, tc.view); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestParseMove(t *testing.T) {
	cases := map[string]model.MoveRequest{
		"node-b":      {Target: "node-b"},
		"best":        {Target: "best"},
		"node-b/42":   {Target: "node-b", Token: "42"},
		" best/a/b ":  {Target: "best", Token: "a/b"},
		"/only-token": {Token: "only-token"},
		"":            {},
		"node-b/":     {Target: "node-b"},
	}
	for value, want := range cases {
		if diff := cmp.Diff(want, ParseMove(value)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", value, diff)
		}
	}
}

func TestAssignmentRoundTrip(t *testing.T) {
	cases := map[string]model.Assignment{
		"never assigned": {},
		"owner": {
			Node: "a", ID: 1, Generation: 7, Epoch: 12, View: model.ViewID{Number: 41, Coordinator: 1, Record: 3}, Reason: model.ReasonNodeDown,
			Unproven: []model.Owner{{Node: "b", ID: 2, Generation: 3, Epoch: 11}}, Time: time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC),
		},
		"withdrawal": {Epoch: model.MaxEpoch, Target: "b", Reason: model.ReasonMove},
	}
	for name, want := range cases {
		if diff := cmp.Diff(want, Assignment(APIAssignment(want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func res(name string, change func(*v1alpha1.Resource), on ...string) *v1alpha1.Resource {
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name}, Spec: v1alpha1.ResourceSpec{GroupName: "shop"}}
	for _, d := range on {
		r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: d})
	}
	if change != nil {
		change(r)
	}
	return r
}

func asDisk(r *v1alpha1.Resource)    { r.Spec.LoopbackDisk = &v1alpha1.LoopbackDisk{File: "/array/1"} }
func asAddress(r *v1alpha1.Resource) { r.Spec.IPAddress = &v1alpha1.IPAddress{} }

// TestNeedsFencing: rules O13 and O14.
func TestNeedsFencing(t *testing.T) {
	either := res("app", func(r *v1alpha1.Resource) {
		r.Spec.DependsOn = []v1alpha1.Dependency{{AnyOf: []string{"disk", "other"}}}
	})
	cases := map[string]struct {
		resources []*v1alpha1.Resource
		advisory  bool
		want      bool
	}{
		"nothing":                              {},
		"disk and address":                     {resources: []*v1alpha1.Resource{res("disk", asDisk), res("ip", asAddress)}},
		"process alone":                        {resources: []*v1alpha1.Resource{res("app", nil)}, want: true},
		"process beside a disk":                {resources: []*v1alpha1.Resource{res("disk", asDisk), res("app", nil)}, want: true},
		"process on a disk":                    {resources: []*v1alpha1.Resource{res("disk", asDisk), res("app", nil, "disk")}},
		"process on a process on a disk":       {resources: []*v1alpha1.Resource{res("disk", asDisk), res("db", nil, "disk"), res("app", nil, "db")}},
		"process on an advisory disk":          {resources: []*v1alpha1.Resource{res("disk", asDisk), res("app", nil, "disk")}, advisory: true, want: true},
		"process on either, one not covered":   {resources: []*v1alpha1.Resource{res("disk", asDisk), res("other", nil, "disk"), either}},
		"process on either, one that is alone": {resources: []*v1alpha1.Resource{res("disk", asDisk), res("other", nil), either}, want: true},
		"cycle":                                {resources: []*v1alpha1.Resource{res("x", nil, "y"), res("y", nil, "x")}, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := needsFencing(tc.resources, map[string]bool{"/array/1": tc.advisory}); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestPossibleOwners: anchor A21, the intersection.
func TestPossibleOwners(t *testing.T) {
	limited := func(names ...string) *v1alpha1.Resource {
		return res("r", func(r *v1alpha1.Resource) { r.Spec.PossibleOwners = names })
	}
	cases := map[string]struct {
		resources []*v1alpha1.Resource
		want      []string
	}{
		"no list":           {resources: []*v1alpha1.Resource{limited(), limited()}},
		"one list":          {resources: []*v1alpha1.Resource{limited(), limited("a", "b")}, want: []string{"a", "b"}},
		"intersection":      {resources: []*v1alpha1.Resource{limited("a", "b"), limited("b", "c")}, want: []string{"b"}},
		"empty, not absent": {resources: []*v1alpha1.Resource{limited("a"), limited("b")}, want: []string{}},
	}
	for name, tc := range cases {
		if diff := cmp.Diff(tc.want, PossibleOwners(tc.resources)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGroupState(t *testing.T) {
	v := &model.View{Members: []model.ViewMember{{Member: model.Member{ID: 1, Generation: 1}}}}
	owned := &v1alpha1.Assignment{Node: "a", NodeID: 1, Generation: 1, Epoch: 5}
	withdrawn := &v1alpha1.Assignment{Epoch: 6, Unproven: []v1alpha1.UnprovenOwner{{Node: "a", NodeID: 1, Generation: 1, Epoch: 5}}}
	said := func(state v1alpha1.ResourceState, epoch int64) []*v1alpha1.Resource {
		return []*v1alpha1.Resource{res("r", func(r *v1alpha1.Resource) { r.Status.State, r.Status.Node, r.Status.Epoch = state, "a", epoch })}
	}
	cases := map[string]struct {
		assignment *v1alpha1.Assignment
		resources  []*v1alpha1.Resource
		released   model.Epoch
		view       *model.View
		want       model.GroupState
	}{
		"never assigned":                   {resources: said("", 0), view: v, want: model.GroupOffline},
		"assigned, nothing said yet":       {assignment: owned, resources: said("", 0), view: v, want: model.GroupPending},
		"said of an earlier epoch":         {assignment: owned, resources: said(v1alpha1.ResourceOnline, 4), view: v, want: model.GroupPending},
		"online":                           {assignment: owned, resources: said(v1alpha1.ResourceOnline, 5), view: v, want: model.GroupOnline},
		"failed":                           {assignment: owned, resources: said(v1alpha1.ResourceFailed, 5), view: v, want: model.GroupFailed},
		"owner is not in the view":         {assignment: owned, resources: said(v1alpha1.ResourceOnline, 5), view: &model.View{}, want: model.GroupOffline},
		"nobody reports: the last word":    {assignment: owned, resources: said(v1alpha1.ResourceOnline, 5), want: model.GroupOnline},
		"withdrawn, owner still stopping":  {assignment: withdrawn, resources: said(v1alpha1.ResourceOnline, 5), view: v, want: model.GroupPending},
		"withdrawn and released":           {assignment: withdrawn, resources: said(v1alpha1.ResourceOnline, 5), released: 6, view: v, want: model.GroupOffline},
		"withdrawn from an owner now gone": {assignment: withdrawn, resources: said(v1alpha1.ResourceOnline, 5), view: &model.View{}, want: model.GroupOffline},
		"empty":                            {assignment: owned, view: v, want: model.GroupOffline},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := &v1alpha1.ResourceGroup{Status: v1alpha1.ResourceGroupStatus{Assignment: tc.assignment}}
			reports := []model.OwnerReport{{ID: 1, Generation: 1, Released: tc.released}}
			if got := GroupState(g, tc.resources, reports, tc.view); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestEpochFloor: resources that outlive their group have been spoken of at an epoch below which nobody may speak of them again (S5).
func TestEpochFloor(t *testing.T) {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "new"}}
	g.Status.EpochFloor = 3
	o := &Objects{Name: "demo", Groups: []*v1alpha1.ResourceGroup{g}, Resources: []*v1alpha1.Resource{
		res("app", func(r *v1alpha1.Resource) { r.Status.Epoch = 8 }), res("ip", func(r *v1alpha1.Resource) { r.Status.Epoch = 5 }),
	}}
	if got := Build(o, Options{}).Groups[0].EpochFloor; got != 8 {
		t.Errorf("floor %d, want 8", got)
	}
}

// TestBuild looks at what only a whole snapshot shows.
func TestBuild(t *testing.T) {
	a, b := node("a", 1, view(7, 1, 1, 2)), node("b", 2, nil)
	b.Spec.Capacity = v1alpha1.Quantities{"cpu": resource.MustParse("1500m")}
	b.Spec.Reserved = v1alpha1.Quantities{"cpu": resource.MustParse("1")}
	b.Spec.FaultDomain, b.Spec.ForceDrain = "rack1", true
	b.Status.Agent.Disks = []v1alpha1.AgentDisk{{Device: "/array/1", Visible: false}}
	back := metav1.Unix(1e9, 0)
	b.Status.Agent.Interfaces = []v1alpha1.AgentInterface{
		{Network: "lan", Reach: v1alpha1.NetworkReached, ReachSince: &back}, {Network: "wan", Reach: v1alpha1.NetworkIsolated, ReachSince: &back},
		{Network: "dmz", Reach: v1alpha1.NetworkReachUnknown}, {Network: "hb", State: v1alpha1.LinkUp},
	}
	b.Status.Agent.Images = []v1alpha1.AgentImage{
		{Name: "here", State: v1alpha1.ImagePresent}, {Name: "comes", State: v1alpha1.ImageFetching}, {Name: "gone", State: v1alpha1.ImageMissing},
		{Name: "who knows", State: v1alpha1.ImageUnknown},
	}
	box := res("box", func(r *v1alpha1.Resource) { r.Spec.Container = &v1alpha1.Container{Image: "gone"} })
	a.Status.Agent.Groups = []v1alpha1.AgentGroup{{
		UID: "u", Epoch: 4, Released: 3, Floor: 9, FailoverWanted: &v1alpha1.FailoverRequest{Resource: "ip", Epoch: 4, Network: "lan"},
	}, {UID: "other", Epoch: 99}}
	o := &Objects{
		Name: "demo", Fresh: true, Nodes: []*v1alpha1.Node{a, b},
		Groups:    []*v1alpha1.ResourceGroup{{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "u"}}},
		Resources: []*v1alpha1.Resource{res("disk", asDisk), box, box.DeepCopy()},
	}
	s := Build(o, Options{HighestView: 8})
	if diff := cmp.Diff(map[string]time.Time{"lan": back.Time}, s.Nodes[1].Reached); diff != "" {
		t.Errorf("networks reached (-want +got):\n%s", diff)
	}
	if r := s.Groups[0].Reports[0]; r.FailoverWanted != "ip" || r.FailedNetwork != "lan" {
		t.Errorf("the failure is %+v", r)
	}
	lacked := map[string]model.ImageLack{"comes": model.ImageAwaited, "who knows": model.ImageAwaited, "gone": model.ImageMissing}
	if diff := cmp.Diff(lacked, s.Nodes[1].LackedImages); diff != "" || !slices.Equal(s.Groups[0].Images, []string{"gone"}) {
		t.Errorf("images %v, lacked (-want +got):\n%s", s.Groups[0].Images, diff)
	}
	if !s.Restored || s.View.ID.Number != 7 || s.View.Reporter != 1 {
		t.Errorf("view %+v, restored %v", s.View, s.Restored)
	}
	if got := s.Nodes[1]; got.Capacity["cpu"] != 1500 || !got.HiddenDisks["/array/1"] || !got.Connected || !got.Reported {
		t.Errorf("node b: %+v", got)
	}
	if got := s.Nodes[1]; got.Reserved["cpu"] != 1000 || got.FaultDomain != "rack1" || !got.ForceDrain {
		t.Errorf("node b: %+v", got)
	}
	want := []model.OwnerReport{{Node: "a", ID: 1, Generation: 1, Running: 4, Released: 3, Floor: 9, FailoverWanted: "ip", FailoverEpoch: 4, FailedNetwork: "lan"}}
	if diff := cmp.Diff(want, s.Groups[0].Reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if g := s.Groups[0]; !g.DesiredOnline || g.Priority != 2000 || g.FailoverThreshold != 6 || g.RetryPeriod != time.Hour || g.Failback.Policy != model.FailbackNever {
		t.Errorf("defaults: %+v", g)
	}
	o.Fresh = false
	if s := Build(o, Options{}); s.View != nil || s.Nodes[0].State != model.NodeJoining {
		t.Errorf("without a reporter: view %+v, node %s", s.View, s.Nodes[0].State)
	}
}

// FuzzParseClearForeign: what an operator writes is keys and a token, or is refused.
func FuzzParseClearForeign(f *testing.F) {
	f.Add("0xfeed")
	f.Add("0xfeed,0x1234567,0xfeed/incident-17")
	f.Add("feed,,/")
	f.Fuzz(func(t *testing.T, value string) {
		keys, token, err := ParseClearForeign(value)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > MaxForeignKeys || !slices.IsSorted(keys) || len(token) > maxToken {
			t.Errorf("%q gives %v, %q", value, keys, token)
		}
		if back, _, err := ParseClearForeign(strings.Join(keys, ",")); err != nil || !slices.Equal(back, keys) {
			t.Errorf("%v reads back as %v, %v", keys, back, err)
		}
	})
}
