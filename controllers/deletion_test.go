package controllers_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// deletions are what can be deleted, by name.
var deletions = map[string]func(*controllertest.World){
	"group": func(w *controllertest.World) {
		for _, g := range w.Groups() {
			w.Delete(&g)
		}
	},
	"resources": func(w *controllertest.World) {
		for _, r := range w.Resources("shop") {
			w.Delete(&r)
		}
	},
	"nodes": func(w *controllertest.World) {
		for name := range w.Hosts {
			if n := w.Node(name); n != nil {
				w.Delete(n)
			}
		}
	},
	"cluster": func(w *controllertest.World) {
		w.Delete(controllertest.NewCluster(w.Name))
		w.Delete(&v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: w.Name}})
	},
}

// left names what is still there.
func left(w *controllertest.World) []string {
	var names []string
	for _, g := range w.Groups() {
		names = append(names, "group "+g.Name)
	}
	for _, r := range w.Resources("shop") {
		names = append(names, "resource "+r.Name)
	}
	for name := range w.Hosts {
		if w.Node(name) != nil {
			names = append(names, "node "+name)
		}
	}
	if w.Cluster() != nil {
		names = append(names, "cluster")
	}
	slices.Sort(names)
	return names
}

// TestDeletionInAnyOrder: whatever is deleted first, and whether or not the rest waits for it, nothing is left behind.
func TestDeletionInAnyOrder(t *testing.T) {
	for i, order := range permutations([]string{"group", "resources", "nodes", "cluster"}) {
		if i%3 != 0 && os.Getenv("QUORATE_TEST_FULL") == "" {
			continue // each of the four comes first and last all the same
		}
		for _, patient := range []bool{true, false} {
			if !patient && i%12 != 0 {
				continue // nothing happens between impatient deletions, so their order hardly matters
			}
			t.Run(fmt.Sprintf("%s patient=%v", strings.Join(order, " "), patient), func(t *testing.T) {
				w := controllertest.NewWorld(t, env, fmt.Sprintf("del%d%v", i, patient), "del-a", "del-b")
				w.Group("shop", 1, "del-a")
				w.Settle()
				for _, what := range order {
					deletions[what](w)
					if patient {
						w.Settle()
					}
				}
				w.Settle()
				if names := left(w); len(names) > 0 {
					t.Errorf("left behind: %v", names)
				}
			})
		}
	}
}

func permutations(list []string) [][]string {
	if len(list) <= 1 {
		return [][]string{list}
	}
	var all [][]string
	for i := range list {
		rest := slices.Delete(slices.Clone(list), i, i+1)
		for _, tail := range permutations(rest) {
			all = append(all, append([]string{list[i]}, tail...))
		}
	}
	return all
}

// TestGroupGoesOfflineFirst: the object stays until its owner says that the group has stopped.
func TestGroupGoesOfflineFirst(t *testing.T) {
	w := controllertest.NewWorld(t, env, "first", "first-a", "first-b")
	w.Group("shop", 1, "first-a")
	w.Settle()
	w.Hosts["first-a"].Stuck = true
	w.Delete(w.G("shop"))
	w.Settle()
	g := w.G("shop")
	if g == nil {
		t.Fatal("the group is gone although its owner has not stopped it")
	}
	if g.Status.Assignment.Node != "" || len(g.Status.Assignment.Unproven) != 1 {
		t.Errorf("assignment: %+v", g.Status.Assignment)
	}
	w.Hosts["first-a"].Stuck = false
	w.Settle()
	if w.G("shop") != nil {
		t.Errorf("the group is still there: %+v", w.G("shop").Status)
	}
}

// TestDeletionWithDeadOwner: an owner that does not come back holds a deletion for as long as it may go on by itself, not longer.
func TestDeletionWithDeadOwner(t *testing.T) {
	w := controllertest.NewWorld(t, env, "widow", "widow-a", "widow-b")
	w.Group("shop", 1, "widow-a")
	for _, name := range []string{"shop-disk", "shop-ip", "shop-app"} {
		r := w.R(name)
		w.Update(r, func() { r.Spec.PossibleOwners = []string{"widow-a"} })
	}
	w.Settle()
	w.Kill("widow-a")
	w.View("widow-b")
	w.Delete(w.G("shop"))
	w.Settle()
	if w.G("shop") == nil {
		t.Error("the group is gone although its owner may still run it")
	}
	w.Step(12 * time.Second)
	w.Settle()
	if w.G("shop") != nil {
		t.Errorf("the group is still there: %+v", w.G("shop").Status)
	}
}

// TestResourceGoesOfflineFirst: a single resource is deleted under a running group.
func TestResourceGoesOfflineFirst(t *testing.T) {
	w := controllertest.NewWorld(t, env, "single", "single-a")
	w.Group("shop", 1, "single-a")
	w.Settle()
	w.Hosts["single-a"].Up = false // the agent is slow
	w.Delete(w.R("shop-ip"))
	w.Settle()
	if w.R("shop-ip") == nil {
		t.Fatal("the resource is gone although its owner has not stopped it")
	}
	w.Hosts["single-a"].Up = true
	w.Settle()
	if w.R("shop-ip") != nil {
		t.Fatalf("the resource is still there: %+v", w.R("shop-ip").Status)
	}
	app := w.R("shop-app")
	if c := accepted(app.Status.Conditions); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ResourceReasonMissingDependency {
		t.Errorf("what depended on it: %+v", c)
	}
}

// TestNothingHeldWithoutCluster: what no cluster runs carries no finalizer of ours.
func TestNothingHeldWithoutCluster(t *testing.T) {
	w := controllertest.NewWorld(t, env, "bare")
	w.Delete(controllertest.NewCluster("bare"))
	w.Group("shop", 1)
	w.Settle()
	if g := w.G("shop"); len(g.Finalizers) != 0 {
		t.Errorf("finalizers: %v", g.Finalizers)
	}
	deletions["group"](w)
	deletions["resources"](w)
	w.Settle()
	if names := left(w); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}
