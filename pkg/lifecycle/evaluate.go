package lifecycle

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// running says that the group is to be here.
func (m *Machine) running() bool {
	return m.saved.Desired.Run && m.burn == nil && !m.saved.Stale
}

// epoch is the current assignment's.
func (m *Machine) epoch() model.Epoch { return m.saved.Desired.Epoch }

// evaluateAll gives each resource its verdict, from the states as they are now.
func (m *Machine) evaluateAll() {
	lost := slices.ContainsFunc(m.resources, func(r *resource) bool { return r.lost && r.inSpec && r.spec.Online })
	for _, r := range m.resources {
		r.verdict = verdict{}
	}
	for _, r := range m.resources {
		m.evaluate(r, lost)
	}
}

func (m *Machine) evaluate(r *resource, lost bool) verdict {
	if r.verdict.known {
		return r.verdict
	}
	v := verdict{known: true}
	v.wants = m.running() && r.inSpec && r.spec.Online && !r.Failed
	v.keep = !lost && m.sound(r)
	v.ready = true
	for _, dependency := range r.spec.DependsOn {
		d := m.evaluateDependency(dependency, lost)
		v.wants, v.keep, v.ready = v.wants && d.wants, v.keep && d.keep, v.ready && d.ready
	}
	v.keep = v.keep && v.wants
	v.ready = v.ready && v.keep
	r.verdict = v
	return v
}

// sound reports whether nothing is the matter with the resource itself.
func (m *Machine) sound(r *resource) bool {
	current := r.Phase == PhaseIdle || r.Phase == PhaseReserving || r.Fingerprint == r.spec.Fingerprint
	return current && !r.doomed && !r.Stopping && m.now >= r.RestartAt
}

// evaluateDependency is the verdict for a dependency: one of the resources that it names must do.
func (m *Machine) evaluateDependency(d Dependency, lost bool) verdict {
	var v verdict
	for _, name := range d.AnyOf {
		other := m.named(name)
		if other == nil {
			continue
		}
		o := m.evaluate(other, lost)
		online := other.Phase == PhaseOnline
		adopting := other.Phase == PhaseAdopting && other.OnlineSince != 0
		v.wants = v.wants || o.wants
		v.keep = v.keep || (o.keep && (online || adopting))
		v.ready = v.ready || (o.keep && online)
	}
	return v
}

// usersDown reports whether nothing that is still up needs the resource: it may be stopped.
func (m *Machine) usersDown(r *resource) bool {
	return !slices.ContainsFunc(m.resources, func(user *resource) bool {
		return user != r && user.Phase != PhaseIdle && user.Phase != PhaseReserving && m.needs(user, r)
	})
}

// needs reports whether user depends on r and has no other alternative that is up to stay.
func (m *Machine) needs(user, r *resource) bool {
	for _, dependency := range user.spec.DependsOn {
		if !slices.Contains(dependency.AnyOf, r.spec.Name) {
			continue
		}
		other := slices.ContainsFunc(dependency.AnyOf, func(name string) bool {
			o := m.named(name)
			return o != nil && o != r && o.Phase == PhaseOnline && o.verdict.keep
		})
		if !other {
			return true
		}
	}
	return false
}

// disks are the disks that the group must have reserved before anything of it starts, in their order (rule O12).
func (m *Machine) disks() []*resource {
	var disks []*resource
	for _, r := range m.resources {
		if r.inSpec && r.spec.Kind == KindDisk && r.spec.Online {
			disks = append(disks, r)
		}
	}
	slices.SortFunc(disks, func(a, b *resource) int {
		return cmp.Or(cmp.Compare(a.spec.Device, b.spec.Device), cmp.Compare(a.spec.UID, b.spec.UID))
	})
	return disks
}

// reserved reports whether the disk is held for the current epoch.
func (m *Machine) reserved(r *resource) bool {
	return r.Reserved == m.epoch() && !r.lost
}

func (m *Machine) allReserved() bool {
	return !enforced(RuleAllDisks) || !slices.ContainsFunc(m.disks(), func(r *resource) bool { return !m.reserved(r) })
}

// nextDisk returns the disk whose turn it is to be reserved.
func (m *Machine) nextDisk() *resource {
	for _, r := range m.disks() {
		if !m.reserved(r) {
			return r
		}
	}
	return nil
}

// prove gives the resource its proof for the current epoch if there is one by now, and returns when to ask again.
func (m *Machine) prove(r *resource) (proven bool, again int64) {
	epoch := m.epoch()
	if r.ProofEpoch == epoch {
		return true, 0
	}
	kind := r.spec.Kind
	if kind == KindDisk && r.spec.Online {
		if !m.reserved(r) {
			return false, int64(forever)
		}
	} else if m.protected(r) {
		r.Proof, r.ProofEpoch = ProofNone, epoch
		return true, 0
	}
	if kind == KindDisk && !r.spec.Online {
		kind = KindProcess // nobody holds it, so only time proves
	}
	proof, at := m.facts.Prove(kind, r.Reservation, m.saved.Desired.Unproven, m.saved.Desired.View, m.now)
	if proof == ProofNone {
		return false, int64(at)
	}
	r.Proof, r.ProofEpoch = proof, epoch
	return true, 0
}

// protected reports whether the resource uses a fenced disk or a guarded address of its group, so that its old instance, if it
// still runs, harms nobody (rule O13).
func (m *Machine) protected(r *resource) bool {
	if r.spec.Kind != KindProcess || r.spec.Exposed {
		return false
	}
	return slices.ContainsFunc(r.spec.DependsOn, func(d Dependency) bool {
		return len(d.AnyOf) > 0 && !slices.ContainsFunc(d.AnyOf, func(name string) bool {
			o := m.named(name)
			return o == nil || !m.protects(o)
		})
	})
}

func (m *Machine) protects(r *resource) bool {
	switch {
	case r.ProofEpoch != m.epoch():
		return m.protected(r)
	case r.spec.Kind == KindDisk:
		return r.Proof == ProofReservation
	case r.spec.Kind == KindAddress:
		return r.Proof == ProofAddressLease
	default:
		return r.Proof == ProofNone
	}
}
