package status

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// ResourceFacts are all that the manager's part of a resource's status is computed from.
type ResourceFacts struct {
	Resource *v1alpha1.Resource
	// Group is nil when there is none.
	Group *v1alpha1.ResourceGroup
	// View is the view that decisions are made in; nil when there is none.
	View *model.View
	// Findings are what validation has to say of the resource.
	Findings []validation.Finding
	// Owner is the node that says the status; nil when there is none.
	Owner *v1alpha1.Node
	// Conflict says why the Service of a name is not as it should be; empty when it is.
	Conflict string
	Now      time.Time
}

// ResourceConditions computes the conditions of a resource; everything else of its status is its owner's.
func ResourceConditions(f *ResourceFacts) []metav1.Condition {
	list := make([]metav1.Condition, len(f.Resource.Status.Conditions))
	copy(list, f.Resource.Status.Conditions)
	set := conditionSet{list: &list, generation: f.Resource.Generation, now: f.Now}
	found, bad := validation.FirstError(f.Findings)
	switch {
	case bad:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, found.Reason, found.Text())
	case len(f.Findings) > 0:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, f.Findings[0].Text())
	default:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is usable")
	}
	status, reason, message := resourceReadiness(f)
	if bad {
		status, reason, message = metav1.ConditionFalse, found.Reason, found.Text()
	}
	set.set(v1alpha1.ConditionReady, status, reason, message)
	nameConditions(f, set)
	return list
}

func resourceReadiness(f *ResourceFacts) (metav1.ConditionStatus, string, string) {
	st := &f.Resource.Status
	wanted := v1alpha1.ResourceOnline
	if f.Resource.Spec.DesiredState == v1alpha1.DesiredOffline || f.Group == nil || !wantedOnline(f.Group) {
		wanted = v1alpha1.ResourceOffline
	}
	state := st.State
	if state == "" {
		state = v1alpha1.ResourceOffline
	}
	shared := f.Group != nil && snapshot.Balanced(f.Group)
	sentence := resourceSentence(st, state, shared)
	switch {
	case f.Resource.DeletionTimestamp != nil:
		return metav1.ConditionFalse, v1alpha1.GroupReasonDeleting, "the resource goes offline before it is deleted"
	case state == v1alpha1.ResourceUnknown || f.View == nil && st.State != "":
		return metav1.ConditionUnknown, v1alpha1.ReasonUnknown, sentence
	case shared && f.View != nil && !everywhere(f, wanted):
		return metav1.ConditionFalse, string(state), sentence
	case state == wanted:
		return metav1.ConditionTrue, v1alpha1.ReasonReady, sentence
	case st.Reason != "":
		return metav1.ConditionFalse, st.Reason, sentence
	default:
		return metav1.ConditionFalse, string(state), sentence
	}
}

// resourceSentence says in which state the resource is where. The message of one that several nodes have says it itself.
func resourceSentence(st *v1alpha1.ResourceStatus, state v1alpha1.ResourceState, shared bool) string {
	sentence := string(state)
	if shared {
		return noteOr(st.Message, sentence)
	}
	if st.Node != "" {
		sentence += " on " + st.Node
	}
	if st.Message != "" {
		sentence += ": " + st.Message
	}
	return sentence
}
