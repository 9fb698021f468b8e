package snapshot

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Objects are the API objects of one cluster. They are shared with a cache: nothing may change them.
type Objects struct {
	// Name of the cluster.
	Name string
	// Cluster is nil when the object is gone.
	Cluster *v1alpha1.Cluster
	// Quorum is nil when there is no QuorumConfig.
	Quorum *v1alpha1.QuorumConfig
	// OtherQuorums are the QuorumConfigs of other clusters, which must not name the same witness.
	OtherQuorums []*v1alpha1.QuorumConfig
	Nodes        []*v1alpha1.Node
	Groups       []*v1alpha1.ResourceGroup
	Resources    []*v1alpha1.Resource
	// Fresh says that a reporter has given a sign of life lately. Without one there is no view: nothing is decided.
	Fresh bool
	// Reporter is the name of the node that renews the reporter's Lease; empty when that is not known.
	Reporter string
}

// Sort orders everything by name, so that equal objects give equal results.
func (o *Objects) Sort() {
	slices.SortFunc(o.Nodes, func(a, b *v1alpha1.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.OtherQuorums, func(a, b *v1alpha1.QuorumConfig) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Groups, func(a, b *v1alpha1.ResourceGroup) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(o.Resources, func(a, b *v1alpha1.Resource) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Node returns the node of a name, or nil.
func (o *Objects) Node(name string) *v1alpha1.Node {
	for _, n := range o.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// NodeByID returns the node of an id, or nil.
func (o *Objects) NodeByID(id int32) *v1alpha1.Node {
	for _, n := range o.Nodes {
		if id != 0 && n.Status.ID == id {
			return n
		}
	}
	return nil
}

// ResourcesByGroup sorts the resources into their groups.
func (o *Objects) ResourcesByGroup() map[model.GroupKey][]*v1alpha1.Resource {
	byGroup := make(map[model.GroupKey][]*v1alpha1.Resource, len(o.Groups))
	for _, r := range o.Resources {
		key := GroupKeyOf(r)
		byGroup[key] = append(byGroup[key], r)
	}
	return byGroup
}

// Key names a group object.
func Key(g *v1alpha1.ResourceGroup) model.GroupKey {
	return model.GroupKey{Namespace: g.Namespace, Name: g.Name}
}

// GroupKeyOf names the group that a resource belongs to.
func GroupKeyOf(r *v1alpha1.Resource) model.GroupKey {
	return model.GroupKey{Namespace: r.Namespace, Name: r.Spec.GroupName}
}
