package nodeagent

import (
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/membership"
)

// A host without a disk goes on above all that the API server knows of it, and above the views of the others of its cluster.
func TestSeedOfALostDisk(t *testing.T) {
	node := func(cluster string, view int64) *v1alpha1.Node {
		n := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{ClusterName: cluster}}
		n.Status.Agent = &v1alpha1.AgentStatus{Incarnation: 4, Generation: 7, View: &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: view}}}
		return n
	}
	const margin = membership.LostDiskMargin
	for name, tc := range map[string]struct {
		self   *v1alpha1.Node
		others []*v1alpha1.Node
		want   membership.Persistent
	}{
		"its own report":     {node("demo", 5), nil, membership.Persistent{Incarnation: 4 + margin, Generation: 7 + margin, HighestView: 5 + margin}},
		"another's is later": {node("demo", 5), []*v1alpha1.Node{node("demo", 5), node("demo", 70)}, membership.Persistent{Incarnation: 4 + margin, Generation: 7 + margin, HighestView: 70 + margin}},
		"another cluster's":  {node("demo", 5), []*v1alpha1.Node{node("lab", 70)}, membership.Persistent{Incarnation: 4 + margin, Generation: 7 + margin, HighestView: 5 + margin}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := seedOf(tc.self, tc.others); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	if got := seedOf(&v1alpha1.Node{Spec: v1alpha1.NodeSpec{ClusterName: "demo"}}, nil); got != (membership.Persistent{}) {
		t.Errorf("a new node begins with %+v", got)
	}
}
