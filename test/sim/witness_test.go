package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// witnessWait is W' with the default settings: three looks of 250 ms and the margin of R4.
const witnessWait = 3 * 250 * time.Millisecond * 103 / 100

// witnessWorld is a settled cluster that holds a witness.
func witnessWorld(t *testing.T, opts Options) *World {
	t.Helper()
	opts.Witness = true
	w := calmWorld(t, opts)
	return w
}

// lastWord is how long before it dies a node may have been heard for the last time: an interval of a slow clock, and a slow datagram.
const lastWord = 260 * time.Millisecond

// holder is the node that holds the witness, 0 if none does.
func (w *World) holder() model.NodeID {
	for _, h := range w.Hosts {
		if h.On() && h.Status().Witness.Holding {
			return h.id
		}
	}
	return 0
}

// split cuts all links between two hosts.
func (w *World) cutPair(a, b model.NodeID) {
	w.CutOneWay(a, b, -1)
	w.CutOneWay(b, a, -1)
}

// TestR8TwoNodesPowerCut: whichever of two nodes dies, the other goes on: when the holder dies, after a challenge that has stood all
// the time (R8c), without stopping what it runs; when the other dies, without a gap.
func TestR8TwoNodesPowerCut(t *testing.T) {
	for _, dies := range []string{"holder", "other"} {
		t.Run(dies, func(t *testing.T) {
			var worst time.Duration
			for seed := range uint64(40) {
				w := witnessWorld(t, Options{Seed: seed, Nodes: 2, Networks: 2, Drift: true})
				run(t, w, 3*time.Second+time.Duration(seed)*29*time.Millisecond)
				victim := w.holder()
				if dies == "other" {
					victim = 3 - victim
				}
				survivor := 3 - victim
				died := w.Now()
				w.Host(victim).PowerOff()
				// One look for the challenge to stand again, W', the next look; detection runs beside it.
				limit := promise + witnessWait + 250*time.Millisecond
				took := within(t, w, limit, "the survivor acts", func() bool { return w.actingIn([]model.NodeID{survivor}) })
				worst = max(worst, took)
				if lost := w.Host(survivor).lost; len(lost) != 1 || lost[0].ID != victim || lost[0].Silent > w.Now()-died+lastWord {
					t.Fatalf("seed %d: the view of the survivor has lost %v, silent for %v, %v after node %d died", seed, lost,
						lost[0].Silent, w.Now()-died, victim)
				}
				if g := w.Host(survivor).Status().Self.Generation; g != 1 {
					t.Fatalf("seed %d: the survivor has burnt its generation\n%s", seed, w.Describe())
				}
				within(t, w, time.Second, "a record without the dead", func() bool { return w.Host(survivor).Status().Committed.Total() == 1 })
			}
			t.Logf("worst %v", worst)
		})
	}
}

// TestR8TwoNodesSplit (A46): of two that cannot hear each other the holder goes on without a gap, and the other has lost its quorum.
func TestR8TwoNodesSplit(t *testing.T) {
	for seed := range uint64(20) {
		w := witnessWorld(t, Options{Seed: seed, Nodes: 2, Drift: true})
		run(t, w, time.Second)
		holder := w.holder()
		w.cutPair(1, 2)
		within(t, w, 2*time.Second, "the holder acts alone", func() bool { return w.actingIn([]model.NodeID{holder}) })
		run(t, w, 3*time.Second)
		if st := w.Host(3 - holder).Status(); st.Keeping || st.Self.Generation != 2 {
			t.Fatalf("seed %d: the other has not lost its quorum\n%s", seed, w.Describe())
		}
		if st := w.Host(holder).Status(); st.Self.Generation != 1 {
			t.Fatalf("seed %d: the holder has lost quorum\n%s", seed, w.Describe())
		}
		w.Heal()
		within(t, w, 4*time.Second, "together again", func() bool { return w.Settled(1, 2) })
	}
}

// TestR8gPartitionInTime: the survivor of two shrinks the record to itself and dies; the other returns alone, takes the witness, and
// reads there that it has no say.
func TestR8gPartitionInTime(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 2})
	w.Host(2).PowerOff()
	within(t, w, 3*time.Second, "1 alone", func() bool { return w.Settled(1) || w.Host(1).Status().Committed.Total() == 1 })
	run(t, w, time.Second)
	w.Host(1).PowerOff()
	w.Host(2).PowerOn()
	run(t, w, 8*time.Second)
	st := w.Host(2).Status()
	if st.Acting {
		t.Fatalf("2 acts under a record that 1 has replaced\n%s", w.Describe())
	}
	if st.Committed.Total() != 1 || !st.Committed.HasVoter(1) {
		t.Errorf("2 has not read the record from the witness: %s", st.Committed)
	}
	w.Host(1).PowerOn()
	within(t, w, 5*time.Second, "together again", func() bool { return w.Settled(1, 2) })
}

// TestR8gWitnessLost (A37): a witness that is lost for over two seconds loses its vote to a new record, without a gap, and gets it back.
func TestR8gWitnessLost(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 4})
	w.witness().failed[0] = true
	within(t, w, 5*time.Second, "a record without the witness", func() bool { return w.Host(1).Status().Committed.Witness == 0 })
	for _, h := range w.Hosts {
		if st := h.Status(); !st.Acting || st.Self.Generation != 1 {
			t.Errorf("host %d has lost quorum with the witness", h.id)
		}
	}
	if total := w.Host(1).Status().Committed.Total(); total != 3 {
		t.Errorf("%d votes count, want 3: all but the highest of four", total)
	}
	w.healWitness()
	within(t, w, 4*time.Second, "the vote is back", func() bool { return w.Settled(1, 2, 3, 4) })
}

// TestR8hHung: a witness that hangs stops nobody whose quorum does not need it, and is given up.
func TestR8hHung(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 2})
	w.witness().hung[0] = true
	run(t, w, 10*time.Second)
	for _, h := range w.Hosts {
		if st := h.Status(); !st.Acting || st.Self.Generation != 1 || st.Witness.Trouble == "" {
			t.Errorf("host %d: %s", h.id, h.describe())
		}
	}
	w.healWitness()
	within(t, w, 5*time.Second, "the vote is back", func() bool { return w.Settled(1, 2) })
}

// TestR8fUseless: a holder whose view is not quorate even with the witness lets it go, so that a side that is gets it.
func TestR8fUseless(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 4})
	run(t, w, time.Second)
	alone := w.holder()
	var rest []model.NodeID
	for _, id := range w.All() {
		if id != alone {
			rest = append(rest, id)
		}
	}
	w.Isolate(alone, -1)
	within(t, w, 4*time.Second, "the rest holds the witness", func() bool { return w.holder() != 0 && w.holder() != alone && w.actingIn(rest) })
}

// TestR8iCannotServe: of two nodes the holder's client networks go down with the link between them: the other side gets the witness.
func TestR8iCannotServe(t *testing.T) {
	for seed := range uint64(20) {
		w := witnessWorld(t, Options{Seed: seed, Nodes: 2, Drift: true})
		run(t, w, time.Second)
		holder := w.holder()
		w.SetServes(holder, false)
		w.cutPair(1, 2)
		within(t, w, 4*time.Second, "the other acts", func() bool { return w.actingIn([]model.NodeID{3 - holder}) })
		run(t, w, 2*time.Second)
		if w.Host(holder).Status().Keeping {
			t.Fatalf("seed %d: the one that serves nobody keeps\n%s", seed, w.Describe())
		}
	}
}

// TestR8eFree: a witness that has forgotten its reservation is not taken at once: another's vote may still count.
func TestR8eFree(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 2})
	w.witness().PowerLoss()
	lost := w.Now()
	within(t, w, 4*time.Second, "held again", func() bool { return w.holder() != 0 && w.witness().array.Holder != "" })
	if took := w.Now() - lost; took < 3*250*time.Millisecond {
		t.Errorf("taken again after %v", took)
	}
	within(t, w, 2*time.Second, "settled", func() bool { return w.Settled(1, 2) })
}

// TestDiskOnly: the witness alone counts: the last node with it goes on, all nodes without it do not.
func TestDiskOnly(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3, WitnessOnly: true})
	for _, id := range []model.NodeID{1, 2} {
		w.Host(id).PowerOff()
	}
	within(t, w, 4*time.Second, "3 alone", func() bool { return w.actingIn([]model.NodeID{3}) })
	w.witness().failed[0] = true
	within(t, w, 3*time.Second, "quorum ends with the witness", func() bool { return !w.Host(3).Status().Keeping })
	w.Calm()
	within(t, w, 6*time.Second, "all together", func() bool { return w.Settled(1, 2, 3) })
}

// TestChangeWitness: another witness, and another mode, are taken over without a gap.
func TestChangeWitness(t *testing.T) {
	w := witnessWorld(t, Options{Nodes: 2})
	for _, only := range []bool{false, true, false} {
		w.ChangeWitness(only, time.Second)
		within(t, w, 6*time.Second, fmt.Sprintf("the new witness, only=%t", only), func() bool { return w.Settled(1, 2) })
		for _, h := range w.Hosts {
			if g := h.Status().Self.Generation; g != 1 {
				t.Fatalf("host %d has lost quorum\n%s", h.id, w.Describe())
			}
		}
	}
}

// TestForce (A40, A42): an operator gives the last node of three quorum by hand; the others take its record when they return, and the
// cluster is an ordinary one again by itself.
func TestForce(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3})
	for _, id := range []model.NodeID{1, 2} {
		w.Host(id).PowerOff()
	}
	run(t, w, 5*time.Second)
	h := w.Host(3)
	if h.Status().Acting {
		t.Fatal("one of three acts")
	}
	var err error
	h.step(func(now time.Duration) { err = h.machine.Force(now) })
	if err != nil {
		t.Fatal(err)
	}
	within(t, w, 3*time.Second, "3 acts alone", func() bool { return w.actingIn([]model.NodeID{3}) })
	if st := h.Status(); !st.Committed.Forced {
		t.Error("the record does not say that it was forced")
	}
	h.step(func(now time.Duration) { err = h.machine.Force(now) })
	if !errors.Is(err, membership.ErrQuorate) {
		t.Errorf("forcing again: %v, want %v", err, membership.ErrQuorate)
	}
	w.Host(1).PowerOn()
	within(t, w, 6*time.Second, "a normal majority", func() bool { return w.Settled(1, 3) })
	if st := w.Host(1).Status(); st.Committed.Forced {
		t.Errorf("two of three are a majority, the record is still forced: %s", st.Committed)
	}
	w.Host(2).PowerOn()
	within(t, w, 6*time.Second, "all", func() bool { return w.Settled(1, 2, 3) })
}

// TestPrevent (A41): a node that is told so forms no quorum, not even with others like it, and joins one that others have.
func TestPrevent(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3})
	for _, id := range []model.NodeID{2, 3} {
		h := w.Host(id)
		h.step(func(now time.Duration) { h.machine.Prevent(true, now) })
		within(t, w, time.Second, "written", func() bool { return !h.busy })
	}
	for _, h := range w.Hosts {
		h.PowerOff()
	}
	w.Host(2).PowerOn()
	w.Host(3).PowerOn()
	run(t, w, 6*time.Second)
	if w.Host(2).Status().Acting || w.Host(3).Status().Acting {
		t.Fatal("prevented nodes have formed a quorum")
	}
	var err error
	w.Host(1).PowerOn()
	run(t, w, 3*time.Second)
	w.Host(1).step(func(now time.Duration) { err = w.Host(1).machine.Force(now) })
	if err != nil {
		t.Fatal(err)
	}
	within(t, w, 5*time.Second, "they join", func() bool { return w.Settled(1, 2, 3) })
	if w.Host(2).Status().Prevented {
		t.Error("a node that has joined is still prevented")
	}
}

// TestDiskOnlyLeasesLast: where the witness alone votes, the others count its vote from the holder's messages. Whatever the distance of
// its messages from its looks was at the beginning, what is left of the vote never gets so short that one late message ends it.
func TestDiskOnlyLeasesLast(t *testing.T) {
	const enough = 150 * time.Millisecond
	for seed := range uint64(60) {
		w := calmWorld(t, Options{Seed: seed, Nodes: 2, WitnessOnly: true, Drift: true})
		run(t, w, 2*time.Second)
		holder := w.holder()
		other := w.Host(3 - holder)
		// News are told at once, and the next message is an interval later: so the distances are all there are.
		run(t, w, time.Duration(seed)*4*time.Millisecond)
		w.Host(holder).SetReachesAPI(true)
		run(t, w, time.Duration(seed*7%60)*4*time.Millisecond)
		other.SetReachesAPI(true)
		run(t, w, 2*time.Second)
		least := time.Hour
		for range 400 {
			run(t, w, 10*time.Millisecond)
			least = min(least, other.truly(other.Status().KeepingUntil)-w.Now())
		}
		if least < enough {
			t.Errorf("seed %d: node %d holds the witness, and node %d came within %v of the end of its lease", seed, holder, other.id, least)
		}
	}
}
