package status

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestNodeFencing: what agents did becomes part of the fenced node's own status, and stays when they forget it.
func TestNodeFencing(t *testing.T) {
	node := func(name string, id int32, agent *v1alpha1.AgentStatus) *v1alpha1.Node {
		n := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.ID, n.Status.Agent = id, agent
		return n
	}
	did := func(generation int64, state v1alpha1.FencingState) *v1alpha1.AgentStatus {
		return &v1alpha1.AgentStatus{Fencings: []v1alpha1.AgentFencing{
			{Node: "b", NodeID: 2, Generation: generation, State: state, Level: 2, Driver: "fence_x", Message: "group g waits"},
		}}
	}
	said := &v1alpha1.AgentStatus{Confirmations: []v1alpha1.AgentConfirmation{{Node: "b", NodeID: 2, Generation: 5, By: "ann on c", Reason: "unplugged"}}}
	before := &v1alpha1.NodeFencing{Generation: 4, Proof: v1alpha1.ProofPowerFenced, By: "a"}
	for name, tc := range map[string]struct {
		before *v1alpha1.NodeFencing
		agents []*v1alpha1.AgentStatus
		want   string // by and generation
		event  string
	}{
		"nothing":             {nil, nil, "", ""},
		"fenced":              {nil, []*v1alpha1.AgentStatus{did(4, v1alpha1.FencingFenced)}, "n0 4 PowerFenced", "n0 has cut the power (level 2, fence_x) of generation 4: group g waits"},
		"under way":           {nil, []*v1alpha1.AgentStatus{did(4, v1alpha1.FencingRunning)}, "", ""},
		"failed":              {nil, []*v1alpha1.AgentStatus{did(4, v1alpha1.FencingFailed)}, "", ""},
		"forgotten":           {before, nil, "a 4 PowerFenced", ""},
		"said again":          {before, []*v1alpha1.AgentStatus{did(4, v1alpha1.FencingFenced)}, "a 4 PowerFenced", ""},
		"confirmed, a later":  {before, []*v1alpha1.AgentStatus{did(4, v1alpha1.FencingFenced), said}, "ann on c 5 ManualConfirmation", "ann on c has confirmed that generation 5 is off: unplugged"},
		"an older one counts": {before, []*v1alpha1.AgentStatus{did(3, v1alpha1.FencingFenced)}, "a 4 PowerFenced", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := node("b", 2, nil)
			b.Status.Fencing = tc.before
			facts := &NodeFacts{Node: b, Now: now, Nodes: []*v1alpha1.Node{b, node("other", 3, nil)}}
			for i, agent := range tc.agents {
				facts.Nodes = append(facts.Nodes, node("n"+string(rune('0'+i)), int32(10+i), agent))
			}
			st := Node(facts)
			got := ""
			if f := st.Fencing; f != nil {
				got = f.By + " " + string(rune('0'+f.Generation)) + " " + string(f.Proof)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			var events []string
			for _, e := range fencingEvents(&b.Status, st) {
				events = append(events, e.Note)
			}
			if all := strings.Join(events, "; "); all != tc.event {
				t.Errorf("events %q, want %q", all, tc.event)
			}
		})
	}
}
