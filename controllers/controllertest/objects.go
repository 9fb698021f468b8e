package controllertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// NewCluster makes a Cluster that allows everything that the tests use.
func NewCluster(name string) *v1alpha1.Cluster {
	return &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClusterSpec{
		Networks: []v1alpha1.ClusterNetwork{
			{Name: "hb", Role: v1alpha1.NetworkInternal, CIDRs: []string{"10.77.1.0/24"}},
			{Name: "lan", Role: v1alpha1.NetworkInternalAndClient, CIDRs: []string{"10.77.2.0/24"}},
		},
		Heartbeat: v1alpha1.Heartbeat{KeySecretRef: v1alpha1.SecretReference{Namespace: "quorate-system", Name: "key"}},
		AllowedResourceTypes: []v1alpha1.AllowedResourceTypes{{
			Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}, MountRoots: []string{"/srv/quorate"}, Devices: []string{"/array/*"},
		}},
	}}
}

// NewNode makes the i-th Node of a cluster.
func NewNode(cluster, name string, i int) *v1alpha1.Node {
	return &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeSpec{
		ClusterName: cluster,
		Addresses:   []v1alpha1.NodeAddress{{Network: "hb", Address: fmt.Sprintf("10.77.1.%d", 10+i)}, {Network: "lan", Address: fmt.Sprintf("10.77.2.%d", 10+i)}},
	}}
}

// Group makes a group of a disk, an address and a process; i tells its disk and address from those of others.
func (w *World) Group(name string, i int, preferred ...string) *v1alpha1.ResourceGroup {
	w.T.Helper()
	g := &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: name},
		Spec:       v1alpha1.ResourceGroupSpec{ClusterName: w.Name, PreferredOwners: preferred},
	}
	w.Create(g)
	for _, r := range GroupResources(w.Name, name, i) {
		w.Create(r)
	}
	return g
}

// GroupResources are the resources of a group that Group makes.
func GroupResources(namespace, group string, i int) []*v1alpha1.Resource {
	build := func(kind string, t v1alpha1.ResourceType, p v1alpha1.ResourceParameters, on ...string) *v1alpha1.Resource {
		r := &v1alpha1.Resource{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group + "-" + kind},
			Spec:       v1alpha1.ResourceSpec{GroupName: group, Type: t, ResourceParameters: p},
		}
		for _, d := range on {
			r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: group + "-" + d})
		}
		return r
	}
	return []*v1alpha1.Resource{
		build("disk", v1alpha1.TypeLoopbackDisk, v1alpha1.ResourceParameters{LoopbackDisk: &v1alpha1.LoopbackDisk{
			File: fmt.Sprintf("/array/disk-%d.img", i), Size: new(resource.MustParse("64Mi")), MountPath: "/srv/quorate/" + group,
		}}),
		build("ip", v1alpha1.TypeIPAddress, v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: fmt.Sprintf("10.77.2.%d/24", 100+i)}}),
		build("app", v1alpha1.TypeGenericApplication, v1alpha1.ResourceParameters{GenericApplication: &v1alpha1.GenericApplication{
			Command: []string{"/opt/quorate/bin/quorate-visits"},
		}}, "disk", "ip"),
	}
}

// Create makes objects.
func (w *World) Create(objects ...client.Object) {
	w.T.Helper()
	for _, o := range objects {
		if err := w.Env.Admin.Create(w.T.Context(), o); err != nil {
			w.T.Fatalf("creating %s: %v", o.GetName(), err)
		}
	}
}

// Step lets time pass.
func (w *World) Step(d time.Duration) { w.Clock.SetTime(w.Clock.Now().Add(d)) }

// Cluster returns the Cluster, or nil.
func (w *World) Cluster() *v1alpha1.Cluster { return get(w, &v1alpha1.Cluster{}, "", w.Name) }

// Node returns a Node, or nil.
func (w *World) Node(name string) *v1alpha1.Node { return get(w, &v1alpha1.Node{}, "", name) }

// G returns a group, or nil.
func (w *World) G(name string) *v1alpha1.ResourceGroup {
	return get(w, &v1alpha1.ResourceGroup{}, w.Name, name)
}

// R returns a resource, or nil.
func (w *World) R(name string) *v1alpha1.Resource { return get(w, &v1alpha1.Resource{}, w.Name, name) }

func get[T client.Object](w *World, o T, namespace, name string) T {
	w.T.Helper()
	var none T
	err := w.Env.Admin.Get(context.WithoutCancel(w.T.Context()), client.ObjectKey{Namespace: namespace, Name: name}, o)
	switch {
	case err == nil:
		return o
	case client.IgnoreNotFound(err) != nil:
		w.T.Fatal(err)
	}
	return none
}

// Groups returns all groups of the world, with the cluster's core group.
func (w *World) Groups() []v1alpha1.ResourceGroup {
	w.T.Helper()
	var list v1alpha1.ResourceGroupList
	if err := w.Env.Admin.List(w.T.Context(), &list); err != nil {
		w.T.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(g v1alpha1.ResourceGroup) bool { return g.Namespace != w.Name && !snapshot.IsCore(&g, w.Name) })
}

// Core returns an object of the cluster's core group, or nil.
func Core[T client.Object](w *World, o T, name string) T {
	w.T.Helper()
	return get(w, o, v1alpha1.SystemNamespace, name)
}

// Resources returns the resources of a group.
func (w *World) Resources(group string) []v1alpha1.Resource {
	w.T.Helper()
	var list v1alpha1.ResourceList
	if err := w.Env.Admin.List(w.T.Context(), &list); err != nil {
		w.T.Fatal(err)
	}
	var of []v1alpha1.Resource
	for _, r := range list.Items {
		if r.Spec.GroupName == group && (r.Namespace == w.Name || snapshot.IsCore(&r, w.Name)) {
			of = append(of, r)
		}
	}
	return of
}

// Update changes an object as an operator would.
func (w *World) Update(o client.Object, change func()) {
	w.T.Helper()
	before := o.DeepCopyObject().(client.Object)
	change()
	if err := w.Env.Admin.Patch(w.T.Context(), o, client.MergeFrom(before)); err != nil {
		w.T.Fatal(err)
	}
}

// Delete deletes an object; one that is gone already is no failure.
func (w *World) Delete(o client.Object) {
	w.T.Helper()
	if err := client.IgnoreNotFound(w.Env.Admin.Delete(context.WithoutCancel(w.T.Context()), o)); err != nil {
		w.T.Fatal(err)
	}
}

// Remove takes away what the test left, so that the next one starts alone.
func (w *World) Remove() {
	ctx := context.Background()
	var (
		groups    v1alpha1.ResourceGroupList
		resources v1alpha1.ResourceList
		nodes     v1alpha1.NodeList
	)
	for _, list := range []client.ObjectList{&groups, &resources, &nodes} {
		if err := w.Env.Admin.List(ctx, list); err != nil {
			w.T.Error(err)
		}
	}
	var objects []client.Object
	for i := range groups.Items {
		objects = append(objects, &groups.Items[i])
	}
	for i := range resources.Items {
		objects = append(objects, &resources.Items[i])
	}
	for i := range nodes.Items {
		objects = append(objects, &nodes.Items[i])
	}
	cluster := NewCluster(w.Name)
	if err := w.Env.Admin.Get(ctx, client.ObjectKeyFromObject(cluster), cluster); client.IgnoreNotFound(err) != nil {
		w.T.Error(err)
	}
	objects = append(objects, cluster, &v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: w.Name}})
	for _, o := range objects {
		if len(o.GetFinalizers()) > 0 {
			before := o.DeepCopyObject().(client.Object)
			o.SetFinalizers(nil)
			if err := w.Env.Admin.Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				w.T.Error(err)
			}
		}
		by := w.Env.Admin
		if snapshot.CoreOf(o) != "" {
			by = w.Env.Manager // nobody else may
		}
		if err := by.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			w.T.Error(err)
		}
	}
}
