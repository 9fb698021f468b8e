package resource

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// letGo says that a resource which was moved to another group is offline in the old one, where no owner is left that could say it: the new
// group waits for that.
func (r *Reconciler) letGo(ctx context.Context, at *round, res *v1alpha1.Resource) (*v1alpha1.Resource, error) {
	if !snapshot.HeldByOther(res) {
		return res, nil
	}
	old := at.groups[model.GroupKey{Namespace: res.Namespace, Name: res.Status.GroupName}]
	if !snapshot.LetGo(res, old) {
		return res, nil
	}
	written := res.DeepCopy()
	st := &written.Status
	st.Message = bounded(fmt.Sprintf("group %s has let go of it, for group %s", st.GroupName, res.Spec.GroupName))
	st.State, st.Node, st.Reason, st.OnlineSince, st.Restarts = v1alpha1.ResourceOffline, "", v1alpha1.ResourceReasonLeftGroup, nil, 0
	st.LastTransitionTime = &metav1.MicroTime{Time: at.now.Truncate(time.Microsecond)}
	if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(res, client.MergeFromWithOptimisticLock{})); err != nil {
		return res, describe("ending the stay in its old group of", res, err)
	}
	return written, nil
}
