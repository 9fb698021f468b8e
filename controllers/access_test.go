package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// reachable gives the cluster an address and a name of its own.
func reachable(w *controllertest.World, address, name string) {
	w.T.Helper()
	c := w.Cluster()
	w.Update(c, func() { c.Spec.Access = &v1alpha1.ClusterAccess{Network: "lan", Address: address, NetworkName: name} })
	w.Settle()
}

// coreIs says what there is of the core group, and what the Cluster tells of it.
func coreIs(t *testing.T, w *controllertest.World, want string) {
	t.Helper()
	var texts []string
	for _, g := range w.Groups() {
		if g.Namespace != v1alpha1.SystemNamespace {
			continue
		}
		text := g.Name + ":"
		resources := w.Resources(g.Name)
		slices.SortFunc(resources, func(a, b v1alpha1.Resource) int { return strings.Compare(a.Name, b.Name) })
		for _, r := range resources {
			text += fmt.Sprintf(" %s %s", strings.TrimPrefix(r.Name, g.Name), r.Status.State)
		}
		texts = append(texts, text)
	}
	if c := w.Cluster(); c != nil && c.Status.Access != nil {
		st := c.Status.Access
		texts = append(texts, fmt.Sprintf("%s %s on %s: %s %s", st.Group, st.State, st.Node, st.Address, st.NetworkName))
	}
	if got := strings.Join(texts, "; "); got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

// TestCoreGroup: the core group is what spec.access says, moves and fails over like every group, follows an edit of it with the same objects, and
// goes with it, after it is offline.
func TestCoreGroup(t *testing.T) {
	w := controllertest.NewWorld(t, env, "access", "access-a", "access-b")
	w.Group("shop", 1, "access-b")
	w.Settle()
	coreIs(t, w, "")
	reachable(w, "10.77.2.9/24", "prod")
	coreIs(t, w, "core-access: -address Online -name Online; quorate-system/core-access Online on access-a: 10.77.2.9 prod")
	if n, err := w.Pass(); n != 0 || err != nil {
		t.Errorf("at rest there were %d writes, %v", n, err)
	}

	g := controllertest.Core(w, &v1alpha1.ResourceGroup{}, "core-access")
	w.Update(g, func() { g.Annotations = map[string]string{v1alpha1.MoveToAnnotation: "access-b"} })
	w.Settle()
	coreIs(t, w, "core-access: -address Online -name Online; quorate-system/core-access Online on access-b: 10.77.2.9 prod")
	w.Kill("access-b")
	w.View("access-a")
	w.Settle()
	coreIs(t, w, "core-access: -address Online -name Online; quorate-system/core-access Online on access-a: 10.77.2.9 prod")

	before := controllertest.Core(w, &v1alpha1.Resource{}, "core-access-address")
	reachable(w, "10.77.2.10/24", "")
	coreIs(t, w, "core-access: -address Online; quorate-system/core-access Online on access-a: 10.77.2.10 ")
	after := controllertest.Core(w, &v1alpha1.Resource{}, "core-access-address")
	if after.UID != before.UID || after.Status.Epoch != before.Status.Epoch {
		t.Errorf("the address was made anew, or its group started anew: %+v, then %+v", before.Status, after.Status)
	}

	w.Hosts["access-a"].Stuck = true
	c := w.Cluster()
	w.Update(c, func() { c.Spec.Access = nil })
	w.Settle()
	if g := controllertest.Core(w, &v1alpha1.ResourceGroup{}, "core-access"); g == nil || g.DeletionTimestamp == nil {
		t.Errorf("the group is %+v while its owner does not stop it", g)
	}
	if c := w.Cluster(); len(c.Finalizers) == 0 {
		t.Error("nothing keeps the Cluster while its core group is on a node")
	}
	w.Hosts["access-a"].Stuck = false
	w.Settle()
	coreIs(t, w, "")
	if c := w.Cluster(); len(c.Finalizers) != 0 {
		t.Errorf("the Cluster is held by %v", c.Finalizers)
	}
}

// TestCoreGroupEdited: where policies are not in force, or were not, an edit is put back and a deletion made good.
func TestCoreGroupEdited(t *testing.T) {
	w := controllertest.NewWorld(t, env, "edited", "edited-a")
	reachable(w, "10.77.2.9/24", "prod")
	well := "core-edited: -address Online -name Online; quorate-system/core-edited Online on edited-a: 10.77.2.9 prod"
	coreIs(t, w, well)
	g := controllertest.Core(w, &v1alpha1.ResourceGroup{}, "core-edited")
	changed := g.DeepCopy()
	changed.Spec.DesiredState, changed.Spec.Maintenance, changed.Spec.PreferredOwners = v1alpha1.DesiredOffline, true, []string{"edited-b"}
	if err := env.Manager.Patch(t.Context(), changed, client.MergeFrom(g)); err != nil { // nobody else can
		t.Fatal(err)
	}
	w.Settle()
	coreIs(t, w, well)
	if g := controllertest.Core(w, &v1alpha1.ResourceGroup{}, "core-edited"); g.Spec.Maintenance || len(g.Spec.PreferredOwners) > 0 {
		t.Errorf("the group is %+v", g.Spec)
	}
	for _, o := range []client.Object{
		controllertest.Core(w, &v1alpha1.ResourceGroup{}, "core-edited"), controllertest.Core(w, &v1alpha1.Resource{}, "core-edited-address"),
		controllertest.Core(w, &v1alpha1.Resource{}, "core-edited-name"),
	} {
		if err := env.Manager.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		coreIs(t, w, well)
	}
}

// TestCoreGroupGoesWithTheCluster: the Cluster waits for its core group, unless no view is left that would stop it.
func TestCoreGroupGoesWithTheCluster(t *testing.T) {
	for _, alive := range []bool{true, false} {
		name := fmt.Sprintf("going-%t", alive)
		w := controllertest.NewWorld(t, env, name, name+"-a")
		reachable(w, "10.77.2.9/24", "")
		w.Silent = !alive
		w.Hosts[name+"-a"].Stuck = alive
		w.Delete(w.Cluster())
		w.Settle()
		if c := w.Cluster(); (c != nil) != alive {
			t.Errorf("alive %t: the Cluster is %v", alive, c)
		}
		w.Hosts[name+"-a"].Stuck = false
		w.Settle()
		coreIs(t, w, "")
		if c := w.Cluster(); c != nil {
			t.Errorf("alive %t: the Cluster is held by %v", alive, c.Finalizers)
		}
		w.Remove()
	}
}

// TestCoreGroupSurvivesDeath: whichever write of its making or its removal is the manager's last, the next one comes to the same end.
func TestCoreGroupSurvivesDeath(t *testing.T) {
	w := controllertest.NewWorld(t, env, "mortal", "mortal-a")
	for k, deaths := int64(1), 0; ; k++ {
		c := w.Cluster()
		w.Update(c, func() {
			c.Spec.Access = &v1alpha1.ClusterAccess{Network: "lan", Address: "10.77.2.9/24", NetworkName: "prod"}
		})
		died := w.SettleWithCrash(k)
		w.Settle()
		coreIs(t, w, "core-mortal: -address Online -name Online; quorate-system/core-mortal Online on mortal-a: 10.77.2.9 prod")
		c = w.Cluster()
		w.Update(c, func() { c.Spec.Access = nil })
		died = w.SettleWithCrash(k) || died
		w.Settle()
		coreIs(t, w, "")
		if c := w.Cluster(); len(c.Finalizers) != 0 {
			t.Errorf("death at write %d: the Cluster is held by %v", k, c.Finalizers)
		}
		if !died {
			if deaths < 5 {
				t.Errorf("only %d writes were interrupted: the test looks at too little", deaths)
			}
			return
		}
		deaths++
	}
}

// TestCoreGroupNameTaken: what somebody had made by the name before is left alone, and told.
func TestCoreGroupNameTaken(t *testing.T) {
	w := controllertest.NewWorld(t, env, "taken", "taken-a")
	other := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "core-taken"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "other"}}
	// Only a manager may use the name; before this version anybody could.
	other.Labels = map[string]string{v1alpha1.CoreGroupLabel: "other"}
	other.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Cluster", Name: "other", UID: "u", Controller: new(true)}}
	if err := env.Manager.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	c := w.Cluster()
	w.Update(c, func() { c.Spec.Access = &v1alpha1.ClusterAccess{Network: "lan", Address: "10.77.2.9/24"} })
	_, err := w.Pass()
	if err == nil || !strings.Contains(err.Error(), "quorate-system/core-taken that is not of cluster taken: delete it") {
		t.Errorf("the error is %v", err)
	}
}
