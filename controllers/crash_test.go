package controllers_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// outcome is what must not depend on where the manager died.
type outcome struct {
	Groups map[string]where
	Epochs map[string]int64
	Nodes  map[string]int64 // joins
	IDs    map[string]int32
}

func lookAll(t *testing.T, w *controllertest.World) outcome {
	o := outcome{Groups: map[string]where{}, Epochs: map[string]int64{}, Nodes: map[string]int64{}, IDs: map[string]int32{}}
	for _, g := range w.Groups() {
		o.Groups[g.Name] = look(t, w, g.Name)
		o.Epochs[g.Name] = g.Status.Assignment.Epoch
	}
	for name := range w.Hosts {
		o.Nodes[name], o.IDs[name] = w.Node(name).Status.Joins, w.Node(name).Status.ID
	}
	return o
}

// stride is how many writes lie between two deaths that are tried: a world takes seconds, so every run tries some, the long one all.
func stride() int64 {
	if os.Getenv("QUORATE_TEST_FULL") != "" {
		return 1
	}
	return 3
}

// TestDeathOfManager: the manager dies at its writes in turn while it handles a node's death; the one that follows comes to the same end.
func TestDeathOfManager(t *testing.T) {
	var wanted *outcome
	deaths := 0
	for k := int64(0); ; k = max(k+stride(), 1) {
		w := controllertest.NewWorld(t, env, "crash"+string(rune('a'+k)), "crash-a", "crash-b", "crash-c")
		w.Group("shop", 1, "crash-a", "crash-b")
		w.Group("news", 2, "crash-a", "crash-c")
		w.Settle()
		w.Kill("crash-a")
		w.View("crash-b", "crash-c")
		died := false
		if k == 0 { // the pattern: nobody dies
			w.Settle()
		} else {
			died = w.SettleWithCrash(k)
		}
		got := lookAll(t, w)
		if wanted == nil {
			wanted = &got
		}
		if diff := cmp.Diff(*wanted, got); diff != "" {
			t.Errorf("death at write %d (-want +got):\n%s", k, diff)
		}
		for _, name := range []string{"shop", "news"} {
			if r := w.G(name).Status.LastFailover; r == nil || r.From != "crash-a" || r.Phases.Online == nil {
				t.Errorf("death at write %d: last failover of %s: %+v", k, name, r)
			}
		}
		w.Remove()
		if k > 0 && !died {
			break
		}
		deaths++
	}
	if int64(deaths) < 9/stride() {
		t.Errorf("only %d writes were interrupted: the test looks at too little", deaths)
	}
}

// TestEnrolmentSurvivesDeath: whichever write of an enrolment and formation is lost, no id is given twice and the cluster is formed
// once.
func TestEnrolmentSurvivesDeath(t *testing.T) {
	for k := int64(1); ; k += stride() {
		w := controllertest.NewWorld(t, env, "enrol"+string(rune('a'+k)))
		nodes := []string{"enrol-a", "enrol-b", "enrol-c"}
		for i, n := range nodes {
			w.Join(n, i+1)
		}
		died := w.SettleWithCrash(k)
		w.Step(1)
		for _, n := range nodes {
			w.Hosts[n].Report()
		}
		w.Settle()
		seen := map[int32]bool{}
		for _, n := range nodes {
			id := w.Node(n).Status.ID
			if id == 0 || seen[id] {
				t.Errorf("death at write %d: node %s has id %d", k, n, id)
			}
			seen[id] = true
		}
		if c := w.Cluster(); c.Status.ClusterID == "" || c.Status.LastNodeID < 3 {
			t.Errorf("death at write %d: %+v", k, c.Status)
		}
		w.View(nodes...)
		w.Settle()
		if c := w.Cluster(); !c.Status.Quorate || !c.Status.Formation.Completed || c.Status.NodesUp != 3 {
			t.Errorf("death at write %d: %+v", k, c.Status)
		}
		w.Remove()
		if !died {
			break
		}
	}
}

// TestRestoredAPI: the API server has lost the cluster id and the mark of node ids; the agents have them.
func TestRestoredAPI(t *testing.T) {
	w := controllertest.NewWorld(t, env, "restore", "restore-a", "restore-b")
	id := w.Cluster().Status.ClusterID
	c := w.Cluster()
	c.Status = v1alpha1.ClusterStatus{}
	if err := env.Admin.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	got := w.Cluster().Status
	if got.ClusterID != id || got.LastNodeID != 2 || !got.Formation.Completed || !got.Quorate {
		t.Errorf("after the loss: %+v, want id %s again", got, id)
	}
}

// TestLaggingCache: a manager whose cache does not show its own writes decides nothing twice.
func TestLaggingCache(t *testing.T) {
	w := controllertest.NewWorld(t, env, "lag", "lag-a", "lag-b", "lag-c")
	w.Group("shop", 1, "lag-a", "lag-b")
	w.Settle()
	epoch := w.G("shop").Status.Assignment.Epoch
	w.Kill("lag-a")
	w.View("lag-b", "lag-c")
	w.Lag(true)
	for range 3 {
		if _, err := w.Pass(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.G("shop").Status.Assignment; got.Epoch != epoch+1 || got.Node != "lag-b" {
		t.Errorf("epoch grew from %d to %d: %+v", epoch, got.Epoch, got)
	}
	told := drain(w)
	if n := strings.Count(told, "Warning NodeDown"); n != 2 { // of the node and of the group
		t.Errorf("told %d times of one death:\n%s", n, told)
	}
	w.Lag(false)
	w.Settle()
	want(t, w, "shop", where{Owner: "lag-b", State: v1alpha1.GroupOnline, Reason: "NodeDown", Ready: true})
	if got := w.G("shop").Status.Assignment.Epoch; got != epoch+1 {
		t.Errorf("epoch grew from %d to %d", epoch, got)
	}
}
