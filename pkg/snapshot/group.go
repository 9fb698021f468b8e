package snapshot

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Defaults of a group's and a resource's spec, for objects that were made before the CRD had them.
const (
	defaultPriority          = 2000
	defaultFailoverThreshold = 6
	defaultFailoverPeriod    = 10 * time.Hour
	defaultRetryPeriod       = time.Hour
)

// groupOf translates one group. resources are the group's own; reports are what agents say of it.
func groupOf(g *v1alpha1.ResourceGroup, resources []*v1alpha1.Resource, reports []model.OwnerReport, facts *facts) model.Group {
	spec, status := &g.Spec, &g.Status
	group := model.Group{
		Key:                 Key(g),
		UID:                 string(g.UID),
		Mode:                model.Mode(spec.Mode),
		DesiredOnline:       spec.DesiredState != v1alpha1.DesiredOffline,
		Deleting:            g.DeletionTimestamp != nil,
		Invalid:             facts.invalid[Key(g)],
		PreferredOwners:     spec.PreferredOwners,
		PossibleOwners:      PossibleOwners(resources),
		OwnerLists:          ownerLists(resources),
		AntiAffinityClasses: spec.AntiAffinityClasses,
		Priority:            priorityOf(g),
		FailoverThreshold:   intOr(spec.Failover.Threshold, defaultFailoverThreshold),
		FailoverPeriod:      durationOr(spec.Failover.Period, defaultFailoverPeriod),
		Failback:            failbackOf(&spec.Failback),
		Requests:            amounts(spec.Requests),
		Maintenance:         spec.Maintenance,
		Disks:               disksOf(resources),
		Images:              imagesOf(resources),
		ResourceCount:       len(resources),
		NeedsFencing:        needsFencing(resources, facts.advisory),
		RetryPeriod:         retryPeriod(resources),
		State:               GroupState(g, resources, reports, facts.view),
		Assignment:          Assignment(status.Assignment),
		Members:             MembersNow(g, resources, reports, facts.view),
		EpochFloor:          epochFloor(status, resources),
		EpochElsewhere:      epochElsewhere(resources),
		DrainedFrom:         drainedFrom(status),
		Reports:             reports,
		Move:                MoveRequest(g),
		PlacedByOperator:    status.PlacedByOperator,
		FailedSince:         timeOf(status.FailedSince),
	}
	if group.Mode == "" {
		group.Mode = model.ModeFailover
	}
	for _, d := range spec.DependsOn {
		group.DependsOn = append(group.DependsOn, model.GroupKey{Namespace: g.Namespace, Name: d.Name})
	}
	for _, f := range status.Failures {
		group.Failures = append(group.Failures, model.Failure{
			Kind: model.FailureKind(f.Kind), Node: f.Node, Resource: f.Resource, Time: f.Time.Time,
		})
	}
	if status.PlacedByOperator && status.LastMove != nil {
		group.PlacedAt = timeOf(status.LastMove.Time)
	}
	return group
}

// epochFloor is the highest epoch of the group that its status and those of its resources know. Resources outlive a group that is
// deleted and made again, and no owner may speak of them at a lower epoch than the last did (S5).
func epochFloor(status *v1alpha1.ResourceGroupStatus, resources []*v1alpha1.Resource) model.Epoch {
	floor := epoch(status.EpochFloor)
	for _, r := range resources {
		floor = max(floor, epoch(r.Status.Epoch))
		for _, m := range r.Status.Members {
			floor = max(floor, epoch(m.Epoch))
		}
	}
	return floor
}

// epochElsewhere is the highest epoch at which other groups had resources that were moved to this one.
func epochElsewhere(resources []*v1alpha1.Resource) model.Epoch {
	var highest model.Epoch
	for _, r := range resources {
		if Moving(r) {
			highest = max(highest, epoch(r.Status.Epoch))
		}
	}
	return highest
}

// drainedFrom is the node that the group left for its present owner because it was drained.
func drainedFrom(status *v1alpha1.ResourceGroupStatus) string {
	a, last := status.Assignment, status.LastMove
	if a == nil || last == nil || a.Node == "" || a.Reason != string(model.ReasonDrain) || last.Epoch != a.Epoch {
		return ""
	}
	return last.From
}

func failbackOf(f *v1alpha1.Failback) model.Failback {
	out := model.Failback{Policy: model.FailbackPolicy(f.Policy), Delay: durationOr(f.Delay, 0)}
	if out.Policy == "" {
		out.Policy = model.FailbackNever
	}
	if f.Window == nil {
		return out
	}
	out.Start, out.HasStart = minutes(f.Window.Start)
	out.End, out.HasEnd = minutes(f.Window.End)
	if f.Window.TimeZone != "" {
		// An unknown zone is refused by validation; until it is corrected the window is taken as UTC.
		if location, err := time.LoadLocation(f.Window.TimeZone); err == nil {
			out.Location = location
		}
	}
	return out
}

// minutes reads HH:MM as minutes of the day.
func minutes(s string) (int, bool) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}

// retryPeriod is the shortest of the resources' periods; 0 when all say never.
func retryPeriod(resources []*v1alpha1.Resource) time.Duration {
	var shortest time.Duration
	for _, r := range resources {
		period := max(defaultRetryPeriod, durationOr(r.Spec.Restart.Period, 0))
		if r.Spec.RetryPeriodOnFailure != nil {
			period = r.Spec.RetryPeriodOnFailure.Duration
		}
		if period > 0 && (shortest == 0 || period < shortest) {
			shortest = period
		}
	}
	return shortest
}

func intOr(v *int32, otherwise int) int {
	if v == nil {
		return otherwise
	}
	return int(*v)
}

func durationOr(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.Duration
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
