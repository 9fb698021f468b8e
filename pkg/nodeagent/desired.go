package nodeagent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// maxFailToken bounds a token of a simulated failure, which is kept in the run state.
const maxFailToken = 64

// firstView is the first view in which a life is known to have acted. An agent that has resumed a life begins to count anew.
type firstView struct {
	life   model.Generation
	number uint64
}

func (f *firstView) note(s *standing) {
	if s.Self.Generation != f.life {
		*f = firstView{life: s.Self.Generation}
	}
	if f.number == 0 && s.Acting && s.View != nil {
		f.number = s.View.ID.Number
	}
}

// judge says what the assignment asks of this node. known says that something of the group is, or was, here in this generation, obeyed
// the epoch at which it runs, since the first view in which this life has acted.
func judge(a *v1alpha1.Assignment, s *standing, since uint64, known bool, obeyed model.Epoch) lifecycle.Verdict {
	if a == nil || a.Epoch <= 0 || a.Epoch > int64(model.MaxEpoch) {
		return lifecycle.VerdictNone
	}
	at := lifecycle.Standing{Self: s.Self, Since: since, Known: known, Obeyed: obeyed}
	if s.Acting && s.View != nil {
		at.Acting = s.View.ID
	}
	assignment := snapshot.Assignment(a)
	return lifecycle.Judge(&assignment, at)
}

// surroundings are the objects around a group.
type surroundings struct {
	cluster   *v1alpha1.Cluster
	node      *v1alpha1.Node
	resources []*v1alpha1.Resource
	networks  map[string]resourcetype.NetworkInfo
}

// frozen says that an operator wants nothing started or stopped.
func (s *surroundings) frozen(g *v1alpha1.ResourceGroup) bool {
	return g.Spec.Maintenance || s.cluster.Spec.Maintenance || s.node.Spec.Maintenance
}

// unaccepted names a resource whose present spec the manager has not found usable, or not looked at yet; "" when there is none.
// What is not accepted never reaches the host (DESIGN section 9).
func (s *surroundings) unaccepted(g *v1alpha1.ResourceGroup) string {
	if meta.IsStatusConditionFalse(g.Status.Conditions, v1alpha1.ConditionAccepted) {
		return g.Name
	}
	for _, r := range s.resources {
		c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionAccepted)
		if c == nil || c.ObservedGeneration < r.Generation {
			return r.Name
		}
		// A dependency that has gone missing keeps only its dependents offline; the machine sees to that.
		if c.Status != metav1.ConditionTrue && c.Reason != v1alpha1.ResourceReasonMissingDependency {
			return r.Name
		}
	}
	return ""
}

// desiredOf is what the monitor is to do about a group that is assigned to this node by a.
func desiredOf(g *v1alpha1.ResourceGroup, a *v1alpha1.Assignment, s *surroundings) (monitor.GroupDesired, error) {
	d := withdrawnOf(g, a)
	d.Run, d.Frozen, d.Networks = true, s.frozen(g), s.networks
	for _, o := range a.Unproven {
		d.Unproven = append(d.Unproven, model.Owner{
			Node: o.Node, ID: model.NodeID(o.NodeID), Generation: model.Generation(o.Generation), Epoch: model.Epoch(o.Epoch),
		})
	}
	for _, r := range s.resources {
		if !snapshot.Arrived(r, d.Epoch) {
			continue // this node says nothing of it either, or its old group would count as having let go
		}
		resource, err := resourceOf(r, s)
		if err != nil {
			return d, err
		}
		d.Resources = append(d.Resources, resource)
	}
	slices.SortFunc(d.Resources, func(a, b monitor.ResourceDesired) int {
		if a.Resource.Name < b.Resource.Name {
			return -1
		}
		return 1
	})
	return d, nil
}

// withdrawnOf is what the monitor is to do about a group that this node does not own.
func withdrawnOf(g *v1alpha1.ResourceGroup, a *v1alpha1.Assignment) monitor.GroupDesired {
	return monitor.GroupDesired{
		Group: resourcetype.Identity{UID: string(g.UID), Namespace: g.Namespace, Name: g.Name},
		Epoch: model.Epoch(a.Epoch),
		View:  model.ViewID{Number: uint64(a.ViewID.Number), Coordinator: model.NodeID(a.ViewID.Coordinator)},
	}
}

func resourceOf(r *v1alpha1.Resource, s *surroundings) (monitor.ResourceDesired, error) {
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return monitor.ResourceDesired{}, fmt.Errorf("encoding the spec of %s/%s: %w", r.Namespace, r.Name, err)
	}
	out := monitor.ResourceDesired{
		Resource: resourcetype.Identity{UID: string(r.UID), Namespace: r.Namespace, Name: r.Name},
		Type:     string(r.Spec.Type), Spec: spec,
		Online: r.Spec.DesiredState != v1alpha1.DesiredOffline && r.DeletionTimestamp == nil,
		Timing: snapshot.Timing(r, s.cluster), NetworkName: networkNameOf(r, s.resources),
		FailToken: failTokenOf(r, s.node), Disks: diskPathsOf(r, s.resources),
	}
	if r.Spec.NetworkName != nil {
		out.Addresses = snapshot.AddressesOf(r, s.resources)
	}
	for _, d := range r.Spec.DependsOn {
		if d.Name != "" {
			out.DependsOn = append(out.DependsOn, lifecycle.On(d.Name))
			continue
		}
		out.DependsOn = append(out.DependsOn, lifecycle.Dependency{AnyOf: slices.Clone(d.AnyOf)})
	}
	return out, nil
}

// failTokenOf is the simulated failure that the annotation asks of this node; a token longer than a name is nobody's.
func failTokenOf(r *v1alpha1.Resource, node *v1alpha1.Node) string {
	value := strings.TrimSpace(r.Annotations[v1alpha1.SimulateFailureAnnotation])
	where, token, named := strings.Cut(value, "/")
	switch {
	case !named:
		token = value
	case node == nil || where != node.Name:
		return ""
	}
	if len(token) > maxFailToken {
		return ""
	}
	return token
}

// diskPathsOf are the mount points of the group's disks that a resource's parameters name, by the disks' names. One that is not there, or is
// not mounted, has none.
func diskPathsOf(r *v1alpha1.Resource, all []*v1alpha1.Resource) map[string]string {
	if r.Spec.Container == nil {
		return nil
	}
	var disks map[string]string
	for _, m := range r.Spec.Container.Mounts {
		for _, other := range all {
			if path := snapshot.MountPath(other); m.Disk != "" && other.Name == m.Disk && path != "" {
				if disks == nil {
					disks = map[string]string{}
				}
				disks[m.Disk] = path
			}
		}
	}
	return disks
}

// networkNameOf is the name of the virtual server that a resource belongs to: that of a NetworkName which it depends on, directly
// or through others.
func networkNameOf(r *v1alpha1.Resource, all []*v1alpha1.Resource) string {
	for provider := range snapshot.Providers(r, all) {
		if provider.Spec.NetworkName != nil {
			return provider.Spec.NetworkName.Name
		}
	}
	return ""
}
