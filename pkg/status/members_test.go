package status

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// balanced is a group of mode LoadBalanced that is online on a at epoch 4 and on b at epoch 5.
func balanced() *GroupFacts {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web", UID: "u", Generation: 3}}
	g.Spec.Mode = v1alpha1.GroupModeLoadBalanced
	g.Status.Assignment = &v1alpha1.Assignment{Epoch: 5}
	g.Status.Members = snapshot.APIMembers([]model.GroupMember{{Node: "a", ID: 1, Generation: 1, Epoch: 4}, {Node: "b", ID: 2, Generation: 1, Epoch: 5}})
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "app"}, Spec: v1alpha1.ResourceSpec{GroupName: "web"}}
	r.Status.Members = []v1alpha1.ResourceMember{{Node: "a", Epoch: 4, State: v1alpha1.ResourceOnline}, {Node: "b", Epoch: 5, State: v1alpha1.ResourceOnline}}
	return &GroupFacts{
		Group: g, Resources: []*v1alpha1.Resource{r}, Model: &model.Group{Mode: model.ModeLoadBalanced}, View: modelView(1, 2), Now: now,
	}
}

func TestBalancedGroup(t *testing.T) {
	cases := map[string]struct {
		change func(*GroupFacts)
		// state, members online, Ready, its reason, Online; the message of Online
		want, message string
	}{
		"online": {change: func(*GroupFacts) {}, want: "Online 2/2 True Ready True", message: "Online on a, b"},
		"one failed": {change: func(f *GroupFacts) {
			f.Resources[0].Status.Members[1].State = v1alpha1.ResourceFailed
			f.Note = policy.GroupNote{Reason: model.ReasonResourceFailed, Message: "resource app failed on b"}
		}, want: "PartialOnline 1/2 False ResourceFailed True", message: "Online on a; Failed on b"},
		"a member comes": {change: func(f *GroupFacts) { f.Resources[0].Status.Members[1].Epoch = 3 },
			want: "PartialOnline 1/2 False PartialOnline True", message: "Online on a; Pending on b"},
		"a node was lost, not decided yet": {change: func(f *GroupFacts) { f.View = modelView(1) },
			want: "PartialOnline 1/2 False PartialOnline True", message: "Online on a; Offline on b"},
		"a node is leaving": {change: func(f *GroupFacts) { f.Group.Status.Members[1].Withdrawn = true },
			want: "Online 1/1 True Ready True", message: "Online on a"},
		"nobody reports": {change: func(f *GroupFacts) { f.View = nil }, want: "Online 2/2 Unknown NoQuorum Unknown", message: "no quorate view of the cluster is reported"},
		"all failed": {change: func(f *GroupFacts) {
			f.Resources[0].Status.Members[0].State, f.Resources[0].Status.Members[1].State = v1alpha1.ResourceFailed, v1alpha1.ResourceFailed
		}, want: "Failed 0/2 False Failed False", message: "Failed on a, b"},
		"nowhere": {change: func(f *GroupFacts) {
			f.Group.Status.Members = nil
			f.Note = policy.GroupNote{Reason: model.ReasonNoCandidate, Message: "no node may take the group"}
		}, want: "Offline 0/0 False NoEligibleNode False", message: "Offline"},
		"offline, as wanted": {change: func(f *GroupFacts) {
			f.Group.Status.Members = nil
			f.Group.Spec.DesiredState = v1alpha1.DesiredOffline
		}, want: "Offline 0/0 True DesiredOffline False", message: "Offline"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := balanced()
			tc.change(f)
			st := Group(f)
			ready, online := meta.FindStatusCondition(st.Conditions, "Ready"), meta.FindStatusCondition(st.Conditions, "Online")
			got := strings.Join([]string{string(st.State), st.MembersOnline, string(ready.Status), ready.Reason, string(online.Status)}, " ")
			if got != tc.want || online.Message != tc.message {
				t.Errorf("got %s (%s), want %s (%s)", got, online.Message, tc.want, tc.message)
			}
			if again := Group(&GroupFacts{Group: &v1alpha1.ResourceGroup{ObjectMeta: f.Group.ObjectMeta, Spec: f.Group.Spec, Status: *st}, Resources: f.Resources,
				Model: f.Model, View: f.View, Note: f.Note, Now: now}); !cmp.Equal(st, again) {
				t.Errorf("a second look changes the status:\n%s", cmp.Diff(st, again))
			}
		})
	}
}

// TestBalanceDecision: a decision of policy becomes members, and an Event that names what changed.
func TestBalanceDecision(t *testing.T) {
	f := balanced()
	f.View = modelView(1)
	f.Decision = &policy.Decision{
		Kind: policy.Balance, Reason: model.ReasonNodeDown, Unplanned: true, Note: "b is not in view 7/1",
		Assignment: model.Assignment{Epoch: 6, View: f.View.ID, Reason: model.ReasonNodeDown},
		Members:    []model.GroupMember{{Node: "a", ID: 1, Generation: 1, Epoch: 4}, {Node: "b", ID: 2, Generation: 1, Epoch: 6, Withdrawn: true}},
	}
	st := Group(f)
	if st.Assignment.Epoch != 6 || st.Assignment.Node != "" || len(st.Members) != 2 || !st.Members[1].Withdrawn || st.Owner != "" ||
		st.State != v1alpha1.GroupOnline || st.MembersOnline != "1/1" || st.Members[1].State != v1alpha1.GroupOffline {
		t.Errorf("status %+v", st)
	}
	events := GroupEvents(&f.Group.Status, st, f.Decision)
	if len(events) == 0 || !events[0].Warning || !strings.Contains(events[0].Note, "b is not in view") {
		t.Errorf("events %+v", events)
	}
}

// TestSumUp: the manager's part of a resource that several nodes have at once.
func TestSumUp(t *testing.T) {
	cases := map[string]struct {
		change  func(*ResourceFacts)
		state   v1alpha1.ResourceState
		message string
		entries int
		ready   metav1.ConditionStatus
	}{
		"online everywhere": {change: func(*ResourceFacts) {}, state: "Online", message: "Online on a, b", entries: 2, ready: "True"},
		"one failed": {change: func(f *ResourceFacts) {
			f.Resource.Status.Members[1].State, f.Resource.Status.Members[1].Message = "Failed", "exit status 1"
		}, state: "Online", message: "Online on a; Failed on b; on b: exit status 1", entries: 2, ready: "False"},
		"not said yet":    {change: func(f *ResourceFacts) { f.Resource.Status.Members = nil }, state: "OnlinePending", message: "OnlinePending on a, b", ready: "False"},
		"a node was lost": {change: func(f *ResourceFacts) { f.View = modelView(1) }, state: "Online", message: "Online on a", entries: 1, ready: "True"},
		"a node has left the members": {change: func(f *ResourceFacts) { f.Group.Status.Members = f.Group.Status.Members[:1] },
			state: "Online", message: "Online on a", entries: 1, ready: "True"},
		"an epoch that this manager does not know yet": {change: func(f *ResourceFacts) {
			f.Group.Status.Members = f.Group.Status.Members[:1]
			f.Resource.Status.Members[1].Epoch = 9
		}, state: "Online", message: "Online on a", entries: 2, ready: "True"},
		"offline, as wanted": {change: func(f *ResourceFacts) {
			f.Group.Spec.DesiredState, f.Group.Status.Members = v1alpha1.DesiredOffline, nil
		}, state: "Offline", ready: "True"},
		"still stopping": {change: func(f *ResourceFacts) {
			f.Group.Spec.DesiredState, f.Group.Status.Members[0].Withdrawn, f.Group.Status.Members[1].Withdrawn = v1alpha1.DesiredOffline, true, true
			f.Resource.Status.Members[0].State = "OfflinePending"
			f.Resource.Status.Members[1].State = "Offline"
		}, state: "OfflinePending", message: "OfflinePending on a; Offline on b", entries: 2, ready: "False"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := balanced()
			f := &ResourceFacts{Resource: g.Resources[0], Group: g.Group, View: g.View, Now: now}
			tc.change(f)
			st := SumUp(f)
			if st.State != tc.state || st.Message != tc.message || len(st.Members) != tc.entries || st.Node != "" {
				t.Errorf("got %s (%s) with %d entries", st.State, st.Message, len(st.Members))
			}
			f.Resource = f.Resource.DeepCopy()
			f.Resource.Status = *st
			if again := SumUp(f); !cmp.Equal(st, again) {
				t.Errorf("a second look changes the status:\n%s", cmp.Diff(st, again))
			}
			ready := meta.FindStatusCondition(ResourceConditions(f), "Ready")
			if ready.Status != tc.ready {
				t.Errorf("Ready is %s (%s: %s), want %s", ready.Status, ready.Reason, ready.Message, tc.ready)
			}
		})
	}
}
