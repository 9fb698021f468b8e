package controllers_test

import (
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// TestMovedToAnotherGroup: resources go to a group of a lower epoch, whose owner is another node: its epoch rises in place. On the way back
// their owner is dead, and the manager says that it has let go, once that is proven and not before.
func TestMovedToAnotherGroup(t *testing.T) {
	w := controllertest.NewWorld(t, env, "moved", "mv-a", "mv-b")
	w.Group("shop", 1, "mv-a")
	w.Group("other", 2, "mv-b")
	w.Settle()
	for _, to := range []string{"mv-b", "mv-a"} {
		g := w.G("shop")
		w.Update(g, func() { g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: to} })
		w.Settle()
	}
	low, high := w.G("other").Status.Assignment.Epoch, w.R("shop-disk").Status.Epoch
	if low >= high {
		t.Fatalf("the epochs are %d and %d: this proves nothing", low, high)
	}
	names := []string{"shop-disk", "shop-ip", "shop-app"}
	regroup := func(to string) {
		t.Helper()
		for _, name := range names {
			r := w.R(name)
			w.Update(r, func() { r.Spec.GroupName = to })
		}
	}
	online := func(group, node string) {
		t.Helper()
		for _, name := range names {
			if st := w.R(name).Status; st.State != v1alpha1.ResourceOnline || st.GroupName != group || st.Node != node {
				t.Errorf("%s is %s in group %s on %s, want Online in %s on %s", name, st.State, st.GroupName, st.Node, group, node)
			}
		}
	}
	regroup("other")
	w.Settle()
	online("other", "mv-b")
	if a := w.G("other").Status.Assignment; a.Epoch <= high || a.Node != "mv-b" {
		t.Errorf("the new group is on %s at epoch %d, want it on mv-b above %d", a.Node, a.Epoch, high)
	}

	w.Kill("mv-b")
	regroup("shop")
	if _, err := w.Pass(); err != nil {
		t.Fatal(err)
	}
	if st := w.R("shop-disk").Status; st.State != v1alpha1.ResourceOnline || st.GroupName != "other" {
		t.Errorf("while its owner is in the view the resource is %s in group %s", st.State, st.GroupName)
	}
	w.View("mv-a")
	w.Step(time.Second)
	w.Settle()
	online("shop", "mv-a")
}
