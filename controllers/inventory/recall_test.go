package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestRecall: what an agent has said in a life counts until it says something newer, whatever the API server shows.
func TestRecall(t *testing.T) {
	says := func(generation int64, groups ...v1alpha1.AgentGroup) *v1alpha1.AgentStatus {
		return &v1alpha1.AgentStatus{ClusterID: "c", Generation: generation, Groups: groups}
	}
	g := func(uid string, epoch, released int64) v1alpha1.AgentGroup {
		return v1alpha1.AgentGroup{UID: uid, Epoch: epoch, Released: released}
	}
	other := says(1, g("a", 2, 0))
	other.ClusterID = "d"
	for name, tc := range map[string]struct {
		known, shown *v1alpha1.AgentStatus
		want         []v1alpha1.AgentGroup
	}{
		"nothing known":                     {nil, says(1, g("a", 2, 0)), []v1alpha1.AgentGroup{g("a", 2, 0)}},
		"newer":                             {says(1, g("a", 2, 0)), says(1, g("a", 0, 3)), []v1alpha1.AgentGroup{g("a", 0, 3)}},
		"restored before it ran":            {says(1, g("a", 4, 0)), says(1), []v1alpha1.AgentGroup{g("a", 4, 0)}},
		"restored to an older epoch":        {says(1, g("a", 4, 0)), says(1, g("a", 2, 0)), []v1alpha1.AgentGroup{g("a", 4, 0)}},
		"restored before it was released":   {says(1, g("a", 0, 5)), says(1, g("a", 4, 0)), []v1alpha1.AgentGroup{g("a", 0, 5)}},
		"one group older, one newer":        {says(1, g("a", 4, 0), g("b", 1, 0)), says(1, g("b", 2, 0)), []v1alpha1.AgentGroup{g("a", 4, 0), g("b", 2, 0)}},
		"restored without any status":       {says(1, g("a", 4, 0)), nil, []v1alpha1.AgentGroup{g("a", 4, 0)}},
		"restored to an older life":         {says(3, g("a", 4, 0)), says(2, g("a", 9, 0)), []v1alpha1.AgentGroup{g("a", 4, 0)}},
		"a new life has nothing":            {says(3, g("a", 4, 0)), says(4), nil},
		"another cluster":                   {says(3, g("a", 4, 0)), other, []v1alpha1.AgentGroup{g("a", 2, 0)}},
		"a group that is gone is forgotten": {says(1, g("a", 4, 0), g("gone", 7, 0)), says(1), []v1alpha1.AgentGroup{g("a", 4, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			var r recall
			node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}}
			node.Status.Agent = tc.known
			r.observe(node)
			restored := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}}
			restored.Status.Agent = tc.shown
			got := r.node(restored, map[string]bool{"a": true, "b": true})
			if diff := cmp.Diff(tc.want, got.Status.Agent.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			if restored.Status.Agent != tc.shown {
				t.Error("the cache's object was changed")
			}
		})
	}
}
