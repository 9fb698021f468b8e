package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// nameConditions say whether a network name is found by its clients. Neither makes it fail, or its group.
func nameConditions(f *ResourceFacts, set conditionSet) {
	n := f.Resource.Spec.NetworkName
	if n == nil || n.DNS == nil {
		meta.RemoveStatusCondition(set.list, v1alpha1.ResourceConditionRegistered)
	} else {
		status, reason, message := registration(f)
		set.set(v1alpha1.ResourceConditionRegistered, status, reason, message)
	}
	switch {
	case n == nil || n.Service == nil:
		meta.RemoveStatusCondition(set.list, v1alpha1.ResourceConditionPublished)
	case f.Conflict != "":
		set.set(v1alpha1.ResourceConditionPublished, metav1.ConditionFalse, v1alpha1.ResourceReasonServiceConflict, f.Conflict)
	default:
		set.set(v1alpha1.ResourceConditionPublished, metav1.ConditionTrue, v1alpha1.ResourceReasonPublished,
			"the Service "+snapshot.ServiceName(n)+" has the addresses of the group while the name is online")
	}
}

// registration is what the owner says of the name in DNS. No word of trouble from it is good news.
func registration(f *ResourceFacts) (metav1.ConditionStatus, string, string) {
	st := &f.Resource.Status
	self := f.Resource.Namespace + "/" + f.Resource.Name
	zone := f.Resource.Spec.NetworkName.Name + "." + f.Resource.Spec.NetworkName.DNS.Zone
	switch {
	case st.State != v1alpha1.ResourceOnline || f.Owner == nil:
		return metav1.ConditionFalse, string(v1alpha1.ResourceOffline), "the name is not online"
	case f.Owner.Status.Agent == nil:
		return metav1.ConditionUnknown, v1alpha1.ReasonUnknown, "the agent of " + f.Owner.Name + " says nothing"
	}
	i := slices.IndexFunc(f.Owner.Status.Agent.Problems, func(p v1alpha1.AgentProblem) bool {
		return p.Reason == v1alpha1.ProblemNameNotRegistered && p.Object == self
	})
	if i >= 0 {
		return metav1.ConditionFalse, v1alpha1.ProblemNameNotRegistered, f.Owner.Status.Agent.Problems[i].Message
	}
	return metav1.ConditionTrue, v1alpha1.ResourceReasonRegistered, zone + " is kept in DNS by " + f.Owner.Name
}
