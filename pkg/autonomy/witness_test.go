package autonomy

import (
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// shared is the witness: who holds it, and what it keeps.
type shared struct {
	holder model.NodeID
	state  *State
	// slow keeps entries from arriving, refused is why a journal cannot be written.
	slow    bool
	refused string
	waiting []Keep
	puts    int
}

// put writes what the holder asks for.
func (s *shared) put(w *world, id model.NodeID, k *Keep) {
	if k == nil {
		return
	}
	if s == nil || s.holder != id {
		w.t.Fatalf("node %d, which does not hold the witness, has something put on it", id)
	}
	s.puts++
	switch {
	case s.refused != "" && k.State.Pending:
		s.state = Unkept()
		w.machines[id].Kept(w.now, k.Serial, s.refused)
	case s.slow && len(k.State.Journal) > 0:
		s.waiting = append(s.waiting, *k)
	default:
		s.state = k.State
		w.machines[id].Kept(w.now, k.Serial, "")
	}
}

// take gives the witness to a node, which reads it.
func (w *world) take(id model.NodeID) {
	if w.witness == nil {
		w.witness = &shared{}
	}
	w.witness.holder = id
	w.machines[id].WitnessRead(w.now, w.witness.state, "")
	w.observe()
	w.carry()
}

// alone is a cluster of which only a has lived since the API server has gone: its view needs the witness. c has had the group.
func alone(t *testing.T, before func(w *world)) *world {
	t.Helper()
	w := newWorld(t, 3, 4)
	w.reach(true)
	w.pass(time.Second)
	w.reach(false)
	w.needed, w.witness = true, &shared{}
	if before != nil {
		before(w)
	}
	w.install(9, 1)
	w.take(1)
	w.pass(time.Second)
	return w
}

// TestWitnessIsAMember: what is decided by its vote is on it before it is obeyed, and the view that takes it next goes on from there.
func TestWitnessIsAMember(t *testing.T) {
	w := alone(t, nil)
	first := w.assignment(1)
	if first.Node != "a" || first.Epoch <= 4+epochJump {
		t.Fatalf("a: %s, assignment %+v", w.machines[1], first)
	}
	if s := w.witness.state; s == nil || !s.Pending || len(s.Journal) == 0 {
		t.Fatalf("on the witness is %+v", s)
	}
	w.reach(true)
	w.install(10, 2)
	if !w.machines[2].ObeysAPI() {
		t.Fatal("b obeys a journal before it has read one: the test shows nothing")
	}
	w.take(2)
	if w.machines[2].ObeysAPI() || !w.machines[2].Pending() {
		t.Errorf("b obeys the API server although the witness keeps a journal: %s", w.machines[2])
	}
	w.reach(false)
	w.pass(time.Second)
	second := w.assignment(2)
	if second.Node != "b" || second.Epoch <= first.Epoch+epochsEach || second.ViewID.Number != 10 {
		t.Errorf("b goes by %+v after %+v", second, first)
	}
	if len(second.Unproven) != 2 {
		t.Errorf("unproven %+v, want a and c", second.Unproven)
	}
	if first, last := w.disks[2].Journal[0], w.witness.state.Journal; first.ID.View.Number != 9 || last[len(last)-1].ID.View.Number != 10 {
		t.Errorf("b's journal begins with %s, the witness's ends with %s", first.ID, last[len(last)-1].ID)
	}
}

// TestNotObeyedBeforeTheWitnessHasIt: a write that is under way keeps everything back, whoever else has it on disk.
func TestNotObeyedBeforeTheWitnessHasIt(t *testing.T) {
	w := alone(t, func(w *world) { w.witness.slow = true })
	if a := w.assignment(1); a.Epoch != 4 || len(w.witness.waiting) == 0 {
		t.Fatalf("a goes by %+v with %d writes under way", a, len(w.witness.waiting))
	}
	w.witness.slow = false
	last := w.witness.waiting[len(w.witness.waiting)-1]
	w.witness.state = last.State
	w.machines[1].Kept(w.now, last.Serial, "")
	w.carry()
	if a := w.assignment(1); a.Epoch <= 4+epochJump {
		t.Errorf("a goes by %+v after the witness has it", a)
	}
}

// TestNothingIsDecidedOnABadWitness: neither on one whose content cannot be read nor on one that does not take what belongs there; with
// an API server in reach the session ends, and the witness keeps no journal.
func TestNothingIsDecidedOnABadWitness(t *testing.T) {
	cases := map[string]func(w *world){
		"unreadable": func(w *world) {
			w.install(9, 1)
			w.witness.holder = 1
			w.machines[1].WitnessRead(w.now, nil, "garbled")
		},
		"a holder before could not use": func(w *world) {
			w.witness.state = Unkept()
			w.install(9, 1)
			w.take(1)
		},
		"too small": func(w *world) {
			w.install(9, 1)
			w.witness.refused = "too large"
			w.take(1)
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3, 4)
			w.reach(true)
			w.pass(time.Second)
			w.reach(false)
			w.needed, w.witness = true, &shared{}
			spoil(w)
			w.pass(2 * time.Second)
			m := w.machines[1]
			if a := w.assignment(1); a.Epoch != 4 || !m.Pending() || m.WitnessTrouble() == "" {
				t.Fatalf("a: %s, %q, goes by %+v", m, m.WitnessTrouble(), a)
			}
			if want := name != "too small"; m.Lost() != want {
				t.Errorf("lost: %t, want %t", m.Lost(), want)
			}
			w.reach(true)
			w.pass(3 * time.Second)
			if m.Pending() || !m.ObeysAPI() {
				t.Errorf("a, with the API server in reach: %s", m)
			}
			if s := w.witness.state; s == nil || s.Pending {
				t.Errorf("the witness keeps %+v", s)
			}
		})
	}
}

// TestWitnessIsClearedAndStale: when the API server has all, the witness keeps no journal. An old journal that a holder finds there
// later is written once more, and changes nothing.
func TestWitnessIsClearedAndStale(t *testing.T) {
	w := alone(t, nil)
	old := w.witness.state
	w.reach(true)
	w.acknowledge(1)
	if m := w.machines[1]; m.Pending() || w.witness.state.Pending {
		t.Fatalf("a: %s, on the witness %+v", m, w.witness.state)
	}
	w.witness.state = old
	w.install(10, 2)
	w.take(2)
	if w.machines[2].ObeysAPI() {
		t.Fatal("b does not look whether the API server has the journal")
	}
	w.pass(3 * time.Second)
	if m := w.machines[2]; m.Pending() || !m.ObeysAPI() || w.witness.state.Pending {
		t.Errorf("b: %s, on the witness %+v", m, w.witness.state)
	}
}

// TestReadInASession: what a member reads in the middle of a session stays on the witness, and is its own in the next view.
func TestReadInASession(t *testing.T) {
	other := alone(t, nil).witness.state
	w := lose(t)
	before := w.machines[1].String()
	w.witness = &shared{state: other}
	w.take(1)
	w.pass(time.Second)
	if after := w.machines[1].String(); after != before {
		t.Errorf("a was %s and is %s", before, after)
	}
	if s := w.witness.state; len(s.Journal) != len(other.Journal)+len(w.disks[1].Journal) {
		t.Errorf("the witness keeps %d entries, want both journals", len(s.Journal))
	}
	w.install(11, 1, 3)
	if len(w.disks[1].Journal) != 0 { // what is on disk comes with the next step
		w.carry()
	}
	if got := len(w.disks[1].Journal); got != len(w.witness.state.Journal) {
		t.Errorf("a has %d entries in the next view, want %d", got, len(w.witness.state.Journal))
	}
}

// TestNoSecondWait: while a node takes the witness it is in no view; if nobody has reached the API server before, it does not wait again
// (J1). One that has been without a view for long does.
func TestNoSecondWait(t *testing.T) {
	for gap, want := range map[time.Duration]bool{500 * time.Millisecond: true, 3 * time.Second: false} {
		w := newWorld(t, 3, 4)
		w.reach(true)
		w.pass(time.Second)
		w.reach(false)
		w.pass(time.Second)
		w.needed, w.witness = true, &shared{}
		w.install(9)
		w.pass(gap)
		w.install(10, 1)
		w.take(1)
		w.pass(DefaultWait / 2)
		if decided := w.assignment(1).Epoch > 4; decided != want {
			t.Errorf("after %s without a view it has decided at once: %t, want %t", gap, decided, want)
		}
	}
}

// TestWitnessOfEnoughNodes: a view that needs no witness decides without waiting for it, and has it keep the journal.
func TestWitnessOfEnoughNodes(t *testing.T) {
	w := newWorld(t, 3, 4)
	w.reach(true)
	w.pass(time.Second)
	w.reach(false)
	w.witness = &shared{slow: true}
	w.take(2)
	w.install(9, 1, 2)
	w.pass(time.Second)
	if a := w.assignment(1); a.Node == "c" || a.Epoch <= 4+epochJump {
		t.Errorf("a goes by %+v", a)
	}
	if len(w.witness.waiting) == 0 {
		t.Error("nothing is put on the witness")
	}
}

// acknowledge is the leading manager's word for all that a node has, given while time passes.
func (w *world) acknowledge(id model.NodeID) {
	w.t.Helper()
	w.pass(time.Second)
	journal := w.machines[id].Journal()
	if len(journal) == 0 {
		w.t.Fatalf("node %d has nothing to write: %s", id, w.machines[id])
	}
	w.written(journal)
	w.pass(3 * time.Second)
}
