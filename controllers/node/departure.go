package node

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// writeFinalizer holds a Node while it owns something, and lets it go when it does not: a Node that owns nothing can always be
// deleted, with or without a manager.
func (r *Reconciler) writeFinalizer(ctx context.Context, o *snapshot.Objects, n *v1alpha1.Node, owns int, view *model.View) error {
	held := controllerutil.ContainsFinalizer(n, v1alpha1.DepartureFinalizer)
	hold := mustStay(o, n, owns, view)
	if held == hold || hold && n.DeletionTimestamp != nil {
		return nil
	}
	changed := n.DeepCopy()
	if hold {
		controllerutil.AddFinalizer(changed, v1alpha1.DepartureFinalizer)
	} else {
		controllerutil.RemoveFinalizer(changed, v1alpha1.DepartureFinalizer)
	}
	if err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{})); err != nil {
		return describe("holding or letting go of", n, err)
	}
	return nil
}

// mustStay says that groups are on the node, or assigned to it. Without its Cluster there is nobody to move them, and a node that the
// quorate view lacks has nothing left that it could take offline.
func mustStay(o *snapshot.Objects, n *v1alpha1.Node, owns int, view *model.View) bool {
	if o.Cluster == nil {
		return false
	}
	if view != nil && !view.Has(model.NodeID(n.Status.ID)) {
		return owns > 0 && n.DeletionTimestamp == nil
	}
	return owns > 0 || runsSomething(n) || awaited(o, n.Status.ID)
}

// awaited says that some group waits for the node's word that it has stopped, which only the Node can carry (O1).
func awaited(o *snapshot.Objects, id int32) bool {
	return id != 0 && slices.ContainsFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool {
		if slices.ContainsFunc(g.Status.Members, func(m v1alpha1.GroupMember) bool { return m.Withdrawn && m.NodeID == id }) {
			return true
		}
		a := g.Status.Assignment
		return a != nil && slices.ContainsFunc(a.Unproven, func(u v1alpha1.UnprovenOwner) bool { return u.NodeID == id })
	})
}

func runsSomething(n *v1alpha1.Node) bool {
	if n.Status.Agent == nil {
		return false
	}
	for _, g := range n.Status.Agent.Groups {
		if g.Epoch > 0 {
			return true
		}
	}
	return false
}
