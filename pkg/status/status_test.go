package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func modelView(ids ...model.NodeID) *model.View {
	v := &model.View{ID: model.ViewID{Number: 7, Coordinator: 1}, Quorate: true}
	for _, id := range ids {
		v.Members = append(v.Members, model.ViewMember{Member: model.Member{ID: id, Generation: 1}, ReachesAPI: id != 3})
	}
	return v
}

// online is a group that is online on node a at epoch 5.
func online() *GroupFacts {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "u", Generation: 3}}
	g.Status.Assignment = &v1alpha1.Assignment{Node: "a", NodeID: 1, Generation: 1, Epoch: 5}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Name: "ip"}, Spec: v1alpha1.ResourceSpec{GroupName: "shop",
		ResourceParameters: v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{}}}}
	r.Status.State, r.Status.Node, r.Status.Epoch = v1alpha1.ResourceOnline, "a", 5
	return &GroupFacts{
		Group: g, Resources: []*v1alpha1.Resource{r}, Model: &model.Group{Assignment: snapshot.Assignment(g.Status.Assignment)}, View: modelView(1, 2),
		Owner: &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: v1alpha1.NodeStatus{ID: 1, Agent: &v1alpha1.AgentStatus{
			Guards: &v1alpha1.AgentGuards{Addresses: true},
		}}}, Now: now,
	}
}

func TestGroupConditions(t *testing.T) {
	invalid := &validation.Finding{Kind: validation.KindResource, Namespace: "demo", Name: "ip", Field: "spec.x", Reason: "Invalid", Message: "is wrong"}
	cases := map[string]struct {
		change func(*GroupFacts)
		want   string // Accepted Ready Online UnsafeFencing, and the reason of Ready
	}{
		"online":                    {change: func(*GroupFacts) {}, want: "True True True False Ready"},
		"not accepted, and running": {change: func(f *GroupFacts) { f.Invalid = invalid }, want: "False False True False ResourceInvalid"},
		"nobody reports":            {change: func(f *GroupFacts) { f.View = nil }, want: "True Unknown Unknown False NoQuorum"},
		"resource failed":           {change: func(f *GroupFacts) { f.Resources[0].Status.State = v1alpha1.ResourceFailed }, want: "True False False False Failed"},
		"coming online":             {change: func(f *GroupFacts) { f.Resources[0].Status.Epoch = 4 }, want: "True False False False Pending"},
		"resource wanted offline is": {change: func(f *GroupFacts) {
			f.Resources[0].Spec.DesiredState, f.Resources[0].Status.State = "Offline", "Offline"
		}, want: "True True False False Ready"},
		"wanted offline, is online": {change: func(f *GroupFacts) { f.Group.Spec.DesiredState = "Offline" }, want: "True False True False Online"},
		"wanted offline, is offline": {change: func(f *GroupFacts) {
			f.Group.Spec.DesiredState, f.Group.Status.Assignment, f.Owner = "Offline", &v1alpha1.Assignment{Epoch: 6}, nil
		}, want: "True True False - DesiredOffline"},
		"being deleted": {change: func(f *GroupFacts) { f.Group.DeletionTimestamp = &metav1.Time{Time: now} }, want: "True False True False Deleting"},
		"waits, and policy says why": {change: func(f *GroupFacts) {
			f.Group.Status.Assignment, f.Owner, f.Note = nil, nil, policy.GroupNote{Reason: model.ReasonNoCandidate, Message: "no node"}
		}, want: "True False False - NoEligibleNode"},
		"given up":                  {change: func(f *GroupFacts) { f.Group.Status.FailedSince = &metav1.Time{Time: now} }, want: "True False False False FailoverThresholdExceeded"},
		"addresses are not guarded": {change: func(f *GroupFacts) { f.Owner.Status.Agent.Guards = nil }, want: "True True True True Ready"},
		"a watchdog guards instead": {change: func(f *GroupFacts) { f.Owner.Status.Agent.Guards = &v1alpha1.AgentGuards{Watchdog: true} }, want: "True True True False Ready"},
		"its power can be cut":      {change: func(f *GroupFacts) { f.Model.NeedsFencing, f.PowerFencing = true, true }, want: "True True True False Ready"},
		"a process without a proof": {change: func(f *GroupFacts) { f.Model.NeedsFencing = true }, want: "True True True True Ready"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := online()
			tc.change(f)
			st := Group(f)
			status := func(kind string) string {
				if c := meta.FindStatusCondition(st.Conditions, kind); c != nil {
					return string(c.Status)
				}
				return "-"
			}
			got := fmt.Sprintf("%s %s %s %s %s", status("Accepted"), status("Ready"), status("Online"), status("UnsafeFencing"),
				meta.FindStatusCondition(st.Conditions, "Ready").Reason)
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if again := Group(&GroupFacts{Group: withStatus(f.Group, st), Resources: f.Resources, Model: f.Model, View: f.View, Owner: f.Owner,
				Invalid: f.Invalid, Note: f.Note, PowerFencing: f.PowerFencing, Now: now.Add(time.Hour)}); !cmp.Equal(st, again) {
				t.Errorf("nothing happened, and the status differs an hour later:\n%s", cmp.Diff(st, again))
			}
		})
	}
}

func withStatus(g *v1alpha1.ResourceGroup, st *v1alpha1.ResourceGroupStatus) *v1alpha1.ResourceGroup {
	out := g.DeepCopy()
	out.Status = *st
	return out
}

// TestEpochFloor: rule O7, what was reported above the assignment is kept.
func TestEpochFloor(t *testing.T) {
	f := online()
	f.Model.Reports = []model.OwnerReport{{Running: 5, Floor: 5}}
	if st := Group(f); st.EpochFloor != 0 {
		t.Errorf("floor %d although nothing is above the assignment", st.EpochFloor)
	}
	f.Model.Reports = []model.OwnerReport{{Running: 5, Floor: 9, Released: 7}}
	if st := Group(f); st.EpochFloor != 9 {
		t.Errorf("floor %d, want 9", st.EpochFloor)
	}
}

// TestBounds: lists stay bounded, whatever happens.
func TestBounds(t *testing.T) {
	f := online()
	for i := range 100 {
		f.Decision = &policy.Decision{
			Kind: policy.FinishMove, Failure: &model.Failure{Node: "a", Kind: model.FailureNode, Time: now},
			Move: &policy.MoveOutcome{Target: "b", Token: fmt.Sprint(i), Outcome: policy.MoveRefused, Message: strings.Repeat("ü", 2000)},
		}
		f.Group = withStatus(f.Group, Group(f))
	}
	st := f.Group.Status
	if len(st.Failures) != v1alpha1.MaxGroupFailures || len(st.UsedMoveTokens) != v1alpha1.MaxUsedMoveTokens || len(st.LastMove.Message) > maxMessage {
		t.Errorf("%d failures, %d tokens, message of %d bytes", len(st.Failures), len(st.UsedMoveTokens), len(st.LastMove.Message))
	}
	if st.UsedMoveTokens[0] != "68" {
		t.Errorf("the oldest token that is kept is %s", st.UsedMoveTokens[0])
	}
}

func TestNode(t *testing.T) {
	cases := map[string]struct {
		before v1alpha1.NodeStatus
		view   *model.View
		want   string // state, joins, exits
	}{
		"first join":                {before: v1alpha1.NodeStatus{ID: 1, State: "Joining"}, view: modelView(1, 2), want: "Up 1 0"},
		"stays":                     {before: v1alpha1.NodeStatus{ID: 1, State: "Up", Joins: 1, Generation: 1}, view: modelView(1, 2), want: "Up 1 0"},
		"stays, in a new life":      {before: v1alpha1.NodeStatus{ID: 1, State: "Up", Joins: 1, Generation: 0}, view: modelView(1, 2), want: "Up 2 1"},
		"leaves":                    {before: v1alpha1.NodeStatus{ID: 1, State: "Up", Joins: 1, Generation: 1}, view: modelView(2), want: "Down 1 1"},
		"is away":                   {before: v1alpha1.NodeStatus{ID: 1, State: "Down", Joins: 1, Generation: 1}, view: modelView(2), want: "Down 1 0"},
		"returns":                   {before: v1alpha1.NodeStatus{ID: 1, State: "Down", Joins: 1, Generation: 1}, view: modelView(1, 2), want: "Up 2 0"},
		"nobody reports":            {before: v1alpha1.NodeStatus{ID: 1, State: "Up", Joins: 1, Generation: 1}, want: "Unknown 1 0"},
		"is reported again":         {before: v1alpha1.NodeStatus{ID: 1, State: "Unknown", Joins: 1, Generation: 1}, view: modelView(1, 2), want: "Up 1 0"},
		"has no number: in no view": {before: v1alpha1.NodeStatus{}, view: modelView(0, 1), want: "Joining 0 0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n := &v1alpha1.Node{Status: tc.before}
			other := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Status: v1alpha1.NodeStatus{ID: 2, State: "Up", Joins: 1, Generation: 1}}
			st := Node(&NodeFacts{Node: n, Cluster: &v1alpha1.Cluster{}, View: tc.view, Nodes: []*v1alpha1.Node{n, other}, Now: now})
			if got := fmt.Sprintf("%s %d %d", st.State, st.Joins, len(st.UngracefulExits)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func objects(dynamic bool, voters []int32, members ...int32) *snapshot.Objects {
	o := &snapshot.Objects{Name: "demo", Fresh: true, Cluster: &v1alpha1.Cluster{}, Quorum: &v1alpha1.QuorumConfig{Spec: v1alpha1.QuorumConfigSpec{DynamicVotes: &dynamic}}}
	v := &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: 1, Coordinator: members[0]}, Quorate: true}
	for _, id := range members {
		v.Members = append(v.Members, v1alpha1.AgentViewMember{ID: id, Generation: 1})
	}
	for id := int32(1); id <= 5; id++ {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: string('a' + id - 1)}, Status: v1alpha1.NodeStatus{ID: id, Agent: &v1alpha1.AgentStatus{}}}
		if id == members[0] {
			n.Status.Agent.View, n.Status.Agent.Voters = v, voters
		}
		o.Nodes = append(o.Nodes, n)
	}
	return o
}

// TestVotes: of an even number of voters the highest id does not count (R5).
func TestVotes(t *testing.T) {
	cases := map[string]struct {
		objects *snapshot.Objects
		want    string // required, present, failures left
	}{
		"all five":           {objects: objects(true, []int32{1, 2, 3, 4, 5}, 1, 2, 3, 4, 5), want: "3 5 3"},
		"four":               {objects: objects(true, []int32{1, 2, 3, 4}, 1, 2, 3, 4), want: "2 3 2"},
		"two":                {objects: objects(true, []int32{1, 2}, 1, 2), want: "1 1 0"},
		"one":                {objects: objects(true, []int32{1}, 1), want: "1 1 0"},
		"static, all five":   {objects: objects(false, []int32{1, 2, 3, 4, 5}, 1, 2, 3, 4, 5), want: "3 5 2"},
		"static, three left": {objects: objects(false, []int32{1, 2, 3, 4, 5}, 1, 2, 3), want: "3 3 0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q, c := Quorum(tc.objects, now), Cluster(tc.objects, now)
			if got := fmt.Sprint(q.VotesRequired, q.VotesPresent, c.FailuresLeft); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestQuorumRefused: what is wrong with a QuorumConfig is said in its condition.
func TestQuorumRefused(t *testing.T) {
	o := objects(true, []int32{1, 2, 3}, 1, 2, 3)
	for _, n := range o.Nodes {
		n.Spec.Votes = new(int32)
	}
	c := meta.FindStatusCondition(Quorum(o, now).Conditions, v1alpha1.ConditionAccepted)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.QuorumReasonNeverQuorate || !strings.Contains(c.Message, "spec.votes 0") {
		t.Errorf("without any vote the condition is %+v", c)
	}
}
