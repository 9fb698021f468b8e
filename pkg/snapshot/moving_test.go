package snapshot

import (
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// TestArrived: a resource that was moved waits until its old group has let go of it, and until the new one's epoch is above the old.
func TestArrived(t *testing.T) {
	for name, tc := range map[string]struct {
		status v1alpha1.ResourceStatus
		want   bool
	}{
		"new":                     {v1alpha1.ResourceStatus{}, true},
		"of an older agent":       {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Epoch: 9}, true},
		"the group's own":         {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Epoch: 9, GroupName: "web"}, true},
		"online there":            {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Epoch: 3, GroupName: "old"}, false},
		"failed there":            {v1alpha1.ResourceStatus{State: v1alpha1.ResourceFailed, Epoch: 3, GroupName: "old"}, false},
		"its owner is dead":       {v1alpha1.ResourceStatus{State: v1alpha1.ResourceUnknown, Epoch: 3, GroupName: "old"}, false},
		"offline there":           {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOffline, Epoch: 3, GroupName: "old"}, true},
		"offline at this epoch":   {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOffline, Epoch: 5, GroupName: "old"}, false},
		"offline at a higher one": {v1alpha1.ResourceStatus{State: v1alpha1.ResourceOffline, Epoch: 6, GroupName: "old"}, false},
	} {
		r := &v1alpha1.Resource{Spec: v1alpha1.ResourceSpec{GroupName: "web"}, Status: tc.status}
		if got := Arrived(r, model.Epoch(5)); got != tc.want {
			t.Errorf("%s: Arrived() = %v", name, got)
		}
	}
}

// TestLetGo: a dead owner's word ends only with the proof that it is harmless.
func TestLetGo(t *testing.T) {
	r := &v1alpha1.Resource{
		Spec:   v1alpha1.ResourceSpec{GroupName: "web"},
		Status: v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Epoch: 3, GroupName: "old"},
	}
	group := func(a *v1alpha1.Assignment, mode v1alpha1.GroupMode) *v1alpha1.ResourceGroup {
		return &v1alpha1.ResourceGroup{Spec: v1alpha1.ResourceGroupSpec{Mode: mode}, Status: v1alpha1.ResourceGroupStatus{Assignment: a}}
	}
	unproven := []v1alpha1.UnprovenOwner{{Node: "a", NodeID: 1, Generation: 1, Epoch: 3}}
	for name, tc := range map[string]struct {
		old  *v1alpha1.ResourceGroup
		want bool
	}{
		"the group is gone":         {nil, true},
		"its owner has it":          {group(&v1alpha1.Assignment{Node: "a", Epoch: 3}, ""), false},
		"withdrawn, and still busy": {group(&v1alpha1.Assignment{Epoch: 4, Unproven: unproven}, ""), false},
		"withdrawn, and released":   {group(&v1alpha1.Assignment{Epoch: 4}, ""), true},
		"elsewhere, unproven":       {group(&v1alpha1.Assignment{Node: "b", Epoch: 4, Unproven: unproven}, ""), false},
		"elsewhere, proven":         {group(&v1alpha1.Assignment{Node: "b", Epoch: 4}, ""), true},
		"never assigned":            {group(nil, ""), false},
		"on several nodes":          {group(&v1alpha1.Assignment{Epoch: 4}, v1alpha1.GroupModeLoadBalanced), false},
	} {
		if got := LetGo(r, tc.old); got != tc.want {
			t.Errorf("%s: LetGo() = %v", name, got)
		}
	}
}
