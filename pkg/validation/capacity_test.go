package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

func TestNeverFits(t *testing.T) {
	amounts := func(cpu, memory string) v1alpha1.Quantities {
		return v1alpha1.Quantities{"cpu": resource.MustParse(cpu), "memory": resource.MustParse(memory)}
	}
	node := func(name string, capacity v1alpha1.Quantities, reserved string) *v1alpha1.Node {
		n := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{Capacity: capacity, Reserved: v1alpha1.Quantities{"cpu": resource.MustParse(reserved)}}}
		n.Name = name
		return n
	}
	nodes := []*v1alpha1.Node{node("a", amounts("4", "1Gi"), "3"), node("b", amounts("2", "1Gi"), "0")}
	cases := map[string]struct {
		requests v1alpha1.Quantities
		owners   []string
		nodes    []*v1alpha1.Node
		want     string
	}{
		"no requests":                {nodes: nodes},
		"fits one of them exactly":   {requests: amounts("2", "1Gi"), nodes: nodes},
		"no nodes yet":               {requests: amounts("9", "1Gi")},
		"a node that limits nothing": {requests: amounts("9", "1Gi"), nodes: append([]*v1alpha1.Node{node("c", nil, "0")}, nodes...)},
		"what is reserved is not for groups": {
			requests: amounts("2", "1Gi"), owners: []string{"a"}, nodes: nodes,
			want: "no node that may have the group has room for it, even with nothing else on it: a has 1 of cpu for groups, 2 are asked for",
		},
		"too large for all": {
			requests: amounts("1", "2Gi"), nodes: nodes,
			want: "no node that may have the group has room for it, even with nothing else on it: a has 1Gi of memory for groups, 2Gi are asked for; b has 1Gi of memory for groups, 2Gi are asked for",
		},
	}
	for name, tc := range cases {
		g, r := group("web"), app("web", "web")
		g.Spec.Requests, r.Spec.PossibleOwners = tc.requests, tc.owners
		found := neverFits(newScope(&snapshot.Objects{Name: "demo", Nodes: tc.nodes, Groups: []*v1alpha1.ResourceGroup{g}, Resources: []*v1alpha1.Resource{r}}))
		got := ""
		for _, f := range found {
			got += f.Message
			if f.Reason != v1alpha1.GroupReasonTooLarge || f.Field != "spec.requests" || !f.Warning {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
	}
}
