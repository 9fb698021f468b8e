package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// result takes the answer to an op.
func (m *Machine) result(in Result) {
	r := m.find(in.UID)
	if r == nil {
		return
	}
	m.found(in.Floor, in.Stale)
	if r.op == nil || r.op.serial != in.Serial {
		m.late(r, in)
		return
	}
	f := r.op
	r.op = nil
	switch f.op {
	case OpReserve:
		m.reserveDone(r, f, in)
	case OpOnline:
		m.onlineDone(r, f, in)
	case OpOffline:
		m.offlineDone(r, in)
	case OpTerminate:
		m.terminateDone(r, in)
	case OpAdopt:
		m.adoptDone(r, f, in)
	case OpCancel, OpWatch, OpUnwatch:
	}
}

// found notes an epoch that was found on a disk (O7). One that is equal to this assignment's and yet stale is another node's (O20): only
// an epoch above it helps, so it is told as the next one, which no other node can have.
func (m *Machine) found(epoch model.Epoch, stale bool) {
	if stale && epoch == m.epoch() && epoch < model.MaxEpoch {
		epoch++
	}
	m.saved.Floor = max(m.saved.Floor, epoch)
}

// late takes the answer to an op that was given up. A late Online may have brought back what was terminated in the meantime.
func (m *Machine) late(r *resource, in Result) {
	i := slices.IndexFunc(r.zombies, func(f *flight) bool { return f.serial == in.Serial })
	if i < 0 {
		return
	}
	op := r.zombies[i].op
	r.zombies = slices.Delete(r.zombies, i, i+1)
	if op != OpOnline {
		return
	}
	r.again = true
	if r.Phase == PhaseIdle {
		r.Phase, r.doomed = PhaseDirty, true
	}
}

func (m *Machine) reserveDone(r *resource, f *flight, in Result) {
	inUse := r.Phase != PhaseReserving
	if !inUse {
		r.Phase = PhaseIdle
	}
	switch {
	case in.Stale:
		m.saved.Stale = true
		r.FailReason, r.FailMessage = ReasonStale, in.Err
		m.loseDisk(r, inUse)
	case in.Denied:
		r.retryAt, r.denied = m.now+leaseRetry, true
	case in.Err != "" && f.cancelled && !inUse:
	case in.Err != "" && inUse:
		// To change the key of a disk in use is a REGISTER with the old key: its failure means fenced, and is not tried again (O17).
		m.loseDisk(r, true)
		m.fail(r, ReasonReservationLost, in.Err)
	case in.Err != "":
		m.fail(r, ReasonReserveFailed, in.Err)
	default:
		proof := in.Reservation.Proof
		if inUse {
			// Holding on proves what the first acquisition proved, no more: it may have found the disk free (O19).
			proof = r.Reservation.Proof
		}
		r.Reserved, r.lost = f.epoch, false
		r.Reservation = Reservation{Enforced: in.Reservation.Enforced, Proof: proof}
	}
}

// loseDisk notes that the disk is not ours: it is shut down at once, and nothing of the group goes on without it.
func (m *Machine) loseDisk(r *resource, inUse bool) {
	r.lost, r.Reserved = true, 0
	if inUse {
		r.doomed, r.urgent = true, true
		if r.LostSince == 0 {
			r.LostSince = m.now
		}
	}
}

func (m *Machine) onlineDone(r *resource, f *flight, in Result) {
	if in.Err == "" && !f.cancelled {
		m.becomeOnline(r)
		return
	}
	r.Phase, r.doomed = PhaseDirty, true
	switch {
	case f.cancelled:
	case in.Denied:
		r.denied = true
		r.RestartAt = m.now + leaseRetry
	default:
		m.failOn(r, ReasonStartFailed, in.Err, in.Network)
	}
}

func (m *Machine) becomeOnline(r *resource) {
	r.Phase = PhaseOnline
	r.OnlineSince = m.now
	r.FailReason, r.FailMessage, r.RestartAt = ReasonNone, "", 0
}

func (m *Machine) offlineDone(r *resource, in Result) {
	if in.Err == "" {
		m.becomeIdle(r)
		return
	}
	m.escalate(r, in.Err)
}

// escalate follows a stop that failed or lasted too long (rule O10).
func (m *Machine) escalate(r *resource, message string) {
	m.saved.Forced = true
	r.Phase, r.doomed = PhaseDirty, true
	r.FailReason, r.FailMessage = ReasonPendingTimeout, message
}

func (m *Machine) becomeIdle(r *resource) {
	r.Phase, r.OnlineSince, r.Stopping, r.Fingerprint = PhaseIdle, 0, false, ""
	r.doomed, r.urgent, r.stuck = false, false, ""
	r.LostSince, r.StuckSince = 0, 0
}

// cannotBeStopped notes that an attempt to take the resource away by force has failed.
func (m *Machine) cannotBeStopped(r *resource, why string) {
	m.saved.Forced = true
	r.stuck = why
	if r.StuckSince == 0 {
		r.StuckSince = m.now
	}
	r.retryAt = m.now + m.terminatePause()
}

func (m *Machine) terminateDone(r *resource, in Result) {
	if in.Err == "" && !r.again {
		m.becomeIdle(r)
		return
	}
	r.Phase, r.doomed = PhaseDirty, true
	if in.Err != "" {
		m.cannotBeStopped(r, in.Err)
	}
}

func (m *Machine) adoptDone(r *resource, f *flight, in Result) {
	switch {
	case in.Err == "" && r.OnlineSince != 0:
		r.Phase = PhaseOnline
	case in.Err == "":
		m.becomeOnline(r)
	case r.OnlineSince == 0, f.cancelled:
		// It had only begun to start: nothing has failed, it begins again.
		r.Phase, r.doomed = PhaseDirty, true
	default:
		r.Phase, r.doomed = PhaseDirty, true
		m.fail(r, ReasonNotAdopted, in.Err)
	}
}

// unhealthy takes the word of the health checks.
func (m *Machine) unhealthy(in Unhealthy) {
	r := m.find(in.UID)
	if r == nil || r.watch == 0 || r.watch != in.Serial || r.Phase != PhaseOnline {
		return
	}
	m.found(in.Floor, in.Stale)
	m.unwatch(r)
	if in.Stale {
		m.saved.Stale = true
	}
	if in.Stale || in.Reason == ReasonReservationLost {
		m.loseDisk(r, true)
	}
	r.doomed = true
	m.failOn(r, in.Reason, in.Message, in.Network)
}

// fail counts a failure that no network has a part in.
func (m *Machine) fail(r *resource, reason Reason, message string) { m.failOn(r, reason, message, "") }

// failOn counts a failure of the resource and decides what comes of it (A09 to A12). What stops anyway has not failed. A network that the
// host has lost is the reason before any other: with it the resource would not have failed.
func (m *Machine) failOn(r *resource, reason Reason, message, network string) {
	if network != "" {
		reason = ReasonNetworkLost
	}
	r.FailReason, r.FailMessage = reason, message
	if !m.running() || !r.inSpec || r.Stopping {
		return
	}
	policy := r.spec.Timing.Restart
	var again bool
	if r.Restarts, again = policy.InPlace(r.Restarts, m.now); again {
		r.RestartAt = max(m.now, r.LastStart+policy.Delay)
		return
	}
	r.Failed, r.FailedAt = true, m.now
	if policy.Policy == RestartAlways && m.saved.Failover == nil {
		m.saved.Failover = &FailoverWanted{
			Resource: r.spec.Name, Epoch: m.epoch(), At: m.now, Network: network,
			Message: fmt.Sprintf("%s: %s (%d restarts within %s)", reason, message, len(r.Restarts), policy.Period),
		}
	}
}

// InPlace says whether a resource that fails now is restarted where it is (A11). It returns the restarts that still count, this one
// among them, in a new slice: the old one may be in somebody's SavedResource.
func (r Restart) InPlace(restarts []time.Duration, now time.Duration) ([]time.Duration, bool) {
	recent := slices.DeleteFunc(slices.Clone(restarts), func(at time.Duration) bool { return now-at >= r.Period })
	if r.Policy == RestartNever || len(recent) >= r.Threshold {
		return recent, false
	}
	return append(recent, now), true
}

// retryFailed begins the cycle of restarts again, RetryPeriod after the resource was given up (A16).
func (m *Machine) retryFailed(r *resource) {
	t := r.spec.Timing
	if !r.Failed || t.RetryPeriod <= 0 || t.Restart.Policy == RestartNever || m.now < r.FailedAt+t.RetryPeriod {
		return
	}
	r.Failed, r.Restarts = false, nil
	m.clearFailover(r)
}

// timeouts gives up an op that has lasted too long: it is cancelled and, if it is in the way, worked around.
func (m *Machine) timeouts(r *resource) {
	if r.op == nil || m.now < m.opDeadline(r) {
		return
	}
	f, given := r.op, r.op.cancelled
	m.cancel(r)
	r.op, r.zombies = nil, append(r.zombies, f)
	late := fmt.Sprintf("%s: no progress for %s", f.op, m.now-f.progress)
	if f.message != "" {
		late += ", last: " + f.message
	}
	switch f.op {
	case OpReserve:
		if r.Phase != PhaseReserving {
			m.loseDisk(r, true)
		} else {
			r.Phase = PhaseIdle
		}
	case OpOnline, OpAdopt:
		r.Phase, r.doomed = PhaseDirty, true
	case OpOffline:
		m.escalate(r, late)
	case OpTerminate:
		r.Phase, r.doomed = PhaseDirty, true
		m.cannotBeStopped(r, late)
	case OpCancel, OpWatch, OpUnwatch:
	}
	if !given && f.op != OpOffline && f.op != OpTerminate {
		m.fail(r, ReasonPendingTimeout, late)
	}
}

func (m *Machine) terminatePause() time.Duration {
	if m.burn != nil {
		return burnRetry
	}
	return terminateRetry
}
