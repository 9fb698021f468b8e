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

const (
	// patience is how long an assignment to a node is awaited before a dead owner's word is struck out.
	patience = 500 * time.Millisecond
	// ownersPatience is how long the next owner is given to report by itself: in a failover it is quicker, and no write is needed. With a thousand
	// groups at once it is not, and each write more keeps the assignments of others waiting.
	ownersPatience = 5 * time.Second
)

// disown strikes out what a dead owner has said: the resource is Unknown, at the epoch of the assignment that followed. Its next owner
// writes at that epoch too and wins: the node is empty, and a write of the owner that comes first makes this one lose its
// resourceVersion.
func (r *Reconciler) disown(ctx context.Context, at *round, res *v1alpha1.Resource, group *v1alpha1.ResourceGroup) (*v1alpha1.Resource, time.Duration, error) {
	if group == nil || snapshot.Balanced(group) || snapshot.Moving(res) || !orphaned(at, res) {
		return res, 0, nil
	}
	a := snapshot.Assignment(group.Status.Assignment)
	wait := patience
	if a.Node != "" && at.view != nil && member(at.view, a) {
		wait = ownersPatience
	}
	if age := at.now.Sub(a.Time); age < wait && int64(a.Epoch) > res.Status.Epoch {
		return res, max(wait-age, time.Millisecond), nil
	}
	written := res.DeepCopy()
	st := &written.Status
	st.Message = bounded(fmt.Sprintf("%s was %s on %s, which is not in the quorate view any more", res.Name, st.State, st.Node))
	st.State, st.Node, st.Reason = v1alpha1.ResourceUnknown, "", v1alpha1.ResourceReasonOwnerDown
	st.Epoch = max(st.Epoch, int64(a.Epoch))
	st.LastTransitionTime = &metav1.MicroTime{Time: at.now.Truncate(time.Microsecond)}
	st.OnlineSince = nil
	if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(res, client.MergeFromWithOptimisticLock{})); err != nil {
		return res, 0, describe("striking out the dead owner of", res, err)
	}
	return written, 0, nil
}

// orphaned says that the node whose word the status is has left the view.
func orphaned(at *round, res *v1alpha1.Resource) bool {
	switch res.Status.State {
	case "", v1alpha1.ResourceOffline, v1alpha1.ResourceUnknown:
		return false
	case v1alpha1.ResourceOnline, v1alpha1.ResourceOnlinePending, v1alpha1.ResourceOfflinePending, v1alpha1.ResourceFailed:
	}
	if at.view == nil || res.Status.Node == "" {
		return false
	}
	owner := at.Node(res.Status.Node)
	return owner == nil || !at.view.Has(model.NodeID(owner.Status.ID))
}

// bounded keeps a message within the API's bound.
func bounded(message string) string {
	const most = 1000
	return message[:min(len(message), most)]
}
