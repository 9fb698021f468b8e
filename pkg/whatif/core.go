package whatif

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/coregroup"
	"github.com/quorate/quorate/pkg/snapshot"
)

// keepCore makes the core group what the manager would make of Cluster.spec.access. One that is not wanted any more is deleted at the time, and goes
// offline first; nil leaves that to the caller.
func keepCore(o *snapshot.Objects, now *metav1.Time) {
	if o.Cluster == nil {
		return
	}
	want := coregroup.Want(o.Cluster)
	if want == nil {
		if g := o.CoreGroup(); g != nil && g.DeletionTimestamp == nil && now != nil {
			c := *g
			c.DeletionTimestamp = now
			o.Groups[slices.Index(o.Groups, g)] = &c
		}
		return
	}
	made := &snapshot.Objects{}
	if g := o.CoreGroup(); g == nil {
		made.Groups = append(made.Groups, want.Group)
	}
	o.Resources = slices.DeleteFunc(slices.Clone(o.Resources), func(r *v1alpha1.Resource) bool {
		return snapshot.IsCore(r, o.Name) && !slices.ContainsFunc(want.Resources, func(w *v1alpha1.Resource) bool { return w.Name == r.Name })
	})
	for _, w := range want.Resources {
		i := slices.IndexFunc(o.Resources, func(r *v1alpha1.Resource) bool { return named(r) == named(w) })
		if i >= 0 {
			if _, changed := coregroup.MergeResource(o.Resources[i], w); !changed {
				continue
			}
		}
		made.Resources = append(made.Resources, w)
	}
	merge(o, made)
}

// protected says why an object of the core group cannot be deleted; empty for any other.
func protected(o *snapshot.Objects, kind, namespace, name string) string {
	is := func(m metav1.Object) bool {
		return m.GetNamespace() == namespace && m.GetName() == name && snapshot.IsCore(m, o.Name)
	}
	if kind == "ResourceGroup" && slices.ContainsFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return is(g) }) ||
		kind == "Resource" && slices.ContainsFunc(o.Resources, func(r *v1alpha1.Resource) bool { return is(r) }) {
		return kind + " " + namespace + "/" + name + " belongs to the core group of Cluster " + o.Name +
			": it cannot be deleted; remove spec.access of the Cluster, by an event apply, to be rid of it"
	}
	return ""
}
