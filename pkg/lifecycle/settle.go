package lifecycle

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// settle does all that can be done now, and works out when to look again.
func (m *Machine) settle() {
	m.wake = forever
	for _, r := range m.resources {
		m.timeouts(r)
		m.retryFailed(r)
	}
	for range 4 * (len(m.resources) + 1) {
		m.evaluateAll()
		if !slices.ContainsFunc(m.resources, m.advance) {
			break
		}
	}
	m.resources = slices.DeleteFunc(m.resources, func(r *resource) bool {
		return !r.inSpec && r.gone() && len(r.zombies) == 0
	})
	m.evaluateAll()
	m.account()
	m.release()
	for _, r := range m.resources {
		m.show(r)
	}
	m.plan()
}

// at makes the machine wake up at the time.
func (m *Machine) at(t time.Duration) {
	if t > m.now {
		m.wake = min(m.wake, t)
	}
}

// emit asks for an op and returns its serial.
func (m *Machine) emit(op Op, r *resource) uint64 {
	m.serial++
	m.actions = append(m.actions, Action{Op: op, UID: r.spec.UID, Serial: m.serial})
	return m.serial
}

func (m *Machine) launch(op Op, r *resource) {
	r.op = &flight{op: op, epoch: m.epoch(), started: m.now, progress: m.now}
	r.op.serial = m.emit(op, r)
	r.retryAt = 0
	if op == OpReserve || op == OpOnline {
		r.denied = false
	}
}

// cancel asks for an op's end; it is waited for a little, see timeouts.
func (m *Machine) cancel(r *resource) {
	if r.op == nil || r.op.cancelled {
		return
	}
	r.op.cancelled, r.op.cancelledAt = true, m.now
	m.actions = append(m.actions, Action{Op: OpCancel, UID: r.spec.UID, Serial: r.op.serial})
}

func (m *Machine) unwatch(r *resource) {
	if r.watch != 0 {
		m.actions = append(m.actions, Action{Op: OpUnwatch, UID: r.spec.UID, Serial: r.watch})
		r.watch, r.note = 0, ""
	}
}

// frozen is maintenance, which never delays a withdrawal or the loss of quorum.
func (m *Machine) frozen() bool { return m.saved.Desired.Frozen && m.running() }

// advance does the next thing about one resource and reports whether it changed anything.
func (m *Machine) advance(r *resource) bool {
	if r.op != nil {
		return m.reconsider(r)
	}
	switch r.Phase {
	case PhaseAdopting:
		m.launch(OpAdopt, r)
		return true
	case PhaseIdle:
		return !m.frozen() && m.start(r)
	case PhaseOnline:
		return m.tend(r)
	case PhaseDirty:
		if m.frozen() || m.now < r.retryAt || slices.ContainsFunc(r.zombies, func(f *flight) bool { return f.op == OpTerminate }) {
			return false
		}
		return m.terminate(r)
	case PhaseReserving, PhaseOnlining, PhaseOfflining, PhaseTerminating:
	}
	return false
}

// reconsider ends an op that is no longer wanted.
func (m *Machine) reconsider(r *resource) bool {
	if r.op.cancelled {
		return false
	}
	switch r.op.op {
	case OpReserve:
		if r.verdict.wants && !r.doomed {
			return false
		}
	case OpOnline:
		if r.verdict.keep {
			return false
		}
	case OpOffline:
		if !m.forced() {
			return false
		}
	case OpAdopt:
		if m.burn == nil {
			return false
		}
	case OpTerminate, OpCancel, OpWatch, OpUnwatch:
		return false
	}
	m.cancel(r)
	m.timeouts(r)
	return true
}

// forced says that the time to stop gracefully is over.
func (m *Machine) forced() bool { return m.burn != nil && m.now >= m.burn.Grace }

// start begins to bring an idle resource online.
func (m *Machine) start(r *resource) bool {
	r.doomed, r.urgent = false, false
	if !r.verdict.wants || m.now < r.RestartAt || m.now < r.retryAt || len(r.zombies) > 0 {
		return false
	}
	if r.spec.Kind == KindDisk && !m.reserved(r) {
		if m.nextDisk() != r {
			return false
		}
		r.LastStart = m.now
		r.Phase = PhaseReserving
		m.launch(OpReserve, r)
		return true
	}
	if !r.verdict.ready || !m.allReserved() {
		return false
	}
	if proven, _ := m.prove(r); !proven {
		return false
	}
	r.LastStart, r.RestartAt = m.now, 0
	r.Phase, r.Fingerprint, r.Stopping = PhaseOnlining, r.spec.Fingerprint, false
	m.launch(OpOnline, r)
	return true
}

// tend looks after a resource that is online.
func (m *Machine) tend(r *resource) bool {
	if m.frozen() {
		return m.watch(r)
	}
	if m.forced() && !r.doomed {
		r.doomed = true
		m.saved.Forced = true
		return true
	}
	if r.doomed {
		return m.terminate(r)
	}
	if !r.verdict.keep {
		if !m.usersDown(r) {
			return false
		}
		m.unwatch(r)
		r.Phase, r.Stopping = PhaseOfflining, true
		m.launch(OpOffline, r)
		return true
	}
	if r.spec.Kind == KindDisk && !m.reserved(r) && m.nextDisk() == r && m.now >= r.retryAt && len(r.zombies) == 0 {
		m.launch(OpReserve, r) // the epoch has risen while the disk is in use (O9)
		return true
	}
	return m.watch(r)
}

// watch begins the health checks, anew when their intervals, or what is taken over while it is online, have changed.
func (m *Machine) watch(r *resource) bool {
	if r.doomed || (r.watch != 0 && r.watchTiming == r.spec.Timing && r.watchTuning == r.spec.Tuning) {
		return false
	}
	m.unwatch(r)
	r.watch, r.watchTiming, r.watchTuning = m.emit(OpWatch, r), r.spec.Timing, r.spec.Tuning
	return true
}

// terminate kills a doomed resource once what uses it is down; at once when it is urgent or the time is up.
func (m *Machine) terminate(r *resource) bool {
	hard := m.burn != nil && m.now >= m.burn.Hard
	if !r.urgent && !hard && !m.usersDown(r) {
		return false
	}
	m.unwatch(r)
	r.Phase, r.again = PhaseTerminating, false
	m.launch(OpTerminate, r)
	return true
}

// release answers a withdrawal when nothing is left (rules O1, O10).
func (m *Machine) release() {
	d := m.saved.Desired
	if d.Run || m.burn != nil || d.Epoch <= m.saved.Released || !m.Down() {
		return
	}
	m.saved.Released, m.saved.ReleasedHow = d.Epoch, ReleasedGraceful
	if m.saved.Forced {
		m.saved.ReleasedHow = ReleasedForced
	}
	m.saved.Forced, m.saved.Stale, m.saved.Failover = false, false, nil
	for _, r := range m.resources {
		// A disk stays parked under the key of the old epoch (O15); it is no longer this machine's.
		state, since := r.State, r.Since
		r.SavedResource = SavedResource{State: state, Since: since}
		r.lost, r.doomed, r.urgent = false, false, false
	}
}

// account notes what has been proven and reached at this epoch.
func (m *Machine) account() {
	if !m.running() || m.epoch() == 0 {
		return
	}
	proven, online := true, true
	for _, r := range m.resources {
		if !r.inSpec {
			continue
		}
		ok, again := m.prove(r)
		if !ok {
			m.at(time.Duration(again))
		}
		proven = proven && ok
		online = online && (!r.spec.Online || r.Phase == PhaseOnline)
	}
	if len(m.resources) == 0 {
		proof, again := m.facts.Prove(KindProcess, Reservation{}, m.saved.Desired.Unproven, m.saved.Desired.View, m.now)
		proven = proof != ProofNone
		m.at(again)
	}
	if proven {
		m.proven = m.epoch()
		if m.saved.FencedAt == 0 {
			m.saved.FencedAt = m.now
		}
	}
	if online && proven && m.saved.OnlineAt == 0 {
		m.saved.OnlineAt = m.now
	}
}

// plan works out the times at which something is due.
func (m *Machine) plan() {
	if m.burn != nil {
		m.at(m.burn.Grace)
		m.at(m.burn.Hard)
	}
	for _, r := range m.resources {
		if r.op != nil {
			m.at(m.opDeadline(r))
		}
		if at, fences := m.fenceAt(r); fences {
			m.at(at)
		}
		m.at(r.RestartAt)
		m.at(r.retryAt)
		if r.Failed && r.spec.Timing.RetryPeriod > 0 && r.spec.Timing.Restart.Policy != RestartNever && m.running() {
			m.at(r.FailedAt + r.spec.Timing.RetryPeriod)
		}
	}
}

// opDeadline is when an op has lasted too long.
func (m *Machine) opDeadline(r *resource) time.Duration {
	switch {
	case r.op.cancelled && m.burn != nil:
		return min(r.op.cancelledAt+cancelGrace, m.burn.Grace)
	case r.op.cancelled:
		return r.op.cancelledAt + cancelGrace
	case r.op.op == OpTerminate:
		return r.op.started + terminateTimeout
	default:
		t := r.spec.Timing
		limit := r.op.progress + min(t.Pending, t.Deadlock)
		if m.burn != nil && r.op.op == OpOffline {
			limit = min(limit, max(m.burn.Grace, r.op.started))
		}
		return limit
	}
}

// state of the group as the resources show it.
func (m *Machine) state() model.GroupState {
	states := make([]model.ResourceState, 0, len(m.resources))
	for _, r := range m.resources {
		if r.inSpec {
			states = append(states, r.State)
		}
	}
	return model.AggregateGroupState(states)
}
