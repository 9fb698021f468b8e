package nodeagent

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// shared says that several nodes have the resource at once: its group has mode LoadBalanced. Of a resource whose group is gone nobody
// has anything to say that is not said already.
func (p *publisher) shared(ctx context.Context, w *world, r *v1alpha1.Resource) (bool, error) {
	g, err := w.group(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.GroupName})
	if err != nil {
		return false, err
	}
	if g == nil {
		return snapshot.OnNode(r, p.nodeName) != nil, nil
	}
	return snapshot.Balanced(g), nil
}

// shown is what the object shows of this node's words: all that an owner says, or the node's own entry of status.members.
func (p *publisher) shown(r *v1alpha1.Resource, shared bool) v1alpha1.ResourceStatus {
	if !shared {
		shown := r.Status
		shown.Conditions, shown.Members, shown.ForeignReservation = nil, nil, nil
		return shown
	}
	m := snapshot.OnNode(r, p.nodeName)
	if m == nil {
		return v1alpha1.ResourceStatus{}
	}
	return v1alpha1.ResourceStatus{
		Node: m.Node, Epoch: m.Epoch, ObservedGeneration: m.ObservedGeneration, State: m.State, Reason: m.Reason, Message: m.Message,
		Restarts: m.Restarts, LastTransitionTime: m.LastTransitionTime, OnlineSince: m.OnlineSince,
	}
}

// applyResource writes what this node says of a resource: as its owner, or into its own entry. The entries of one list are applied by a
// field manager for each node, or every write would take those of the other nodes away.
func (p *publisher) applyResource(ctx context.Context, key client.ObjectKey, s v1alpha1.ResourceStatus, shared bool) error {
	if !shared {
		return p.apply(ctx, "Resource", key, s, client.FieldOwner(v1alpha1.AgentFieldManager))
	}
	entry := v1alpha1.ResourceMember{
		Node: s.Node, Epoch: s.Epoch, ObservedGeneration: s.ObservedGeneration, State: s.State, Reason: s.Reason, Message: s.Message,
		Restarts: s.Restarts, LastTransitionTime: s.LastTransitionTime, OnlineSince: s.OnlineSince,
	}
	return p.apply(ctx, "Resource", key, v1alpha1.ResourceStatus{Members: []v1alpha1.ResourceMember{entry}},
		client.FieldOwner(v1alpha1.AgentMemberManager+p.nodeName))
}
