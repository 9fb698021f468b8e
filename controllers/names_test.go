package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// named makes the group shop with a name that has a Service, on the first of the nodes.
func named(w *controllertest.World, nodes ...string) {
	for _, n := range nodes {
		o := w.Node(n)
		w.Update(o, func() { o.Spec.HostName = "host-of-" + n })
	}
	w.Group("shop", 1, nodes...)
	w.Create(&v1alpha1.Resource{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "shop-name"},
		Spec: v1alpha1.ResourceSpec{
			GroupName: "shop", Type: v1alpha1.TypeNetworkName, DependsOn: []v1alpha1.Dependency{{Name: "shop-ip"}},
			ResourceParameters: v1alpha1.ResourceParameters{NetworkName: &v1alpha1.NetworkName{
				Name: "sales", Service: &v1alpha1.NameService{Ports: []v1alpha1.ServicePort{{Name: "http", Port: 80}}},
			}},
		},
	})
}

// published says which Services there are in the namespace, and where their slices lead.
func published(t *testing.T, w *controllertest.World) string {
	t.Helper()
	var services corev1.ServiceList
	var endpoints discoveryv1.EndpointSliceList
	for _, list := range []client.ObjectList{&services, &endpoints} {
		if err := w.Env.Admin.List(t.Context(), list, client.InNamespace(w.Name)); err != nil {
			t.Fatal(err)
		}
	}
	var texts []string
	for _, s := range services.Items {
		texts = append(texts, fmt.Sprintf("Service %s selector %v", s.Name, s.Spec.Selector))
	}
	for _, s := range endpoints.Items {
		text := "slice of " + s.Labels[discoveryv1.LabelServiceName] + ":"
		for _, e := range s.Endpoints {
			text += fmt.Sprintf(" %s:%d on %s", e.Addresses[0], *s.Ports[0].Port, *e.NodeName)
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}

func is(t *testing.T, w *controllertest.World, want string) {
	t.Helper()
	if got := published(t, w); got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func publishedCondition(w *controllertest.World) metav1.Condition {
	if c := meta.FindStatusCondition(w.R("shop-name").Status.Conditions, v1alpha1.ResourceConditionPublished); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// TestServiceFollows: the Service of a name leads to the group wherever it is, and goes with the name.
func TestServiceFollows(t *testing.T) {
	w := controllertest.NewWorld(t, env, "names", "names-a", "names-b", "names-c")
	named(w, "names-a", "names-b")
	w.Settle()
	is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-names-a")
	if c := publishedCondition(w); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	w.Kill("names-a")
	w.View("names-b", "names-c")
	w.Settle()
	is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-names-b")

	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "sales"}}
	if err := w.Env.Admin.Get(t.Context(), client.ObjectKeyFromObject(service), service); err != nil {
		t.Fatal(err)
	}
	w.Update(service, func() { service.Spec.Selector = map[string]string{"app": "other"} })
	w.Settle()
	is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-names-b")
	w.Update(service, func() { service.Labels = nil })
	w.Settle()
	if err := w.Env.Admin.Get(t.Context(), client.ObjectKeyFromObject(service), service); err != nil || len(service.Labels) == 0 {
		t.Errorf("the Service has the labels %v, %v", service.Labels, err)
	}
	w.Delete(service)
	w.Settle()
	is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-names-b")

	name := w.R("shop-name")
	w.Update(name, func() { name.Spec.NetworkName.Service.Name = "shop" })
	w.Settle()
	is(t, w, "Service shop selector map[]; slice of shop: 10.77.2.101:80 on host-of-names-b")
	name = w.R("shop-name")
	w.Update(name, func() { name.Spec.DesiredState = v1alpha1.DesiredOffline })
	g := w.G("shop")
	w.Update(g, func() { g.Spec.DesiredState = v1alpha1.DesiredOffline })
	w.Settle()
	is(t, w, "Service shop selector map[]; slice of shop:")
	w.Delete(name)
	w.Settle()
	is(t, w, "")
}

// TestServiceConflict: somebody else's Service is left alone, and named; once it is gone the name has its own.
func TestServiceConflict(t *testing.T) {
	w := controllertest.NewWorld(t, env, "conflict", "conflict-a")
	foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "sales"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "theirs"}, Ports: []corev1.ServicePort{{Port: 1}},
	}}
	w.Create(foreign)
	named(w, "conflict-a")
	w.Settle()
	is(t, w, "Service sales selector map[app:theirs]")
	if c := publishedCondition(w); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ResourceReasonServiceConflict ||
		!strings.Contains(c.Message, "the Service conflict/sales is there already and is not of this name") {
		t.Errorf("condition %+v", c)
	}
	if w.R("shop-name").Status.State != v1alpha1.ResourceOnline {
		t.Error("the name is not online for it")
	}
	w.Delete(foreign)
	w.Settle()
	is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-conflict-a")

	// Ours is replaced by somebody else's: our slices must not lead its clients to us.
	w.Delete(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "sales"}})
	foreign.ResourceVersion, foreign.UID = "", ""
	foreign.Spec.ClusterIP, foreign.Spec.ClusterIPs = "", nil
	w.Create(foreign)
	w.Settle()
	is(t, w, "Service sales selector map[app:theirs]")
}

// TestServiceSurvivesManager: the manager dies at each of its writes in turn while a name is made and its node dies.
func TestServiceSurvivesManager(t *testing.T) {
	deaths := 0
	for k := int64(1); ; k++ {
		w := controllertest.NewWorld(t, env, fmt.Sprintf("names%d", k), "names-a", "names-b", "names-c")
		named(w, "names-a", "names-b")
		died := w.SettleWithCrash(k)
		is(t, w, "Service sales selector map[]; slice of sales: 10.77.2.101:80 on host-of-names-a")
		w.Remove()
		if !died {
			break
		}
		deaths++
	}
	if deaths < 6 {
		t.Errorf("the manager died only %d times", deaths)
	}
}
