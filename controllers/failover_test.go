package controllers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// where is what a test wants to know of a group.
type where struct {
	Owner    string
	State    v1alpha1.GroupState
	Reason   string
	Unproven int
	Ready    bool
}

func look(t *testing.T, w *controllertest.World, group string) where {
	t.Helper()
	g := w.G(group)
	if g == nil {
		t.Fatalf("group %s is gone", group)
	}
	got := where{Owner: g.Status.Owner, State: g.Status.State, Ready: meta.IsStatusConditionTrue(g.Status.Conditions, v1alpha1.ConditionReady)}
	if a := g.Status.Assignment; a != nil {
		got.Reason, got.Unproven = a.Reason, len(a.Unproven)
	}
	return got
}

func want(t *testing.T, w *controllertest.World, group string, want where) {
	t.Helper()
	if diff := cmp.Diff(want, look(t, w, group)); diff != "" {
		t.Fatalf("group %s (-want +got):\n%s%+v", group, diff, w.G(group).Status)
	}
}

func TestFirstPlacement(t *testing.T) {
	w := controllertest.NewWorld(t, env, "place", "place-a", "place-b", "place-c")
	if c := w.Cluster(); len(c.Status.ClusterID) != 16 || !c.Status.Formation.Completed || !c.Status.Quorate || c.Status.NodesUp != 3 ||
		!meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
		t.Fatalf("cluster is not formed: %+v", c.Status)
	}
	if diff := cmp.Diff([]int32{1, 2, 3}, w.Cluster().Status.Formation.Members); diff != "" {
		t.Errorf("members of the formation (-want +got):\n%s", diff)
	}
	w.Group("shop", 1, "place-a", "place-b")
	w.Group("news", 2, "place-b", "place-a")
	w.Settle()
	want(t, w, "shop", where{Owner: "place-a", State: v1alpha1.GroupOnline, Reason: "FirstPlacement", Ready: true})
	want(t, w, "news", where{Owner: "place-b", State: v1alpha1.GroupOnline, Reason: "FirstPlacement", Ready: true})
	if n := w.Node("place-a"); n.Status.State != v1alpha1.NodeUp || n.Status.Role != v1alpha1.NodeActive || n.Status.Joins != 1 || n.Status.ID != 1 {
		t.Errorf("node: %+v", n.Status)
	}
	if n := w.Node("place-c"); n.Status.Role != v1alpha1.NodeStandby {
		t.Errorf("a node that owns nothing has role %s", n.Status.Role)
	}
	if r := w.R("shop-app"); !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionAccepted) ||
		!meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("resource conditions: %+v", r.Status.Conditions)
	}
}

func TestNodeDeath(t *testing.T) {
	w := controllertest.NewWorld(t, env, "death", "death-a", "death-b", "death-c")
	w.Group("shop", 1, "death-a", "death-b")
	w.Group("news", 2, "death-b", "death-a")
	w.Settle()
	epoch := w.G("shop").Status.Assignment.Epoch
	w.Step(time.Minute)
	w.Kill("death-a")
	w.View("death-b", "death-c")
	w.Step(21 * time.Millisecond)
	w.Settle()
	want(t, w, "shop", where{Owner: "death-b", State: v1alpha1.GroupOnline, Reason: "NodeDown", Ready: true})
	want(t, w, "news", where{Owner: "death-b", State: v1alpha1.GroupOnline, Reason: "FirstPlacement", Ready: true})
	g := w.G("shop")
	record := g.Status.LastFailover
	if record == nil || record.From != "death-a" || record.To != "death-b" || record.Epoch != g.Status.Assignment.Epoch || record.Epoch <= epoch {
		t.Fatalf("last failover: %+v, assignment %+v", record, g.Status.Assignment)
	}
	if diff := cmp.Diff([]v1alpha1.Proof{{Resource: "shop-disk", Type: v1alpha1.ProofReservationPreempted}}, record.Proofs); diff != "" {
		t.Errorf("proofs (-want +got):\n%s", diff)
	}
	phases := []time.Duration{record.Phases.Detect.Duration, record.Phases.Decide.Duration, record.Phases.Fence.Duration, record.Phases.Online.Duration, record.Phases.Total.Duration}
	if diff := cmp.Diff([]time.Duration{1004e6, 21e6, 6e6, 88e6, 1119e6}, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if n := w.Node("death-a"); n.Status.State != v1alpha1.NodeDown || len(n.Status.UngracefulExits) != 1 {
		t.Errorf("dead node: %+v", n.Status)
	}
	told := drain(w)
	for _, part := range []string{"Warning NodeDown", "Normal Online all resources are online on death-b", "Normal FailoverCompleted from death-a to death-b in 1.119s"} {
		if !strings.Contains(told, part) {
			t.Errorf("no Event %q in:\n%s", part, told)
		}
	}
}

// TestReturn: the old owner comes back in a new life, and nothing moves without a failback policy.
func TestReturn(t *testing.T) {
	w := controllertest.NewWorld(t, env, "return", "return-a", "return-b", "return-c")
	w.Group("shop", 1, "return-a", "return-b")
	w.Settle()
	w.Kill("return-a")
	w.View("return-b", "return-c")
	w.Settle()
	epoch := w.G("shop").Status.Assignment.Epoch
	w.Step(time.Minute)
	w.Boot("return-a")
	w.View("return-a", "return-b", "return-c")
	w.Settle()
	want(t, w, "shop", where{Owner: "return-b", State: v1alpha1.GroupOnline, Reason: "NodeDown", Ready: true})
	if got := w.G("shop").Status.Assignment.Epoch; got != epoch {
		t.Errorf("epoch grew from %d to %d although nothing was to be done", epoch, got)
	}
	if n := w.Node("return-a"); n.Status.Joins != 2 || n.Status.Generation != 2 || n.Status.State != v1alpha1.NodeUp {
		t.Errorf("returned node: %+v", n.Status)
	}
}

// TestResourceFailure: the owner asks for a failover, stops what it has, and another node takes the group.
func TestResourceFailure(t *testing.T) {
	w := controllertest.NewWorld(t, env, "fail", "fail-a", "fail-b")
	w.Hosts["fail-a"].Broken = map[string]bool{"shop-app": true}
	w.Group("shop", 1, "fail-a", "fail-b")
	w.Settle()
	want(t, w, "shop", where{Owner: "fail-b", State: v1alpha1.GroupOnline, Reason: "ResourceFailed", Ready: true})
	g := w.G("shop")
	if len(g.Status.Failures) != 1 || g.Status.Failures[0].Resource != "shop-app" || g.Status.Failures[0].Node != "fail-a" {
		t.Errorf("failures: %+v", g.Status.Failures)
	}
	if r := g.Status.LastFailover; r == nil || len(r.Proofs) == 0 || r.Proofs[0].Type != v1alpha1.ProofGracefulStop || r.Phases.Online == nil {
		t.Errorf("last failover: %+v", r)
	}
}

// TestNobodyLeft: with no node to go to, the group is offline and says why; its resources are Unknown at the newer epoch.
func TestNobodyLeft(t *testing.T) {
	w := controllertest.NewWorld(t, env, "alone", "alone-a", "alone-b")
	w.Group("shop", 1, "alone-a")
	for _, name := range []string{"shop-disk", "shop-ip", "shop-app"} {
		r := w.R(name)
		w.Update(r, func() { r.Spec.PossibleOwners = []string{"alone-a"} })
	}
	w.Settle()
	before := w.R("shop-app").Status.Epoch
	w.Kill("alone-a")
	w.View("alone-b")
	w.Settle()
	w.Step(time.Second)
	w.Settle()
	g := w.G("shop")
	if g.Status.State != v1alpha1.GroupOffline || meta.IsStatusConditionTrue(g.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("group: %+v", g.Status)
	}
	r := w.R("shop-app")
	if r.Status.State != v1alpha1.ResourceUnknown || r.Status.Node != "" || r.Status.Epoch < before || r.Status.Reason != v1alpha1.ResourceReasonOwnerDown {
		t.Errorf("resource of a dead owner: %+v", r.Status)
	}
	w.Boot("alone-a")
	w.View("alone-a", "alone-b")
	w.Settle()
	if got := look(t, w, "shop"); got.Owner != "alone-a" || !got.Ready {
		t.Errorf("after the owner's return: %+v", got)
	}
}

// TestSilentReporter: nothing is decided, and nothing is claimed, while the reporter is not heard.
func TestSilentReporter(t *testing.T) {
	w := controllertest.NewWorld(t, env, "silent", "silent-a", "silent-b", "silent-c")
	w.Group("shop", 1, "silent-a")
	w.Settle()
	epoch := w.G("shop").Status.Assignment.Epoch
	w.Silent = true
	w.Kill("silent-a")
	w.View("silent-b", "silent-c")
	w.Settle()
	g := w.G("shop")
	if g.Status.Assignment.Epoch != epoch || g.Status.Owner != "silent-a" {
		t.Errorf("decided without a reporter: %+v", g.Status.Assignment)
	}
	if c := w.Cluster(); c.Status.Quorate || !meta.IsStatusConditionPresentAndEqual(c.Status.Conditions, v1alpha1.ConditionReady, "Unknown") {
		t.Errorf("cluster: %+v", c.Status)
	}
	if n := w.Node("silent-b"); n.Status.State != v1alpha1.NodeUnknown {
		t.Errorf("node is %s", n.Status.State)
	}
	w.Silent = false
	w.Settle()
	want(t, w, "shop", where{Owner: "silent-b", State: v1alpha1.GroupOnline, Reason: "NodeDown", Ready: true})
}

// drain returns all Events told so far, one a line.
func drain(w *controllertest.World) string {
	var lines []string
	for {
		select {
		case line := <-w.Events.Events:
			lines = append(lines, line)
		default:
			return strings.Join(lines, "\n")
		}
	}
}
