package status

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// SumUp is the manager's part of the status of a resource in a group of mode LoadBalanced: what its members' agents say, in one state
// and one sentence, without the entries of nodes that the group has left. Of other groups it leaves everything to the owner, but for
// entries of members that are left from an earlier group of the name.
func SumUp(f *ResourceFacts) *v1alpha1.ResourceStatus {
	st := f.Resource.Status.DeepCopy()
	switch {
	case f.Group == nil || f.View == nil:
		return st
	case !snapshot.Balanced(f.Group):
		st.Members = nil
		return st
	}
	var known int64
	if a := f.Group.Status.Assignment; a != nil {
		known = a.Epoch
	}
	st.Members = slices.DeleteFunc(st.Members, func(m v1alpha1.ResourceMember) bool {
		// What is above every epoch that this manager knows of was given out since: it looks again when it knows more.
		return m.Epoch <= known && !memberStays(f, m.Node)
	})
	if len(st.Members) == 0 {
		st.Members = nil
	}
	state, reason, message := sumOf(f)
	if st.State != state {
		st.LastTransitionTime = &metav1.MicroTime{Time: f.Now.Truncate(time.Microsecond)}
	}
	st.State, st.Reason, st.Message, st.Node, st.OnlineSince, st.Restarts = state, reason, bounded(message), "", nil, 0
	return st
}

// memberStays says that the group is, or may still be, on the node.
func memberStays(f *ResourceFacts, node string) bool {
	return slices.ContainsFunc(f.Group.Status.Members, func(m v1alpha1.GroupMember) bool { return m.Node == node && memberLives(f, &m) })
}

func memberLives(f *ResourceFacts, m *v1alpha1.GroupMember) bool {
	generation, member := f.View.Generation(model.NodeID(m.NodeID))
	return member && int64(generation) == m.Generation
}

// sumOf says that the resource is Online as long as it is on one node: clients are served. With none online, Failed wins over the
// pending states, and those over Offline.
func sumOf(f *ResourceFacts) (state v1alpha1.ResourceState, reason, message string) {
	order := []v1alpha1.ResourceState{
		v1alpha1.ResourceOnline, v1alpha1.ResourceFailed, v1alpha1.ResourceOnlinePending, v1alpha1.ResourceOfflinePending,
		v1alpha1.ResourceOffline,
	}
	at, why := map[v1alpha1.ResourceState][]string{}, ""
	for i := range f.Group.Status.Members {
		m := &f.Group.Status.Members[i]
		if !memberLives(f, m) {
			continue
		}
		is := stateAt(f, m)
		at[is] = append(at[is], m.Node)
		if said := snapshot.OnNode(f.Resource, m.Node); said != nil && is == v1alpha1.ResourceFailed && said.Message != "" {
			reason = said.Reason
			why += "; on " + m.Node + ": " + said.Message
		}
	}
	var parts []string
	for _, is := range order {
		if len(at[is]) > 0 {
			parts = append(parts, string(is)+" on "+strings.Join(at[is], ", "))
			if state == "" {
				state = is
			}
		}
	}
	if state == "" {
		state = v1alpha1.ResourceOffline
	}
	return state, reason, strings.Join(parts, "; ") + why
}

// stateAt is the resource's state on a living member: what is not said yet is pending.
func stateAt(f *ResourceFacts, m *v1alpha1.GroupMember) v1alpha1.ResourceState {
	said := snapshot.OnNode(f.Resource, m.Node)
	switch {
	case said != nil && said.State != "" && (said.Epoch == m.Epoch || m.Withdrawn):
		return said.State
	case m.Withdrawn || f.Resource.Spec.DesiredState == v1alpha1.DesiredOffline:
		return v1alpha1.ResourceOffline
	}
	return v1alpha1.ResourceOnlinePending
}

// everywhere says that the resource is in the state on every member that is to have the group, and on none that is not.
func everywhere(f *ResourceFacts, wanted v1alpha1.ResourceState) bool {
	count := 0
	for i := range f.Group.Status.Members {
		m := &f.Group.Status.Members[i]
		if !memberLives(f, m) || m.Withdrawn && wanted == v1alpha1.ResourceOnline {
			continue
		}
		count++
		if stateAt(f, m) != wanted {
			return false
		}
	}
	return count > 0 || wanted == v1alpha1.ResourceOffline
}
