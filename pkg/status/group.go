package status

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// GroupFacts are all that a group's status is computed from.
type GroupFacts struct {
	Group *v1alpha1.ResourceGroup
	// Resources of the group.
	Resources []*v1alpha1.Resource
	// Model is the group as policy saw it.
	Model *model.Group
	// View is the view that decisions are made in; nil when there is none.
	View *model.View
	// Owner is the node that the group is assigned to after the decision; nil for none.
	Owner *v1alpha1.Node
	// PowerFencing says that another node can cut the owner's power.
	PowerFencing bool
	// Decision is nil when nothing was decided.
	Decision *policy.Decision
	Note     policy.GroupNote
	// Invalid is the finding that keeps the group from being started; nil when there is none.
	Invalid *validation.Finding
	// Warnings are what is odd about the spec without keeping it from being used.
	Warnings []validation.Finding
	Now      time.Time
}

// Group computes a group's status.
func Group(f *GroupFacts) *v1alpha1.ResourceGroupStatus {
	st := f.Group.Status.DeepCopy()
	if f.Decision != nil {
		applyDecision(st, f)
	}
	raiseFloor(st, f.Model.Reports)
	foldReport(st, f)
	st.ObservedGeneration = f.Group.Generation
	setState(st, f)
	if !f.Note.Candidates.None() {
		st.Candidates = candidates(f.Note.Candidates.All())
	}
	st.NextFailbackTime = second(f.Note.NextFailback)
	groupConditions(st, f)
	return st
}

// applyDecision makes the decision of policy part of the status: the assignment and everything that has to be written with it.
func applyDecision(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	d := f.Decision
	switch d.Kind {
	case policy.Assign, policy.Withdraw:
		recordFailover(st, f)
		recordMove(st, f)
		st.Assignment = snapshot.APIAssignment(d.Assignment)
	case policy.Settle:
		st.Assignment = snapshot.APIAssignment(d.Assignment)
	case policy.Balance:
		recordMove(st, f)
		st.Assignment, st.Members = snapshot.APIAssignment(d.Assignment), snapshot.APIMembers(d.Members)
	case policy.GiveUp, policy.Recover, policy.FinishMove:
		recordMove(st, f)
	}
	if d.ResetFailures {
		st.Failures = slices.DeleteFunc(st.Failures, func(g v1alpha1.GroupFailure) bool { return g.Kind == v1alpha1.FailureResourceFailed })
	}
	if d.Failure != nil {
		at := d.Failure.Time
		if at.IsZero() {
			at = f.Now
		}
		st.Failures = append(st.Failures, v1alpha1.GroupFailure{
			Kind: v1alpha1.FailureKind(d.Failure.Kind), Node: d.Failure.Node, Resource: d.Failure.Resource, Time: *second(at),
		})
		st.Failures = st.Failures[max(0, len(st.Failures)-v1alpha1.MaxGroupFailures):]
	}
	if d.FailedSince != nil {
		st.FailedSince = second(*d.FailedSince)
	}
	if d.Placed != nil {
		st.PlacedByOperator = d.Placed.ByOperator
	}
}

// raiseFloor keeps the highest epoch that anybody has reported above the assignment's own (rule O7), also for the time when who
// reported it is gone.
func raiseFloor(st *v1alpha1.ResourceGroupStatus, reports []model.OwnerReport) {
	known := max(st.EpochFloor, 0)
	if st.Assignment != nil {
		known = max(known, st.Assignment.Epoch)
	}
	for _, r := range reports {
		if e := int64(max(r.Running, r.Released, r.Floor)); e > known {
			known, st.EpochFloor = e, e
		}
	}
}

// setState sets state, owner and since when.
func setState(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	probe := *f.Group
	probe.Status = *st
	setMembers(st, f, &probe)
	state := v1alpha1.GroupState(snapshot.GroupState(&probe, f.Resources, f.Model.Reports, f.View))
	owner := ""
	if st.Assignment != nil {
		owner = st.Assignment.Node
	}
	if st.Since == nil || state != st.State || owner != st.Owner {
		st.Since = second(f.Now)
	}
	st.State, st.Owner = state, owner
}

func candidates(list []policy.Candidate) []v1alpha1.Candidate {
	out := make([]v1alpha1.Candidate, 0, len(list))
	for _, c := range list {
		candidate := v1alpha1.Candidate{Node: c.Node, Eligible: c.Eligible, Rank: int32(c.Rank), Message: bounded(c.Message)}
		for _, reason := range c.Reasons {
			candidate.Reasons = append(candidate.Reasons, string(reason))
		}
		out = append(out, candidate)
	}
	return out
}

// groupConditions sets every condition anew from the facts; none is ever read back.
func groupConditions(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	set := conditionSet{list: &st.Conditions, generation: f.Group.Generation, now: f.Now}
	switch {
	case f.Invalid != nil:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, invalidReason(f.Invalid), f.Invalid.Text())
	case len(f.Warnings) > 0:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, f.Warnings[0].Text())
	default:
		set.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the spec is usable")
	}
	online, reached := served(st, f)
	ready, reason, message := readiness(st, f, reached)
	set.set(v1alpha1.ConditionReady, ready, reason, message)
	if f.View == nil {
		set.set(v1alpha1.GroupConditionOnline, metav1.ConditionUnknown, v1alpha1.GroupReasonNoQuorum, "no quorate view of the cluster is reported")
	} else {
		set.set(v1alpha1.GroupConditionOnline, truth(online), string(st.State), stateSentence(st))
	}
	if f.Owner != nil {
		unsafe, why := unsafeFencing(f)
		set.set(v1alpha1.ConditionUnsafeFencing, truth(unsafe), fencingReason(unsafe), why)
	}
}

func invalidReason(found *validation.Finding) string {
	if found.Kind == validation.KindResource {
		return v1alpha1.GroupReasonResourceInvalid
	}
	return found.Reason
}

// served says whether clients are served (every resource that is wanted is online, and there is one), and whether every resource is
// as it is wanted.
func served(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) (online, reached bool) {
	if snapshot.Balanced(f.Group) {
		return membersServed(st, f)
	}
	if !wantedOnline(f.Group) {
		return st.State == v1alpha1.GroupOnline, st.State == v1alpha1.GroupOffline
	}
	wanted := 0
	reached = st.FailedSince == nil // a group that was given up is Failed until policy says otherwise
	for _, r := range f.Resources {
		mine := st.Assignment != nil && st.Owner != "" && r.Status.Epoch == st.Assignment.Epoch && r.Status.Node == st.Owner
		if r.Spec.DesiredState == v1alpha1.DesiredOffline {
			reached = reached && (!mine || r.Status.State == v1alpha1.ResourceOffline)
			continue
		}
		wanted++
		reached = reached && mine && r.Status.State == v1alpha1.ResourceOnline
	}
	return reached && wanted > 0, reached && len(f.Resources) > 0
}

func wantedOnline(g *v1alpha1.ResourceGroup) bool {
	return g.Spec.DesiredState != v1alpha1.DesiredOffline && g.DeletionTimestamp == nil
}

func readiness(st *v1alpha1.ResourceGroupStatus, f *GroupFacts, reached bool) (metav1.ConditionStatus, string, string) {
	switch {
	case f.Invalid != nil:
		return metav1.ConditionFalse, invalidReason(f.Invalid), f.Invalid.Text()
	case f.View == nil:
		return metav1.ConditionUnknown, v1alpha1.GroupReasonNoQuorum, "no quorate view of the cluster is reported"
	case f.Group.DeletionTimestamp != nil:
		return metav1.ConditionFalse, v1alpha1.GroupReasonDeleting, "the group goes offline before it is deleted"
	case reached && wantedOnline(f.Group):
		return metav1.ConditionTrue, v1alpha1.ReasonReady, stateSentence(st)
	case reached:
		return metav1.ConditionTrue, v1alpha1.GroupReasonDesiredOffline, "the group is offline, as it is wanted"
	case st.FailedSince != nil:
		return metav1.ConditionFalse, v1alpha1.GroupReasonFailoverThresholdExceeded, noteOr(f.Note.Message, "the group has failed over too often")
	case f.Note.Reason != "":
		return metav1.ConditionFalse, string(f.Note.Reason), f.Note.Message
	default:
		return metav1.ConditionFalse, string(st.State), stateSentence(st)
	}
}

func noteOr(message, otherwise string) string {
	if message != "" {
		return message
	}
	return otherwise
}

func stateSentence(st *v1alpha1.ResourceGroupStatus) string {
	switch {
	case len(st.Members) > 0:
		return membersSentence(st)
	case st.Owner == "":
		return string(st.State)
	}
	return string(st.State) + " on " + st.Owner
}

// unsafeFencing is rule O14: without an armed watchdog on the owner and power that can be cut, what neither an enforced disk nor the kernel's guard covers may
// go on after the owner is given up.
func unsafeFencing(f *GroupFacts) (unsafe bool, why string) {
	var guards v1alpha1.AgentGuards
	if agent := f.Owner.Status.Agent; agent != nil && agent.Guards != nil {
		guards = *agent.Guards
	}
	address := slices.ContainsFunc(f.Resources, func(r *v1alpha1.Resource) bool { return r.Spec.IPAddress != nil })
	disk := len(f.Model.Disks) > 0
	switch {
	case guards.Watchdog:
		return false, "an armed watchdog stops " + f.Owner.Name
	case f.PowerFencing:
		return false, "another node can cut the power of " + f.Owner.Name
	case f.Model.NeedsFencing:
		return true, "some resource has neither an enforced disk nor a guarded address, and " + f.Owner.Name +
			" has no armed watchdog: after a failure its self-fence deadline is the only proof"
	case address && !disk && !guards.Addresses:
		return true, "the kernel of " + f.Owner.Name + " does not guard addresses, and it has no armed watchdog"
	}
	return false, "an enforced disk or a guarded address proves the old owner harmless"
}

func fencingReason(unsafe bool) string {
	if unsafe {
		return v1alpha1.ReasonNotGuarded
	}
	return v1alpha1.ReasonSafe
}
