package audit

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
)

// balance adds a group of mode LoadBalanced with one process, which is to be on the nodes and is.
func (w *world) balance(nodes ...string) {
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web", UID: types.UID("group-web")}}
	g.Spec = v1alpha1.ResourceGroupSpec{ClusterName: "demo", Mode: v1alpha1.GroupModeLoadBalanced}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-app", UID: types.UID("uidweb-app")}}
	r.Spec = v1alpha1.ResourceSpec{GroupName: "web", Type: v1alpha1.TypeGenericApplication, ResourceParameters: v1alpha1.ResourceParameters{
		GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/web", "balanced"}},
	}}
	w.groups, w.resources = append(w.groups, g), append(w.resources, r)
	for _, n := range nodes {
		w.give(n)
		w.serve(n)
	}
}

// give makes the node a member at the next epoch.
func (w *world) give(node string) {
	g := w.group("web")
	var epoch int64
	if g.Status.Assignment != nil {
		epoch = g.Status.Assignment.Epoch
	}
	epoch++
	g.Status.Assignment = &v1alpha1.Assignment{Epoch: epoch}
	w.drop(node)
	g.Status.Members = append(g.Status.Members, v1alpha1.GroupMember{
		Node: node, NodeID: w.node(node).Status.ID, Generation: w.node(node).Status.Agent.Generation, Epoch: epoch,
	})
}

func (w *world) drop(node string) {
	g := w.group("web")
	g.Status.Members = slices.DeleteFunc(g.Status.Members, func(m v1alpha1.GroupMember) bool { return m.Node == node })
}

// serve has the member online on its node, everywhere that it shows.
func (w *world) serve(node string) {
	g, r := w.group("web"), w.of("web")[0]
	epoch := g.Status.Assignment.Epoch
	w.node(node).Status.Agent.Groups = append(w.node(node).Status.Agent.Groups, v1alpha1.AgentGroup{
		UID: string(g.UID), Namespace: "demo", Name: "web", Epoch: epoch, Generation: w.node(node).Status.Agent.Generation,
	})
	r.Status.Members = append(r.Status.Members, v1alpha1.ResourceMember{Node: node, Epoch: epoch, State: v1alpha1.ResourceOnline})
	w.run(node, r)
}

// TestBalancedIsHealthy: a group that is on several nodes at once by its mode is no violation.
func TestBalancedIsHealthy(t *testing.T) {
	w := newWorld(t)
	w.balance("a", "b", "c")
	w.pass(time.Minute)
	w.nothing("a group on three nodes")
	for i := range w.group("web").Status.Members { // a drain that takes its time
		if m := &w.group("web").Status.Members[i]; m.Node == "c" {
			m.Withdrawn, m.Epoch = true, 4
		}
	}
	w.group("web").Status.Assignment.Epoch = 4
	w.node("c").Spec.Availability = v1alpha1.AvailabilityDrained
	w.pass(90 * time.Second)
	w.clear("c")
	w.drop("c")
	w.pass(time.Minute)
	w.nothing("a drain")
}

func TestBalancedViolations(t *testing.T) {
	cases := map[string]struct {
		do   func(w *world)
		want string
	}{
		"on a node that is no member": {do: func(w *world) {
			w.drop("c")
			w.node("c").Spec.Availability = v1alpha1.AvailabilityDrained
		}, want: "S9"},
		"left on a host that reports nothing": {do: func(w *world) {
			w.drop("c")
			w.node("c").Spec.Availability = v1alpha1.AvailabilityDrained
			w.node("c").Status.Agent.Groups = nil
		}, want: "S9"},
		"a node that may take it is not given it": {do: func(w *world) {
			w.drop("c")
			w.clear("c")
		}, want: "L1"},
		"a node that is given it does not start it": {do: func(w *world) {
			w.clear("c")
			w.of("web")[0].Status.Members = w.of("web")[0].Status.Members[:2]
		}, want: "L1"},
		"it only seems to be there":          {do: func(w *world) { w.hosts["c"].Processes = nil }, want: "L1"},
		"a member that is no possible owner": {do: func(w *world) { w.of("web")[0].Spec.PossibleOwners = []string{"a", "b"} }, want: "S7"},
		"an epoch that was never given out":  {do: func(w *world) { w.node("b").Status.Agent.Groups[0].Epoch = 99 }, want: "S5"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.balance("a", "b", "c")
			w.pass(10 * time.Second)
			w.nothing("before")
			tc.do(w)
			w.pass(10 * time.Minute)
			if !slices.ContainsFunc(w.found, func(f Finding) bool { return f.Invariant == tc.want && f.Severity == Violation }) {
				t.Errorf("found %+v, want a violation of %s", w.found, tc.want)
			}
		})
	}
}
