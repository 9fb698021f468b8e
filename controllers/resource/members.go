package resource

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// sumUp writes the state of a resource that several nodes have at once: their agents write their own entries only. It leaves the
// written object in the facts. With the resourceVersion: the list of entries is written as a whole, and none that an agent has only
// just written may get lost.
func (r *Reconciler) sumUp(ctx context.Context, f *status.ResourceFacts) (*v1alpha1.Resource, error) {
	sum := status.SumUp(f)
	if equality.Semantic.DeepEqual(&f.Resource.Status, sum) {
		return f.Resource, nil
	}
	written := f.Resource.DeepCopy()
	written.Status = *sum
	if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(f.Resource, client.MergeFromWithOptimisticLock{})); err != nil {
		return f.Resource, describe("summing up", f.Resource, err)
	}
	f.Resource = written
	return written, nil
}

// offlineEverywhere says that no living node has anything of a resource that several have at once.
func offlineEverywhere(at *round, res *v1alpha1.Resource, group *v1alpha1.ResourceGroup) bool {
	if len(res.Status.Members) == 0 {
		return true // it never ran
	}
	if at.view == nil {
		return false
	}
	for _, m := range snapshot.Members(group) {
		said := snapshot.OnNode(res, m.Node)
		generation, lives := at.view.Generation(m.ID)
		if said == nil || !lives || generation != m.Generation {
			continue // it never ran there, or what ran there has ended with the node
		}
		a := m.Assignment()
		if m.Withdrawn && !snapshot.StillThere(a, at.reports[string(group.UID)], at.view) {
			continue
		}
		if said.State != v1alpha1.ResourceOffline || said.Epoch != int64(m.Epoch) {
			return false
		}
	}
	return true
}
