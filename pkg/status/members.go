package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// setMembers brings the members of a group of mode LoadBalanced up to date: those of the decision, or those of before, with the states
// that their nodes report. probe is the group with its status after the decision.
func setMembers(st *v1alpha1.ResourceGroupStatus, f *GroupFacts, probe *v1alpha1.ResourceGroup) {
	if !snapshot.Balanced(f.Group) {
		st.MembersOnline = ""
		return
	}
	members := snapshot.MembersNow(probe, f.Resources, f.Model.Reports, f.View)
	st.Members, st.MembersOnline = snapshot.APIMembers(members), "0/0"
	online, all := 0, 0
	for _, m := range members {
		if m.Withdrawn {
			continue
		}
		all++
		if m.State == model.GroupOnline {
			online++
		}
	}
	st.MembersOnline = fmt.Sprintf("%d/%d", online, all)
	probe.Status.Members = st.Members
}

// membersServed is served for a group of mode LoadBalanced: clients are served as long as one member has all that is wanted; the
// desired state is reached when every member has.
func membersServed(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) (online, reached bool) {
	if !wantedOnline(f.Group) {
		return st.State == v1alpha1.GroupOnline || st.State == v1alpha1.GroupPartialOnline, st.State == v1alpha1.GroupOffline
	}
	count := 0
	reached = len(f.Resources) > 0
	for i := range st.Members {
		m := &st.Members[i]
		if m.Withdrawn {
			continue
		}
		count++
		serves, asWanted := memberServes(m, f)
		online, reached = online || serves, reached && asWanted
	}
	return online, reached && count > 0
}

// memberServes says whether every resource that is wanted is online there, and there is one, and whether every one is as it is wanted.
func memberServes(m *v1alpha1.GroupMember, f *GroupFacts) (serves, asWanted bool) {
	if generation, member := f.View.Generation(model.NodeID(m.NodeID)); f.View != nil && (!member || int64(generation) != m.Generation) {
		return false, false
	}
	wanted := 0
	serves, asWanted = true, true
	for _, r := range f.Resources {
		said := snapshot.OnNode(r, m.Node)
		mine := said != nil && said.Epoch == m.Epoch
		if r.Spec.DesiredState == v1alpha1.DesiredOffline {
			asWanted = asWanted && (!mine || said.State == v1alpha1.ResourceOffline)
			continue
		}
		wanted++
		is := mine && said.State == v1alpha1.ResourceOnline
		serves, asWanted = serves && is, asWanted && is
	}
	return serves && wanted > 0, asWanted
}

// membersSentence says in which state the group is where: "Online on a, b; Failed on c".
func membersSentence(st *v1alpha1.ResourceGroupStatus) string {
	var states []v1alpha1.GroupState
	at := map[v1alpha1.GroupState][]string{}
	for _, m := range st.Members {
		if m.Withdrawn {
			continue
		}
		if at[m.State] == nil {
			states = append(states, m.State)
		}
		at[m.State] = append(at[m.State], m.Node)
	}
	if len(states) == 0 {
		return string(st.State)
	}
	order := []v1alpha1.GroupState{v1alpha1.GroupOnline, v1alpha1.GroupPartialOnline, v1alpha1.GroupPending, v1alpha1.GroupFailed, v1alpha1.GroupOffline}
	slices.SortFunc(states, func(a, b v1alpha1.GroupState) int { return slices.Index(order, a) - slices.Index(order, b) })
	parts := make([]string, 0, len(states))
	for _, s := range states {
		parts = append(parts, string(s)+" on "+strings.Join(at[s], ", "))
	}
	return bounded(strings.Join(parts, "; "))
}

// memberEvents tell of a group of mode LoadBalanced that has come online, or has lost a part of what it had.
func memberEvents(after *v1alpha1.ResourceGroupStatus) []Event {
	failed := slices.ContainsFunc(after.Members, func(m v1alpha1.GroupMember) bool { return !m.Withdrawn && m.State == v1alpha1.GroupFailed })
	if failed {
		return []Event{warning(string(after.State), "Observe", membersSentence(after))}
	}
	if after.State == v1alpha1.GroupPending {
		return nil
	}
	return []Event{normal(string(after.State), "Observe", membersSentence(after))}
}

// balanceEvents tell of a change of the members.
func balanceEvents(d *policy.Decision, note string) []Event {
	note = fmt.Sprintf("%s (view %d)", note, d.Assignment.View.Number)
	if d.Unplanned {
		return []Event{warning(string(d.Reason), "Balance", note)}
	}
	return []Event{normal(string(d.Reason), "Balance", note)}
}
