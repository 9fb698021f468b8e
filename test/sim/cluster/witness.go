package cluster

import (
	"time"

	"github.com/quorate/quorate/pkg/autonomy"
)

// keeping is nodeagent's copier, as far as a journal needs it: what the holder of the witness has put there.
type keeping struct {
	keep    *autonomy.Keep
	version uint64
	// telling says that the membership machine is to be told of a new version.
	telling bool
}

// viewInVersion and afterRead are nodeagent's: versions of a later view are higher than all of an earlier one, and those of a later holder
// than those of an earlier one.
const (
	viewInVersion = 24
	afterRead     = 1 << 12
)

// keepOnWitness has the next save carry a state.
func (a *agent) keepOnWitness(k *autonomy.Keep) {
	if k == nil {
		return
	}
	w := &a.keeping
	w.keep, w.version = k, max(a.st.View.ID.Number<<viewInVersion, w.version, a.st.Witness.State)+1
	a.tellState()
}

func (a *agent) tellState() {
	w := &a.keeping
	if w.telling || a.node.host.SetState(w.version) {
		return
	}
	w.telling = true
	a.after(2*time.Millisecond, func() { w.telling = false; a.tellState() })
}

// Keeps implements sim.Keeper.
func (h agentOf) Keeps() (version uint64, state any) {
	if a := h.n.agent; a != nil && a.keeping.keep != nil {
		return a.keeping.version, a.keeping.keep
	}
	return 0, nil
}

// Saved implements sim.Keeper.
func (h agentOf) Saved(version uint64) {
	a := h.n.agent
	if a == nil {
		return
	}
	a.whenRunning(func() {
		if k := a.keeping.keep; k != nil && version > 0 && version == a.keeping.version {
			a.node.c.count("kept", 1)
			a.drive(func(m *autonomy.Machine) { m.Kept(a.node.now(), k.Serial, "") })
		}
	})
}

// Loaded implements sim.Keeper: the load ends when the journal has taken over what it found, and heartbeats say so.
func (h agentOf) Loaded(version uint64, state any, done func()) {
	a := h.n.agent
	if a == nil {
		return
	}
	a.whenRunning(func() {
		a.keeping.keep, a.keeping.version = nil, max(version, a.keeping.version)+afterRead
		a.drive(func(m *autonomy.Machine) {
			var s *autonomy.State
			if k, ok := state.(*autonomy.Keep); ok {
				s = k.State
			}
			if s != nil && s.Pending && !m.Pending() {
				a.beforeJournal(m)
			}
			m.WitnessRead(a.node.now(), s, "")
		})
		a.loaded(done)
	})
}

func (a *agent) loaded(done func()) {
	if a.journal.said() {
		done()
		return
	}
	a.after(2*time.Millisecond, func() { a.loaded(done) })
}
