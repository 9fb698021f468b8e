package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

const (
	// cancelGrace is how long a cancelled op may take to return before the resource is terminated beside it.
	cancelGrace = 2 * time.Second
	// terminateTimeout bounds one Terminate, terminateRetry is how long after a failed one the next comes.
	terminateTimeout = 10 * time.Second
	terminateRetry   = time.Second
	burnRetry        = 50 * time.Millisecond
	// leaseRetry is how soon a start that the lease denied is tried again.
	leaseRetry = 50 * time.Millisecond
)

// Machine is one group on this node. It is not safe for concurrent use.
type Machine struct {
	saved     SavedGroup
	facts     Facts
	burn      *Burn
	resources []*resource // in the order of the spec, then those that are being removed
	serial    uint64
	actions   []Action
	now       time.Duration
	wake      time.Duration
	proven    model.Epoch
}

// verdict is what one look at a resource has found; see evaluate.
type verdict struct {
	known bool
	// wants: it should be online, as far as the specs and past failures tell. keep: in addition what it needs is there now, so
	// that it may stay online. ready: what it needs is there for certain, so that it may be started.
	wants, keep, ready bool
}

// flight is an op that was asked for and has not been answered.
type flight struct {
	op       Op
	serial   uint64
	epoch    model.Epoch
	started  time.Duration
	progress time.Duration
	message  string
	// cancelled says that its cancellation was asked for, at cancelledAt.
	cancelled   bool
	cancelledAt time.Duration
}

// resource is one resource with its spec and its state.
type resource struct {
	SavedResource
	spec   Resource
	inSpec bool
	// op is the op that the phase waits for; zombies were cancelled and have not returned.
	op      *flight
	zombies []*flight
	// watch is the serial of the health checks under way, 0 when there are none.
	watch       uint64
	watchTiming Timing
	watchTuning string
	// note is for operators, as long as the resource is online.
	note string
	// doomed says that it is to be terminated as soon as what uses it is down, or at once when urgent.
	doomed, urgent bool
	// lost says that the reservation was lost: nothing of the group may go on until it is acquired again (rule O12).
	lost bool
	// retryAt is when a Terminate that failed, or a start that the lease denied, is tried again.
	retryAt time.Duration
	denied  bool
	// again says that a late op may have brought something back: one more Terminate is due.
	again bool
	// stuck is why the last Terminate failed; empty when it did not.
	stuck   string
	verdict verdict
	reason  Reason
	message string
}

// New returns the machine of a group of which nothing is on this node. The floor is the highest epoch of the group ever seen here.
func New(floor model.Epoch) *Machine {
	return &Machine{saved: SavedGroup{Floor: floor}}
}

// Restore returns the machine as an earlier agent of the same generation left it. What was online or coming online is looked at
// with OpAdopt at the first Step; what was being stopped goes on being stopped.
func Restore(group SavedGroup, resources map[string]SavedResource) *Machine {
	m := &Machine{saved: group}
	m.saved.Removed = nil
	if cycle(group.Desired.Resources) != nil {
		// It was refused when it came, so this is a garbled record: better to stop in any order than never.
		for i := range m.saved.Desired.Resources {
			m.saved.Desired.Resources[i].DependsOn = nil
		}
	}
	for _, spec := range m.saved.Desired.Resources {
		m.resources = append(m.resources, &resource{spec: spec, inSpec: true})
	}
	for _, spec := range group.Removed {
		m.resources = append(m.resources, &resource{spec: spec})
	}
	for _, uid := range slices.Sorted(maps.Keys(resources)) {
		saved := resources[uid]
		r := m.find(uid)
		if r == nil {
			// The group's record does not name it: the agent died between the two writes.
			r = &resource{spec: Resource{UID: uid, Name: uid, Kind: KindProcess, Timing: Timing{}.WithDefaults()}}
			m.resources = append(m.resources, r)
		}
		r.restore(saved)
	}
	return m
}

func (r *resource) restore(saved SavedResource) {
	r.SavedResource = saved
	switch saved.Phase {
	case PhaseReserving:
		r.Phase = PhaseIdle
	case PhaseOnlining, PhaseOnline:
		r.Phase = PhaseAdopting
	case PhaseOfflining:
		// The stop goes on from the beginning: Offline of what is half offline is no error.
		r.Phase, r.Stopping = PhaseOnline, true
	case PhaseTerminating, PhaseDirty:
		r.Phase, r.doomed = PhaseDirty, true
	case PhaseIdle, PhaseAdopting:
	}
}

func (m *Machine) find(uid string) *resource {
	for _, r := range m.resources {
		if r.spec.UID == uid {
			return r
		}
	}
	return nil
}

func (m *Machine) named(name string) *resource {
	for _, r := range m.resources {
		if r.inSpec && r.spec.Name == name {
			return r
		}
	}
	return nil
}

// RefusedError says why an assignment is not obeyed.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }

// Refuses returns why the machine would not obey the assignment, or nil. Only a higher epoch changes who runs the group (rule O6),
// and what was withdrawn once never runs again at that epoch (rule O10).
func (m *Machine) Refuses(d Desired) error {
	current := m.saved.Desired
	switch {
	case m.burn != nil:
		return &RefusedError{"this generation has lost quorum: nothing of it runs again"}
	case d.Epoch < current.Epoch:
		return &RefusedError{fmt.Sprintf("epoch %d is older than epoch %d, which is known here", d.Epoch, current.Epoch)}
	case d.Run && (d.Epoch == 0 || d.Epoch > model.MaxEpoch):
		return &RefusedError{fmt.Sprintf("epoch %d cannot be (EpochExhausted past %d)", d.Epoch, model.MaxEpoch)}
	case d.Run && d.Epoch == current.Epoch && !current.Run:
		return &RefusedError{fmt.Sprintf("epoch %d was withdrawn from this node", d.Epoch)}
	case d.Run && d.Epoch < m.saved.Floor:
		return &RefusedError{fmt.Sprintf("epoch %d is below epoch %d, which was seen on this node or its disks", d.Epoch, m.saved.Floor)}
	}
	if d.Run {
		return cycle(d.Resources)
	}
	return nil
}

// cycle refuses resources whose dependencies never end: the machine would wait for ever without a word.
func cycle(resources []Resource) error {
	byName := map[string]Resource{}
	for _, r := range resources {
		byName[r.Name] = r
	}
	const visiting, done = 1, 2
	mark := map[string]int{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		switch mark[name] {
		case visiting:
			return &RefusedError{"the dependencies form a cycle: " + strings.Join(append(path, name), " -> ")}
		case done:
			return nil
		}
		mark[name] = visiting
		for _, d := range byName[name].DependsOn {
			for _, other := range d.AnyOf {
				if err := visit(other, append(path, name)); err != nil {
					return err
				}
			}
		}
		mark[name] = done
		return nil
	}
	for _, r := range resources {
		if err := visit(r.Name, nil); err != nil {
			return err
		}
	}
	return nil
}

// Step takes an input at the time now and returns what to do. Before any of the actions is carried out, Saved must be on disk.
func (m *Machine) Step(now time.Duration, in Input) []Action {
	m.now = max(now, m.now)
	m.actions = nil
	switch in := in.(type) {
	case Apply:
		m.apply(in.Desired)
	case Result:
		m.result(in)
	case Progress:
		if r := m.find(in.UID); r != nil && r.op != nil && r.op.serial == in.Serial {
			r.op.progress, r.op.message = m.now, in.Message
		}
	case Unhealthy:
		m.unhealthy(in)
	case Noted:
		m.noted(in)
	case Simulate:
		if r := m.find(in.UID); r != nil {
			m.unhealthy(Unhealthy{UID: in.UID, Serial: r.watch, Reason: ReasonSimulated, Message: in.Message})
		}
	case Facts:
		m.facts = in
	case Burn:
		m.burn = &in
	case Tick:
	}
	m.settle()
	return m.actions
}

// noted keeps what the health checks have to tell, as long as they are the present ones.
func (m *Machine) noted(in Noted) {
	if r := m.find(in.UID); r != nil && r.watch != 0 && r.watch == in.Serial {
		r.note = in.Message
	}
}

// Busy says that something is being done about the resource: it is being started, stopped or adopted.
func (m *Machine) Busy(uid string) bool {
	r := m.find(uid)
	return r != nil && r.op != nil
}

// apply takes over an assignment that Refuses has not refused; a refused one changes nothing.
func (m *Machine) apply(d Desired) {
	if m.Refuses(d) != nil {
		return
	}
	if d.Epoch > m.saved.Desired.Epoch {
		m.newEpoch(d)
	}
	m.saved.Floor = max(m.saved.Floor, d.Epoch)
	if !d.Run {
		// What is here is stopped as it was started: a withdrawal need not say how.
		m.saved.Desired.Run, m.saved.Desired.Epoch, m.saved.Desired.View = false, d.Epoch, d.View
		return
	}
	m.saved.RunEpoch = d.Epoch
	m.saved.Desired = d
	m.merge(d.Resources)
}

// newEpoch forgets what belongs to the old ownership: the restarts are counted anew (A13).
func (m *Machine) newEpoch(d Desired) {
	m.saved.Stale, m.saved.Failover = false, nil
	m.saved.AppliedAt, m.saved.FencedAt, m.saved.OnlineAt = m.now, 0, 0
	if !d.Run {
		return
	}
	m.saved.Forced = false
	for _, r := range m.resources {
		r.Restarts, r.Failed, r.FailedAt, r.RestartAt = nil, false, 0, 0
	}
}

func (m *Machine) merge(specs []Resource) {
	old := m.resources
	m.resources = nil
	for _, spec := range specs {
		i := slices.IndexFunc(old, func(r *resource) bool { return r.spec.UID == spec.UID })
		r := &resource{}
		if i >= 0 {
			r = old[i]
			old = slices.Delete(old, i, i+1)
		}
		if r.Failed && (r.spec.Fingerprint != spec.Fingerprint || r.spec.Tuning != spec.Tuning) {
			// Whoever repairs the spec of a failed resource wants it tried.
			r.Failed, r.Restarts = false, nil
			m.clearFailover(r)
		}
		if !spec.Online {
			r.Failed = false
			m.clearFailover(r)
		}
		r.spec, r.inSpec = spec, true
		m.resources = append(m.resources, r)
	}
	for _, r := range old {
		r.inSpec = false
		m.clearFailover(r)
		m.resources = append(m.resources, r)
	}
}

func (m *Machine) clearFailover(r *resource) {
	if f := m.saved.Failover; f != nil && f.Resource == r.spec.Name {
		m.saved.Failover = nil
	}
}

// Deadline is when the next Tick is due; false when nothing is waited for.
func (m *Machine) Deadline() (time.Duration, bool) { return m.wake, m.wake < forever }

// Saved returns what must be on disk before the actions of the last Step are carried out; resources by UID, without empty ones.
func (m *Machine) Saved() (SavedGroup, map[string]SavedResource) {
	resources := map[string]SavedResource{}
	for _, r := range m.resources {
		s := r.SavedResource
		switch {
		case s.Phase == PhaseAdopting && s.OnlineSince != 0:
			s.Phase = PhaseOnline // only looked at: for the record it is what it was
		case s.Phase == PhaseAdopting:
			s.Phase = PhaseOnlining
		case s.Phase == PhaseIdle && !r.gone():
			s.Phase = PhaseDirty // a start that was given up may yet happen: the record must outlive it
		}
		if !s.Empty() {
			resources[r.spec.UID] = s
		}
	}
	group := m.saved
	for _, r := range m.resources {
		if !r.inSpec && !r.Empty() {
			group.Removed = append(group.Removed, r.spec)
		}
	}
	return group, resources
}

// Epoch is the epoch for which the group runs here, or ran last.
func (m *Machine) Epoch() model.Epoch { return m.saved.RunEpoch }

// Down reports whether nothing of the group can be on this node.
func (m *Machine) Down() bool {
	return !slices.ContainsFunc(m.resources, func(r *resource) bool { return !r.gone() })
}

// gone reports whether nothing of the resource can be here, or come here by a start that is late. A late Reserve does not count: the
// next owner's higher epoch makes what it still does harmless (O20), and a hung disk must not keep its group here.
func (r *resource) gone() bool {
	return r.Phase == PhaseIdle && r.op == nil && !slices.ContainsFunc(r.zombies, func(f *flight) bool { return f.op == OpOnline })
}
