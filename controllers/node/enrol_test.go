package node

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// TestKnownToAgent: an API server that was restored without statuses gives every host the id back under which it keeps its promises.
func TestKnownToAgent(t *testing.T) {
	node := func(name string, id int32, agent *v1alpha1.AgentStatus) *v1alpha1.Node {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.ID, n.Status.Agent = id, agent
		return n
	}
	says := func(cluster string, id int32) *v1alpha1.AgentStatus {
		return &v1alpha1.AgentStatus{ClusterID: cluster, NodeID: id}
	}
	for name, tc := range map[string]struct {
		node   *v1alpha1.Node
		others []*v1alpha1.Node
		want   int32
	}{
		"its agent knows":           {node("a", 0, says("c1", 7)), nil, 7},
		"it has an id":              {node("a", 3, says("c1", 7)), nil, 0},
		"no agent yet":              {node("a", 0, nil), nil, 0},
		"the agent is new":          {node("a", 0, says("c1", 0)), nil, 0},
		"of another cluster":        {node("a", 0, says("c2", 7)), nil, 0},
		"another node has it":       {node("a", 0, says("c1", 7)), []*v1alpha1.Node{node("b", 7, nil)}, 0},
		"another agent says it too": {node("a", 0, says("c1", 7)), []*v1alpha1.Node{node("b", 0, says("c1", 7))}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := &v1alpha1.Cluster{}
			c.Status.ClusterID = "c1"
			o := &snapshot.Objects{Cluster: c, Nodes: append(tc.others, tc.node)}
			if got := knownToAgent(o, tc.node); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
