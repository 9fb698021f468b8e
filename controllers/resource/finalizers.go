package resource

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// writeFinalizer holds a resource of a group that a cluster runs, and lets a deleted one go once it is offline. It returns nil for
// one that is gone or about to be.
func (r *Reconciler) writeFinalizer(ctx context.Context, at *round, res *v1alpha1.Resource, group *v1alpha1.ResourceGroup) (*v1alpha1.Resource, error) {
	held := controllerutil.ContainsFinalizer(res, v1alpha1.OfflineFirstFinalizer)
	nobody := group == nil || at.Cluster == nil || len(at.Nodes) == 0
	changed := res.DeepCopy()
	switch {
	case res.DeletionTimestamp == nil && !held && !nobody:
		controllerutil.AddFinalizer(changed, v1alpha1.OfflineFirstFinalizer)
	case res.DeletionTimestamp != nil && held && (nobody || offline(at, res, group)):
		controllerutil.RemoveFinalizer(changed, v1alpha1.OfflineFirstFinalizer)
	default:
		return res, nil
	}
	if err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(res, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, describe("holding or letting go of", res, err)
	}
	if res.DeletionTimestamp != nil {
		return nil, nil
	}
	return changed, nil
}

// offline says that nothing of the resource is left on any node that could take it offline.
func offline(at *round, res *v1alpha1.Resource, group *v1alpha1.ResourceGroup) bool {
	if snapshot.HeldByOther(res) {
		return false // its old group still may have it
	}
	if snapshot.Balanced(group) {
		return offlineEverywhere(at, res, group)
	}
	a := snapshot.Assignment(group.Status.Assignment)
	switch {
	case a.Epoch == 0 || res.Status.State == "":
		return true // it never ran
	case at.view == nil:
		return false
	case a.Node == "":
		return !snapshot.StillThere(a, at.reports[string(group.UID)], at.view)
	case !member(at.view, a):
		return true // what ran there has ended with its owner
	}
	return res.Status.State == v1alpha1.ResourceOffline && res.Status.Epoch == int64(a.Epoch)
}

func member(view *model.View, a model.Assignment) bool {
	generation, ok := view.Generation(a.ID)
	return ok && generation == a.Generation
}
