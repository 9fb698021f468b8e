package sim

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// hold is T with the default settings, promise is T' (R4).
const (
	hold    = time.Second
	promise = 1030 * time.Millisecond
	// agreed is room for a few round trips of at most 4 ms and a few writes of at most 5 ms.
	agreed = 60 * time.Millisecond
)

func calmWorld(t *testing.T, opts Options) *World {
	t.Helper()
	if *traceFlag {
		opts.Trace = os.Stdout
	}
	w := NewWorld(opts)
	if took, ok := w.RunUntil(5*time.Second, func() bool { return w.Settled(w.All()...) }); !ok {
		t.Fatalf("not formed after %v: %v\n%s", took, w.Err(), w.Describe())
	}
	return w
}

func within(t *testing.T, w *World, limit time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	took, ok := w.RunUntil(limit, cond)
	if !ok {
		t.Fatalf("%s: not within %v (%v)\n%s", what, limit, w.Err(), w.Describe())
	}
	return took
}

func run(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	if err := w.Run(w.Now() + d); err != nil {
		t.Fatal(err)
	}
}

// TestFormation is how long a cluster needs from the start of its agents: the wait of R2 or the clean-up, and a few round trips.
func TestFormation(t *testing.T) {
	for name, nodes := range map[string]int{"single node": 1, "two": 2, "three": 3, "seven": 7} {
		t.Run(name, func(t *testing.T) {
			w := NewWorld(Options{Seed: 1, Nodes: nodes})
			took := within(t, w, 3*time.Second, "formation", func() bool { return w.Settled(w.All()...) })
			if took > promise+2*agreed {
				t.Errorf("formed after %v, want at most %v", took, promise+2*agreed)
			}
		})
	}
}

// TestNodeDeath is the time from a host's death to an acting view without it, at default settings: it is counted from the death,
// which comes at most an interval after the last datagram, so it is mostly below T'.
func TestNodeDeath(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes int
		kill  model.NodeID
		left  []model.NodeID
	}{
		"a member":               {3, 3, []model.NodeID{1, 2}},
		"the coordinator":        {3, 1, []model.NodeID{2, 3}},
		"one of five":            {5, 2, []model.NodeID{1, 3, 4, 5}},
		"two nodes, the highest": {2, 2, []model.NodeID{1}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				w := calmWorld(t, Options{Seed: seed, Nodes: tc.nodes, Networks: 2, Drift: true})
				run(t, w, 3*time.Second+time.Duration(seed)*31*time.Millisecond)
				w.Host(tc.kill).PowerOff()
				died := w.Now()
				for w.Now() < died+promise+agreed && !w.actingIn(tc.left) {
					run(t, w, time.Millisecond)
				}
				if !w.actingIn(tc.left) {
					t.Fatalf("seed %d: no acting view of %v %v after the death\n%s", seed, tc.left, w.Now()-died, w.Describe())
				}
				t.Logf("acting %v after the death", w.Now()-died)
				for _, id := range tc.left {
					if g := w.Host(id).Status().Self.Generation; g != 1 {
						t.Errorf("seed %d: host %d has lost quorum on the way", seed, id)
					}
				}
			}
		})
	}
}

// actingIn reports whether these hosts act in a view of exactly themselves, whatever the record is.
func (w *World) actingIn(ids []model.NodeID) bool {
	return !slices.ContainsFunc(ids, func(id model.NodeID) bool {
		st := w.Host(id).Status()
		return !st.Acting || len(st.View.Members) != len(ids) || !st.View.Has(ids[0])
	})
}

// TestR5TwoNodesLowestDies: of two voters the highest has no vote, so it stops when it is alone, and waits for the other.
func TestR5TwoNodesLowestDies(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 2})
	w.Host(1).PowerOff()
	within(t, w, 2*time.Second, "loss of quorum", func() bool { return w.Host(2).Status().Self.Generation == 2 })
	run(t, w, 10*time.Second)
	if w.Host(2).Status().Acting {
		t.Error("host 2 acts alone")
	}
	w.Host(1).PowerOn()
	within(t, w, 3*time.Second, "return", func() bool { return w.Settled(1, 2) })
}

// TestR5ShrinksToTheLast (A38): one after the other, five nodes shrink to one that keeps all the time; all at once they do not.
func TestR5ShrinksToTheLast(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 5})
	left := w.All()
	for len(left) > 1 {
		w.Host(left[len(left)-1]).PowerOff()
		left = left[:len(left)-1]
		within(t, w, 2*time.Second, "shrinking", func() bool { return w.Settled(left...) })
	}
	if g := w.Host(1).Status().Self.Generation; g != 1 {
		t.Errorf("host 1 has lost quorum on the way, it is in generation %d", g)
	}

	w = calmWorld(t, Options{Nodes: 5})
	for _, id := range []model.NodeID{3, 4, 5} {
		w.Host(id).PowerOff()
	}
	run(t, w, 5*time.Second)
	if st := w.Host(1).Status(); st.Keeping || st.Self.Generation == 1 {
		t.Error("two of five keep after three died at once")
	}
}

// halfCommitted stops a record that shrinks eight voters to {1,2,3,4} half way: 1, 2 and 3 have committed it, 4 has only persisted
// it. Then 4 is with 5 to 8, a majority of the record before, and 8, which no majority needs, cannot confirm the view: so the
// others could act in it without making a record, which would tell them of the tentative one.
func halfCommitted(seed uint64) error {
	w := NewWorld(Options{Seed: seed, Nodes: 8})
	w.RunUntil(3*time.Second, func() bool { return w.Settled(w.All()...) })
	first, second := []model.NodeID{1, 2, 3}, []model.NodeID{4, 5, 6, 7, 8}
	for _, id := range second[1:] {
		w.Host(id).PowerOff()
	}
	w.RunUntil(3*time.Second, func() bool { return w.Host(4).Status().Tentative != nil })
	for _, id := range first {
		w.CutOneWay(id, 4, -1)
	}
	if _, ok := w.RunUntil(agreed, func() bool { return len(w.Host(1).Status().Committed.Voters) == 4 }); !ok {
		return fmt.Errorf("R5: not committed on 1 (%w)\n%s", w.Err(), w.Describe())
	}
	w.cutApart(first, second)
	for _, id := range second[1:] {
		w.Host(id).PowerOn()
	}
	w.RunUntil(6*time.Second, func() bool { return w.Host(4).Status().View.Has(8) })
	w.CutOneWay(8, 4, -1)
	if err := w.Run(w.Now() + 2*time.Second); err != nil {
		return err
	}
	if !w.actingIn(first) || w.Host(4).Status().Acting {
		return fmt.Errorf("R5: 1 to 3 should act, 4 should not\n%s", w.Describe())
	}
	w.Heal()
	if _, ok := w.RunUntil(3*time.Second, func() bool { return w.Settled(w.All()...) }); !ok {
		return fmt.Errorf("R5: not together again (%w)\n%s", w.Err(), w.Describe())
	}
	return nil
}

// cutApart cuts all links between two sides.
func (w *World) cutApart(first, second []model.NodeID) {
	for _, a := range first {
		for _, b := range second {
			w.CutOneWay(a, b, -1)
			w.CutOneWay(b, a, -1)
		}
	}
}

// TestR5Tentative: whoever has persisted a tentative record needs quorum under it too.
func TestR5Tentative(t *testing.T) {
	for seed := range uint64(20) {
		if err := halfCommitted(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestStaticVotes: without dynamic votes three nodes survive one death, not a second one after it.
func TestStaticVotes(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3, StaticVotes: true})
	w.Host(3).PowerOff()
	within(t, w, 2*time.Second, "first death", func() bool { return w.actingIn([]model.NodeID{1, 2}) })
	run(t, w, 5*time.Second)
	w.Host(2).PowerOff()
	run(t, w, 5*time.Second)
	st := w.Host(1).Status()
	if st.Acting {
		t.Error("one of three acts without dynamic votes")
	}
	if diff := cmp.Diff([]model.NodeID{1, 2, 3}, st.Committed.Voters); diff != "" {
		t.Errorf("voters changed (-want +got):\n%s", diff)
	}
}

// TestOneNetworkLost: a peer is silent only when all networks are.
func TestOneNetworkLost(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3, Networks: 2})
	before := w.Host(1).Status().View
	w.Isolate(2, 0)
	run(t, w, 10*time.Second)
	if !w.Settled(1, 2, 3) || !before.Equal(w.Host(1).Status().View) {
		t.Errorf("the view changed\n%s", w.Describe())
	}
}

// TestR9OneWayCut: when one node does not hear another, one of the two leaves the view and the rest goes on without a gap.
func TestR9OneWayCut(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3})
	w.CutOneWay(1, 2, -1)
	within(t, w, 4*time.Second, "a view of two", func() bool { return w.actingIn([]model.NodeID{1, 3}) })
	for _, id := range []model.NodeID{1, 3} {
		if g := w.Host(id).Status().Self.Generation; g != 1 {
			t.Errorf("host %d has lost quorum", id)
		}
	}
	run(t, w, 2*time.Second)
	if st := w.Host(2).Status(); st.Keeping {
		t.Error("host 2 keeps outside the view")
	}
	w.Heal()
	within(t, w, 3*time.Second, "return", func() bool { return w.Settled(1, 2, 3) })
}

// TestIsolation (S4): who is cut off has burnt its generation before the others act without it.
func TestIsolation(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3, Drift: true})
	w.Isolate(1, -1)
	others := []model.NodeID{2, 3}
	within(t, w, 2*time.Second, "a view of two", func() bool { return w.actingIn(others) })
	if st := w.Host(1).Status(); st.Keeping || st.Self.Generation != 2 || st.View != nil {
		t.Errorf("host 1 has not lost quorum first\n%s", w.Describe())
	}
	run(t, w, 3*time.Second)
	w.Heal()
	within(t, w, 2*time.Second, "return", func() bool { return w.Settled(1, 2, 3) })
}

// TestR2Resume: a killed agent that is back within the lease loses nothing; one that comes back later has lost its generation.
func TestR2Resume(t *testing.T) {
	for name, tc := range map[string]struct {
		away       time.Duration
		generation model.Generation
	}{
		"at once":        {20 * time.Millisecond, 1},
		"half a second":  {500 * time.Millisecond, 1},
		"past the lease": {1500 * time.Millisecond, 2},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				w := calmWorld(t, Options{Seed: seed, Nodes: 3})
				run(t, w, time.Duration(seed)*137*time.Millisecond)
				before := w.Host(2).Status()
				w.Host(2).Crash()
				run(t, w, tc.away)
				w.Host(2).Restart()
				within(t, w, 3*time.Second, "settled again", func() bool { return w.Settled(1, 2, 3) })
				run(t, w, time.Second)
				after := w.Host(2).Status()
				if after.Self.Generation != tc.generation || after.Incarnation != before.Incarnation {
					t.Errorf("seed %d: %v incarnation %d after %v incarnation %d", seed, after.Self, after.Incarnation, before.Self, before.Incarnation)
				}
				if tc.generation == 1 && !before.View.Equal(after.View) {
					t.Errorf("seed %d: the view changed from %s to %s", seed, viewString(before.View), viewString(after.View))
				}
			}
		})
	}
}

// TestR2SingleNodeResume: the last one standing resumes too, and keeps on its own vote.
func TestR2SingleNodeResume(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 1})
	w.Host(1).Crash()
	run(t, w, 300*time.Millisecond)
	w.Host(1).Restart()
	within(t, w, agreed, "resumption", func() bool { return w.Settled(1) })
	if g := w.Host(1).Status().Self.Generation; g != 1 {
		t.Errorf("generation %d, want 1", g)
	}
}

// TestFreeze: a host that thaws late finds itself without quorum, and returns in a new generation.
func TestFreeze(t *testing.T) {
	for name, tc := range map[string]struct {
		length     time.Duration
		generation model.Generation
	}{
		"short": {400 * time.Millisecond, 1},
		"long":  {4 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := calmWorld(t, Options{Nodes: 3})
			w.Host(1).Freeze()
			run(t, w, tc.length)
			w.Host(1).Thaw()
			run(t, w, 3*time.Second)
			if st := w.Host(1).Status(); !w.Settled(1, 2, 3) || st.Self.Generation != tc.generation {
				t.Errorf("want generation %d\n%s", tc.generation, w.Describe())
			}
		})
	}
}

// TestLeave: a graceful leave takes a few round trips, not a detection, and hands the vote over first.
func TestLeave(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes int
		leave model.NodeID
		left  []model.NodeID
	}{
		"a member of three":       {3, 3, []model.NodeID{1, 2}},
		"the coordinator":         {3, 1, []model.NodeID{2, 3}},
		"the vote of two":         {2, 1, []model.NodeID{2}},
		"the last one, to no one": {1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := calmWorld(t, Options{Nodes: tc.nodes})
			run(t, w, 2*time.Second)
			h := w.Host(tc.leave)
			h.step(h.machine.Leave)
			within(t, w, hold/2, "leave", func() bool {
				return !h.On() && w.Settled(tc.left...)
			})
			for _, id := range tc.left {
				if g := w.Host(id).Status().Self.Generation; g != 1 {
					t.Errorf("host %d has lost quorum", id)
				}
			}
			h.PowerOn()
			within(t, w, 4*time.Second, "return", func() bool { return w.Settled(w.All()...) })
		})
	}
}

// TestR11LostDisk: a node that has lost its disk has no vote until the others have given it one, and two such are no majority.
func TestR11LostDisk(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3})
	w.reboot(w.Host(3), true)
	within(t, w, 8*time.Second, "return", func() bool { return w.Host(3).On() && w.Settled(1, 2, 3) })

	for _, h := range w.Hosts {
		h.PowerOff()
	}
	w.Host(2).disk, w.Host(3).disk = w.Host(2).remembered(), w.Host(3).remembered()
	for _, h := range w.Hosts {
		w.check.lostDisk(h)
		h.PowerOn()
	}
	run(t, w, 6*time.Second)
	for _, h := range w.Hosts {
		if h.Status().Acting {
			t.Errorf("host %d acts although the records of the majority are lost", h.id)
		}
	}
}

// TestColdStart: all hosts lose power at once; when a majority is back it goes on, in new generations.
func TestColdStart(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 3})
	for _, h := range w.Hosts {
		h.PowerOff()
	}
	run(t, w, time.Second)
	w.Host(2).PowerOn()
	run(t, w, 4*time.Second)
	if w.Host(2).Status().Acting {
		t.Fatal("one of three acts")
	}
	w.Host(3).PowerOn()
	within(t, w, 3*time.Second, "two of three", func() bool { return w.Settled(2, 3) })
	w.Host(1).PowerOn()
	within(t, w, 3*time.Second, "all", func() bool { return w.Settled(1, 2, 3) })
}

// TestNoNeedlessViews: an idle cluster installs nothing and sends only its beats.
func TestNoNeedlessViews(t *testing.T) {
	w := calmWorld(t, Options{Nodes: 5, Networks: 2, Drift: true})
	before := make([]membership.Status, 0, 5)
	for _, h := range w.Hosts {
		before = append(before, h.Status())
	}
	run(t, w, time.Minute)
	for i, h := range w.Hosts {
		if !before[i].View.Equal(h.Status().View) || !before[i].Committed.Equal(h.Status().Committed) {
			t.Errorf("host %d: view or record changed in an idle cluster", h.id)
		}
	}
}
