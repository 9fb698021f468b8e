package snapshot

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Moving says that the resource was moved to another group, of which no owner has had it yet. A group of mode LoadBalanced says of
// none of its resources whose they are.
func Moving(r *v1alpha1.Resource) bool {
	return r.Status.GroupName != "" && r.Status.GroupName != r.Spec.GroupName
}

// HeldByOther says that the owner of its old group may still have a resource that was moved: nobody has said that it is offline there.
func HeldByOther(r *v1alpha1.Resource) bool {
	return Moving(r) && r.Status.State != "" && r.Status.State != v1alpha1.ResourceOffline
}

// Arrived says that an owner of the resource's group may have it at the epoch: it belongs to the group, or the old group has let go of it
// and the epoch is above the old one's. A disk carries the epochs of every group that it was in (rule O7), and no owner speaks of a
// resource at a lower epoch than another did (S5).
func Arrived(r *v1alpha1.Resource, at model.Epoch) bool {
	return !Moving(r) || !HeldByOther(r) && epoch(r.Status.Epoch) < at
}

// LetGo says that no owner of the old group can have the resource any more: the group is gone, which it is only after every owner was
// proven harmless (O11), or it has another assignment since, and all earlier owners are proven harmless (O2). A living owner that still has
// the group says itself that it has taken the resource offline.
func LetGo(r *v1alpha1.Resource, old *v1alpha1.ResourceGroup) bool {
	if old == nil {
		return true
	}
	a := Assignment(old.Status.Assignment)
	return !Balanced(old) && a.Epoch > epoch(r.Status.Epoch) && len(a.Unproven) == 0
}
