package decision

import (
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// departureMargin is added to the self-fence timeout before an owner that was lost from the view counts as stopped for a deletion:
// the witness wait, the promises' margin, and clocks that differ.
const departureMargin = 10 * time.Second

// abandoned says that nobody is left who could take a group offline, so that holding it would hold it for ever.
func (r *Round) abandoned() bool {
	return r.Objects.Cluster == nil || len(r.Objects.Nodes) == 0
}

// MustHold says that the group lacks the finalizer that it needs.
func (r *Round) MustHold(g *v1alpha1.ResourceGroup) bool {
	return g.DeletionTimestamp == nil && !r.abandoned() && !slices.Contains(g.Finalizers, v1alpha1.OfflineFirstFinalizer)
}

// MayLetGo says that a group that is being deleted is offline everywhere (rule O11): it never ran, or it is withdrawn and every
// earlier owner is either proven harmless or lost for longer than it may go on.
func (r *Round) MayLetGo(g *v1alpha1.ResourceGroup, i int) bool {
	if g.DeletionTimestamp == nil || !slices.Contains(g.Finalizers, v1alpha1.OfflineFirstFinalizer) {
		return false
	}
	if r.abandoned() {
		return true
	}
	model := &r.Snapshot.Groups[i]
	if r.runsAnywhere(model) {
		return false
	}
	a := outstanding(snapshot.Assignment(g.Status.Assignment), snapshot.Members(g))
	if a.Epoch == 0 {
		return true
	}
	return a.Node == "" && !r.Now.Before(r.departure(a))
}

// outstanding is the assignment with the members of a group of mode LoadBalanced among those that are waited for: it has an owner as
// long as a node is to have the group, and every node that is to take it offline is unproven.
func outstanding(a model.Assignment, members []model.GroupMember) model.Assignment {
	a.Unproven = slices.Clone(a.Unproven)
	for i := range members {
		m := &members[i]
		if !m.Withdrawn {
			a.Node = m.Node
		}
		a.Unproven = append(a.Unproven, m.Owner())
		if m.Time.After(a.Time) {
			a.Time = m.Time
		}
	}
	return a
}

// runsAnywhere says that a node of the view still has something of the group.
func (r *Round) runsAnywhere(g *model.Group) bool {
	for _, report := range g.Reports {
		generation, member := r.Snapshot.View.Generation(report.ID)
		if report.Running > 0 && member && generation == report.Generation {
			return true
		}
	}
	return false
}

// departure is when every earlier owner of a withdrawn group counts as stopped: at once if none is unproven, never while one of them
// is in the view, and else when the time that a lost node may go on has passed.
func (r *Round) departure(a model.Assignment) time.Time {
	if len(a.Unproven) == 0 {
		return time.Time{}
	}
	view := r.Snapshot.View
	if view == nil {
		return r.Now.Add(time.Hour)
	}
	for _, o := range a.Unproven {
		if generation, member := view.Generation(o.ID); member && generation == o.Generation {
			return r.Now.Add(time.Hour) // its report, or a new view, brings the next round
		}
	}
	since := a.Time
	if view.Installed.After(since) {
		since = view.Installed
	}
	timeout := time.Second
	if fence := r.Objects.Cluster.Spec.SelfFence.Timeout; fence != nil {
		timeout = fence.Duration
	}
	return since.Add(timeout + departureMargin)
}

// nextDeparture is the earliest time at which a deletion that waits for a lost owner can go on; zero for none.
func (r *Round) nextDeparture() time.Time {
	var next time.Time
	if r.abandoned() {
		return next
	}
	for i, g := range r.Objects.Groups {
		a, members := r.Snapshot.Groups[i].Assignment, r.Snapshot.Groups[i].Members
		if d := r.Decision(snapshot.Key(g)); d != nil {
			a = d.Assignment
			if d.Kind == policy.Balance {
				members = d.Members
			}
		}
		a = outstanding(a, members)
		if g.DeletionTimestamp == nil || !a.Withdrawn() {
			continue
		}
		if at := r.departure(a); at.After(r.Now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
