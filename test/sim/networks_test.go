package sim

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// TestEveryLinkItsOwn: each direction of each link loses a part of its own, up to 40%; two networks and four intervals are enough
// that nobody is taken for dead.
func TestEveryLinkItsOwn(t *testing.T) {
	for seed := range uint64(5) {
		w := calmWorld(t, Options{Seed: seed, Nodes: 5, Networks: 2, Drift: true})
		for _, a := range w.All() {
			for _, b := range w.All() {
				for network := range 2 {
					w.DegradeOneWay(a, b, network, w.Rand().Float64()*0.4)
				}
			}
		}
		before := w.Host(1).Status().View
		run(t, w, time.Minute)
		if after := w.Host(1).Status().View; !after.Equal(before) {
			t.Errorf("seed %d: the view changed from %v to %v", seed, before, after)
		}
		unhurt(t, w, seed)
	}
}

// unhurt wants that no host has lost quorum since its start.
func unhurt(t *testing.T, w *World, seed uint64) {
	t.Helper()
	for _, h := range w.Hosts {
		if g := h.Status().Self.Generation; g != 1 {
			t.Errorf("seed %d: host %d has lost quorum", seed, h.ID())
		}
	}
}

// TestFlappingFast: links that are cut for less than T, again and again, change nothing.
func TestFlappingFast(t *testing.T) {
	for seed := range uint64(5) {
		w := calmWorld(t, Options{Seed: seed, Nodes: 3, Networks: 1, Drift: true})
		before := w.Host(1).Status().View
		for range 20 {
			w.Isolate(2, -1)
			run(t, w, 300*time.Millisecond)
			w.Heal()
			run(t, w, 600*time.Millisecond) // a beat and its echo
		}
		if after := w.Host(1).Status().View; !after.Equal(before) {
			t.Errorf("seed %d: the view changed from %v to %v", seed, before, after)
		}
		unhurt(t, w, seed)
	}
}

// TestFlappingSlow: a link that is cut for longer than T, in one direction or both, costs one of the two its place, never the quorum
// of the others; when it is well for good, all are together again.
func TestFlappingSlow(t *testing.T) {
	for name, cut := range map[string]func(*World){
		"both ways": func(w *World) { w.CutOneWay(2, 3, -1); w.CutOneWay(3, 2, -1) },
		"one way":   func(w *World) { w.CutOneWay(2, 3, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				w := calmWorld(t, Options{Seed: seed, Nodes: 3, Networks: 2, Drift: true})
				for range 20 {
					cut(w)
					run(t, w, 1700*time.Millisecond)
					w.Heal()
					run(t, w, 300*time.Millisecond)
				}
				if g := w.Host(1).Status().Self.Generation; g != 1 {
					t.Errorf("seed %d: host 1, whose links were well, has lost quorum", seed)
				}
				within(t, w, 10*time.Second, "all together", func() bool { return w.Settled(1, 2, 3) })
			}
		})
	}
}

// TestBadPackets: packets that come late by up to 1.5 s, out of order, twice or not at all break no rule, and a cluster that had to
// part comes together again.
func TestBadPackets(t *testing.T) {
	for seed := range uint64(5) {
		w := calmWorld(t, Options{Seed: seed, Nodes: 5, Networks: 2, Drift: true})
		w.Degrade(0.3, 0.4, 0.3)
		run(t, w, time.Minute)
		w.Heal()
		within(t, w, 10*time.Second, "all together", func() bool { return w.Settled(w.All()...) })
	}
}

// TestThawLongAfter: a host that thaws after minutes has lost its quorum before it does anything, and rejoins.
func TestThawLongAfter(t *testing.T) {
	for _, frozen := range []model.NodeID{1, 3} {
		w := calmWorld(t, Options{Seed: uint64(frozen), Nodes: 3, Networks: 2, Drift: true})
		w.Host(frozen).Freeze()
		run(t, w, 5*time.Minute)
		w.Host(frozen).Thaw()
		within(t, w, 100*time.Millisecond, "the new life", func() bool {
			st := w.Host(frozen).Status()
			if st.Acting || st.Keeping {
				t.Fatalf("host %d acts in its old life: %+v", frozen, st)
			}
			return st.Self.Generation > 1
		})
		within(t, w, 10*time.Second, "all together", func() bool { return w.Settled(1, 2, 3) })
	}
}

// TestAgreement: how soon after the last promise to a dead host has run out all others act in a view without it (R1, R4): the time
// that the protocol itself needs, with links of 0.1 to 2 ms and disks of up to 5 ms.
func TestAgreement(t *testing.T) {
	for _, tc := range []struct {
		nodes int
		seeds uint64
		limit time.Duration
	}{{3, 10, 20 * time.Millisecond}, {16, 2, 50 * time.Millisecond}} {
		for seed := range 2 * tc.seeds {
			victim := model.NodeID(1 + 2*(seed%2))
			t.Run(fmt.Sprintf("%d nodes without %d, seed %d", tc.nodes, victim, seed), func(t *testing.T) {
				nodes, limit := tc.nodes, tc.limit
				opts := Options{Seed: seed, Nodes: nodes, Networks: 2}
				if *traceFlag {
					opts.Trace = os.Stdout
				}
				w := NewWorld(opts)
				took, err := w.Agreement(victim)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("agreed %s after detection", took)
				if took > limit {
					t.Errorf("agreed %s after detection, want %s at most", took, limit)
				}
			})
		}
	}
}
