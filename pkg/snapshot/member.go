package snapshot

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Balanced says that the group runs on every node that may take it.
func Balanced(g *v1alpha1.ResourceGroup) bool { return g.Spec.Mode == v1alpha1.GroupModeLoadBalanced }

// Members translates the members of a group of mode LoadBalanced, with the states that are written down.
func Members(g *v1alpha1.ResourceGroup) []model.GroupMember {
	if !Balanced(g) || len(g.Status.Members) == 0 {
		return nil
	}
	members := make([]model.GroupMember, 0, len(g.Status.Members))
	for i := range g.Status.Members {
		m := &g.Status.Members[i]
		member := model.GroupMember{
			Node: m.Node, ID: model.NodeID(m.NodeID), Generation: model.Generation(m.Generation), Epoch: epoch(m.Epoch), View: ViewID(m.ViewID),
			Reason: model.Reason(m.Reason), Withdrawn: m.Withdrawn, State: model.GroupState(m.State),
		}
		if m.Time != nil {
			member.Time = m.Time.Time
		}
		members = append(members, member)
	}
	return members
}

// APIMembers is the inverse of Members. Times are kept to the microsecond, as the API server keeps them.
func APIMembers(members []model.GroupMember) []v1alpha1.GroupMember {
	if len(members) == 0 {
		return nil
	}
	out := make([]v1alpha1.GroupMember, 0, len(members))
	for i := range members {
		m := &members[i]
		member := v1alpha1.GroupMember{
			Node: m.Node, NodeID: int32(m.ID), Generation: int64(m.Generation), Epoch: int64(m.Epoch), ViewID: APIViewID(m.View),
			Reason: string(m.Reason), Withdrawn: m.Withdrawn, State: v1alpha1.GroupState(m.State),
		}
		if !m.Time.IsZero() {
			member.Time = &metav1.MicroTime{Time: m.Time.Truncate(time.Microsecond)}
		}
		out = append(out, member)
	}
	return out
}

// AssignmentFor is what the group asks of one node: its assignment, or that node's member. nil asks nothing.
func AssignmentFor(g *v1alpha1.ResourceGroup, node string) *v1alpha1.Assignment {
	if !Balanced(g) {
		return g.Status.Assignment
	}
	for _, m := range Members(g) {
		if m.Node == node {
			return APIAssignment(m.Assignment())
		}
	}
	return nil
}

// OnNode is what the agent of a node says of a resource in a group of mode LoadBalanced, or nil.
func OnNode(r *v1alpha1.Resource, node string) *v1alpha1.ResourceMember {
	i := slices.IndexFunc(r.Status.Members, func(m v1alpha1.ResourceMember) bool { return m.Node == node })
	if i < 0 {
		return nil
	}
	return &r.Status.Members[i]
}

// MembersNow are the members of the group with their states, as the nodes report them for the members' epochs.
func MembersNow(g *v1alpha1.ResourceGroup, resources []*v1alpha1.Resource, reports []model.OwnerReport, view *model.View) []model.GroupMember {
	members := Members(g)
	for i := range members {
		m := &members[i]
		states := make([]model.ResourceState, 0, len(resources))
		for _, r := range resources {
			states = append(states, memberState(r, m, reports, view))
		}
		m.State = model.AggregateGroupState(states)
	}
	return members
}

func memberState(r *v1alpha1.Resource, m *model.GroupMember, reports []model.OwnerReport, view *model.View) model.ResourceState {
	said := OnNode(r, m.Node)
	switch a := m.Assignment(); {
	case m.Withdrawn && StillThere(a, reports, view):
		return model.ResourceOfflinePending
	case m.Withdrawn || !lives(a, view):
		return model.ResourceOffline
	case said != nil && said.Epoch == int64(m.Epoch) && said.State != "":
		return model.ResourceState(said.State)
	case r.Spec.DesiredState == v1alpha1.DesiredOffline:
		return model.ResourceOffline
	}
	return model.ResourceOnlinePending
}
