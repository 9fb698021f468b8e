package snapshot

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// GroupState aggregates the resources' states as reported for the assignment's epoch (A01-A04). What an earlier owner reported
// counts only while that owner may still have the group; a resource of which the present owner has said nothing is pending. The state of
// a group of mode LoadBalanced is aggregated from its members'.
func GroupState(g *v1alpha1.ResourceGroup, resources []*v1alpha1.Resource, reports []model.OwnerReport, view *model.View) model.GroupState {
	if Balanced(g) {
		return model.AggregateMembers(MembersNow(g, resources, reports, view))
	}
	if g.Status.FailedSince != nil {
		return model.GroupFailed
	}
	a := Assignment(g.Status.Assignment)
	states := make([]model.ResourceState, 0, len(resources))
	for _, r := range resources {
		states = append(states, resourceState(r, a, reports, view))
	}
	return model.AggregateGroupState(states)
}

func resourceState(r *v1alpha1.Resource, a model.Assignment, reports []model.OwnerReport, view *model.View) model.ResourceState {
	reported := model.ResourceState(r.Status.State)
	switch {
	case a.Epoch == 0:
		return model.ResourceOffline
	case a.Node == "":
		if StillThere(a, reports, view) {
			return model.ResourceOfflinePending
		}
		return model.ResourceOffline
	case !lives(a, view):
		return model.ResourceOffline // its reports are of a life that has ended
	case r.Status.Epoch == int64(a.Epoch) && r.Status.Node == a.Node && reported != "" && !Moving(r):
		return reported
	case r.Spec.DesiredState == v1alpha1.DesiredOffline:
		return model.ResourceOffline
	default:
		return model.ResourceOnlinePending
	}
}

// lives says that the owner is in the view in the life that the assignment names. Without a view nobody knows better.
func lives(a model.Assignment, view *model.View) bool {
	generation, member := view.Generation(a.ID)
	return view == nil || member && generation == a.Generation
}

// StillThere says that a living earlier owner has not yet released the group.
func StillThere(a model.Assignment, reports []model.OwnerReport, view *model.View) bool {
	for _, o := range a.Unproven {
		generation, member := view.Generation(o.ID)
		if member && generation == o.Generation && !released(o, reports) {
			return true
		}
	}
	return false
}

func released(o model.Owner, reports []model.OwnerReport) bool {
	for _, r := range reports {
		if r.ID == o.ID && r.Generation == o.Generation && r.Released > o.Epoch {
			return true
		}
	}
	return false
}
