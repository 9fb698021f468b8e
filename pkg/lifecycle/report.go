package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/pkg/model"
)

// show works out the state that the world sees of a resource.
func (m *Machine) show(r *resource) {
	state, reason, message := m.shown(r)
	r.reason, r.message = reason, message
	if r.State != state {
		r.State, r.Since = state, m.now
	}
}

func (m *Machine) shown(r *resource) (model.ResourceState, Reason, string) {
	if r.op != nil && r.op.message != "" && r.Phase != PhaseOnline {
		state, reason, _ := m.shownQuiet(r)
		return state, reason, r.op.message
	}
	return m.shownQuiet(r)
}

func (m *Machine) shownQuiet(r *resource) (model.ResourceState, Reason, string) {
	switch r.Phase {
	case PhaseAdopting:
		if r.OnlineSince != 0 {
			return model.ResourceOnline, ReasonNone, ""
		}
		return model.ResourceOnlinePending, ReasonStarting, ""
	case PhaseReserving:
		return model.ResourceOnlinePending, ReasonReserving, ""
	case PhaseOnlining:
		return model.ResourceOnlinePending, ReasonStarting, ""
	case PhaseOfflining:
		return model.ResourceOfflinePending, ReasonStopping, ""
	case PhaseTerminating, PhaseDirty:
		return m.shownBroken(r)
	case PhaseOnline:
		switch {
		case r.doomed:
			return m.shownBroken(r)
		case !r.verdict.keep && !m.frozen():
			return model.ResourceOfflinePending, ReasonStopping, ""
		default:
			return model.ResourceOnline, ReasonNone, r.note
		}
	case PhaseIdle:
	}
	return m.shownIdle(r)
}

// shownBroken is a resource that is being killed, or is waiting for it.
func (m *Machine) shownBroken(r *resource) (model.ResourceState, Reason, string) {
	switch {
	case r.stuck != "":
		return model.ResourceFailed, ReasonStuck, r.stuck
	case r.Failed && m.running():
		return model.ResourceFailed, r.FailReason, r.FailMessage
	case m.frozen():
		return model.ResourceFailed, ReasonFrozen, fmt.Sprintf("%s: %s; nothing is done about it during maintenance", r.FailReason, r.FailMessage)
	case r.verdict.wants:
		return model.ResourceOnlinePending, ReasonRestarting, r.FailMessage
	default:
		return model.ResourceOfflinePending, ReasonTerminating, r.FailMessage
	}
}

func (m *Machine) shownIdle(r *resource) (model.ResourceState, Reason, string) {
	switch {
	case m.saved.Stale && r.FailReason == ReasonStale:
		return model.ResourceOffline, ReasonStale, r.FailMessage
	case m.saved.Stale && m.saved.Desired.Run:
		return model.ResourceOffline, ReasonStale, "a disk of the group carries a higher epoch than this node's assignment"
	case !m.running() || !r.inSpec || !r.spec.Online:
		return model.ResourceOffline, ReasonNotWanted, ""
	case r.Failed:
		return model.ResourceFailed, r.FailReason, r.FailMessage
	case !r.verdict.wants:
		reason, message := m.unmet(r)
		return model.ResourceOffline, reason, message
	}
	reason, message := m.waitsFor(r)
	return model.ResourceOnlinePending, reason, message
}

// unmet says which dependency keeps the resource offline.
func (m *Machine) unmet(r *resource) (Reason, string) {
	for _, d := range r.spec.DependsOn {
		found, wanted := false, false
		for _, name := range d.AnyOf {
			if o := m.named(name); o != nil {
				found, wanted = true, wanted || o.verdict.wants
			}
		}
		if !found {
			return ReasonMissingDependency, fmt.Sprintf("it depends on %s, which the group does not have", strings.Join(d.AnyOf, " or "))
		}
		if !wanted {
			return ReasonDependencyDown, fmt.Sprintf("it depends on %s, which stays offline", strings.Join(d.AnyOf, " or "))
		}
	}
	return ReasonNotWanted, ""
}

// waitsFor says what an idle resource that is wanted waits for.
func (m *Machine) waitsFor(r *resource) (Reason, string) {
	if m.now < r.RestartAt && r.FailReason != ReasonNone {
		return ReasonRestarting, r.FailMessage
	}
	if r.denied {
		return ReasonWaitingForLease, "this node's lease does not allow a start now"
	}
	if m.frozen() {
		return ReasonFrozen, "nothing is started during maintenance"
	}
	if disk := m.nextDisk(); disk != nil && disk != r {
		return ReasonWaitingForDisks, "waits until disk " + disk.spec.Name + " is reserved"
	}
	if !r.verdict.ready {
		for _, d := range r.spec.DependsOn {
			if !slices.ContainsFunc(d.AnyOf, func(name string) bool {
				o := m.named(name)
				return o != nil && o.Phase == PhaseOnline && o.verdict.keep
			}) {
				return ReasonWaitingForDep, "waits for " + strings.Join(d.AnyOf, " or ")
			}
		}
	}
	if r.ProofEpoch != m.epoch() {
		owners := make([]string, 0, len(m.saved.Desired.Unproven))
		for _, o := range m.saved.Desired.Unproven {
			owners = append(owners, o.Node)
		}
		return ReasonWaitingForProof, "waits until it is certain that it has stopped on " + strings.Join(owners, ", ")
	}
	if len(r.zombies) > 0 {
		return ReasonStuck, "an earlier " + string(r.zombies[0].op) + " has not returned"
	}
	return ReasonStarting, ""
}

// Report tells the state of the group.
func (m *Machine) Report() Report {
	report := Report{
		Released: m.saved.Released, ReleasedHow: m.saved.ReleasedHow, Floor: m.saved.Floor, State: m.state(),
	}
	if m.saved.Desired.Run && m.burn == nil || !m.Down() {
		report.Running = m.saved.RunEpoch
	}
	if m.saved.Desired.Run {
		report.Failover = m.saved.Failover
		m.reportPhases(&report)
	}
	for _, r := range m.resources {
		if r.ProofEpoch == m.epoch() && r.Proof != ProofNone && r.inSpec {
			report.Proofs = append(report.Proofs, Proof{Resource: r.spec.Name, Type: r.Proof})
		}
		m.reportStuck(&report, r)
		report.Resources = append(report.Resources, ResourceReport{
			UID: r.spec.UID, Name: r.spec.Name, State: r.State, Reason: r.reason, Message: r.message,
			Restarts: len(r.Restarts), Since: r.Since, OnlineSince: r.OnlineSince,
			Device: r.spec.Device, Reserved: r.Reserved > 0, Enforced: r.Reservation.Enforced,
		})
	}
	return report
}

func (m *Machine) reportPhases(report *Report) {
	if m.proven == m.epoch() {
		report.Proven = m.proven
	}
	if m.saved.FencedAt > 0 {
		report.Fenced, report.Fence = true, m.saved.FencedAt-m.saved.AppliedAt
	}
	if m.saved.OnlineAt > 0 {
		report.AllOnline, report.Online = true, m.saved.OnlineAt-m.saved.FencedAt
	}
}
