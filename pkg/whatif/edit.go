package whatif

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// merge puts the applied objects in the place of those of the same name, which keep their status, and adds the others.
func merge(o, applied *snapshot.Objects) {
	if applied.Cluster != nil {
		c := *applied.Cluster
		if o.Cluster != nil {
			c.Status = o.Cluster.Status
		}
		o.Cluster, o.Name = &c, c.Name
	}
	if applied.Quorum != nil {
		o.Quorum = applied.Quorum
	}
	for _, n := range applied.Nodes {
		c := *n
		c.Status = v1alpha1.NodeStatus{}
		if i := slices.IndexFunc(o.Nodes, func(old *v1alpha1.Node) bool { return old.Name == n.Name }); i >= 0 {
			c.Status = o.Nodes[i].Status
			o.Nodes[i] = &c
		} else {
			o.Nodes = append(o.Nodes, &c)
		}
	}
	for _, g := range applied.Groups {
		c := *g
		c.Status = v1alpha1.ResourceGroupStatus{}
		if i := slices.IndexFunc(o.Groups, func(old *v1alpha1.ResourceGroup) bool { return snapshot.Key(old) == snapshot.Key(g) }); i >= 0 {
			c.UID, c.Finalizers, c.Status = o.Groups[i].UID, o.Groups[i].Finalizers, o.Groups[i].Status
			c.CreationTimestamp, c.DeletionTimestamp = o.Groups[i].CreationTimestamp, o.Groups[i].DeletionTimestamp
			o.Groups[i] = &c
		} else {
			o.Groups = append(o.Groups, &c)
		}
	}
	for _, r := range applied.Resources {
		c := *r
		c.Status = v1alpha1.ResourceStatus{}
		if i := slices.IndexFunc(o.Resources, func(old *v1alpha1.Resource) bool { return named(old) == named(r) }); i >= 0 {
			c.UID, c.Status, c.CreationTimestamp = o.Resources[i].UID, o.Resources[i].Status, o.Resources[i].CreationTimestamp
			o.Resources[i] = &c
		} else {
			o.Resources = append(o.Resources, &c)
		}
	}
	o.Sort()
}

// apply is what the API server, the managers and new hosts make of manifests that are applied: a new Node joins at once.
func (w *World) apply(applied *snapshot.Objects) {
	if applied == nil {
		return
	}
	merge(w.objects, applied)
	keepCore(w.objects, &metav1.Time{Time: w.now})
	w.nameObjects()
	joined := false
	for _, n := range w.objects.Nodes {
		if w.host(n.Name) == nil {
			w.addHost(n, false)
			joined = true
		}
	}
	w.witness = w.witness || applied.Quorum != nil && w.configuredWitness() != 0
	if w.configuredWitness() == 0 {
		w.witness = false
	}
	if joined || applied.Quorum != nil || len(applied.Nodes) > 0 {
		w.regroup()
	}
}

// kinds are the names of the kinds that delete takes, and the plural, singular and short names.
var kinds = map[string][]string{
	"Cluster":       {"cluster", "clusters", "qcl"},
	"Node":          {"node", "nodes", "qnode", "qnodes"},
	"QuorumConfig":  {"quorumconfig", "quorumconfigs", "qq"},
	"ResourceGroup": {"resourcegroup", "resourcegroups", "rg"},
	"Resource":      {"resource", "resources", "res"},
}

// delete lets an object be deleted. A group goes offline first, a node is left by its groups first.
func (w *World) delete(e Event) error {
	kind, namespace, err := resolve(w.objects, e)
	if err != nil {
		return err
	}
	now := &metav1.Time{Time: w.now}
	switch kind {
	case "Cluster":
		w.objects.Cluster = nil
	case "QuorumConfig":
		w.objects.Quorum = nil
	case "Node":
		for i, n := range w.objects.Nodes {
			if n.Name == e.Name {
				c := *n
				c.DeletionTimestamp = now
				w.objects.Nodes[i] = &c
			}
		}
	case "ResourceGroup":
		for i, g := range w.objects.Groups {
			if snapshot.Key(g) == (model.GroupKey{Namespace: namespace, Name: e.Name}) {
				c := *g
				c.DeletionTimestamp = now
				w.objects.Groups[i] = &c
			}
		}
	case "Resource":
		w.objects.Resources = slices.DeleteFunc(slices.Clone(w.objects.Resources), func(r *v1alpha1.Resource) bool {
			return r.Namespace == namespace && r.Name == e.Name
		})
	}
	return nil
}

// remove takes the object out at once, for Prepare.
func remove(o *snapshot.Objects, kind, namespace, name string) {
	switch kind {
	case "Cluster":
		o.Cluster = nil
	case "QuorumConfig":
		o.Quorum = nil
	case "Node":
		o.Nodes = slices.DeleteFunc(o.Nodes, func(n *v1alpha1.Node) bool { return n.Name == name })
	case "ResourceGroup":
		o.Groups = slices.DeleteFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return g.Namespace == namespace && g.Name == name })
	case "Resource":
		o.Resources = slices.DeleteFunc(o.Resources, func(r *v1alpha1.Resource) bool { return r.Namespace == namespace && r.Name == name })
	}
}

// objectNames lists what there is of a kind, as namespace/name or name.
func objectNames(o *snapshot.Objects, kind string) []string {
	var names []string
	switch kind {
	case "Cluster":
		if o.Cluster != nil {
			names = append(names, o.Cluster.Name)
		}
	case "QuorumConfig":
		if o.Quorum != nil {
			names = append(names, o.Quorum.Name)
		}
	case "Node":
		for _, n := range o.Nodes {
			names = append(names, n.Name)
		}
	case "ResourceGroup":
		for _, g := range o.Groups {
			names = append(names, g.Namespace+"/"+g.Name)
		}
	case "Resource":
		for _, r := range o.Resources {
			names = append(names, r.Namespace+"/"+r.Name)
		}
	}
	return names
}

func namespaced(kind string) bool { return kind == "ResourceGroup" || kind == "Resource" }
