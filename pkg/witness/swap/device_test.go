package swap

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func open(m *Memory) witnesstest.Open {
	return func(_ *testing.T, node model.NodeID) witness.Device {
		return New(m.Host(fmt.Sprint(node)), witnesstest.Cluster)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	witnesstest.Run(t, func(*testing.T) witnesstest.Open { return open(NewMemory(7)) })
}

func TestConformanceStale(t *testing.T) {
	witnesstest.RunStale(t, func(*testing.T) witnesstest.Open {
		m := NewMemory(7)
		var reads atomic.Int64
		m.Stale = func(string) bool { return reads.Add(1)%3 == 0 }
		return open(m)
	})
}

// scene is a holder and a challenger, each with a device.
type scene struct {
	m              *Memory
	a, b           witness.Device
	keyA, keyB     reservation.Key
	lose, fail     bool // the next swap: its answer is lost; it is not carried out
	beforeNextSwap func()
}

func newScene(t *testing.T) *scene {
	s := &scene{m: NewMemory(7), keyA: witnesstest.Key(t, 1, 1), keyB: witnesstest.Key(t, 2, 1)}
	s.m.Before = func(_ string, op Op) error {
		if op != OpSwap {
			return nil
		}
		if f := s.beforeNextSwap; f != nil {
			s.beforeNextSwap = nil
			f()
		}
		if s.fail {
			s.fail = false
			return witness.ErrUnreachable
		}
		return nil
	}
	s.m.After = func(_ string, op Op) error {
		if op == OpSwap && s.lose {
			s.lose = false
			return fmt.Errorf("%w: the answer was lost", witness.ErrUnreachable)
		}
		return nil
	}
	s.a, s.b = open(s.m)(t, 1), open(s.m)(t, 2)
	must(t, s.a.Register(t.Context(), s.keyA))
	must(t, s.a.Take(t.Context(), s.keyA, 0))
	must(t, s.b.Register(t.Context(), s.keyB))
	return s
}

// TestLostAnswers: an act whose answer was lost is not an error when it is repeated, whether it had happened or not.
func TestLostAnswers(t *testing.T) {
	record := quorum.NewRecord(1, 0, []model.NodeID{1})
	acts := map[string]func(s *scene) error{
		"look":       func(s *scene) error { _, err := s.a.Look(t.Context(), s.keyA); return err },
		"remove":     func(s *scene) error { return s.a.Remove(t.Context(), s.keyA, s.keyB) },
		"take":       func(s *scene) error { return s.b.Take(t.Context(), s.keyB, s.keyA) },
		"release":    func(s *scene) error { return s.a.Release(t.Context(), s.keyA) },
		"unregister": func(s *scene) error { return s.a.Unregister(t.Context(), s.keyA) },
		"save": func(s *scene) error {
			return s.a.Save(t.Context(), s.keyA, witness.Content{ClusterID: witnesstest.Cluster, Committed: record})
		},
	}
	for name, act := range acts {
		for _, happened := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s happened=%v", name, happened), func(t *testing.T) {
				s := newScene(t)
				s.lose, s.fail = happened, !happened
				if err := act(s); !errors.Is(err, witness.ErrUnreachable) {
					t.Fatalf("first: %v, want %v", err, witness.ErrUnreachable)
				}
				if err := act(s); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

// TestLookProves: a holder that is preempted between the read and the renewal of its look does not hold by it.
func TestLookProves(t *testing.T) {
	s := newScene(t)
	s.beforeNextSwap = func() { must(t, s.b.Take(t.Context(), s.keyB, s.keyA)) }
	st, err := s.a.Look(t.Context(), s.keyA)
	must(t, err)
	if st.Holder != s.keyB || st.Registered(s.keyA) {
		t.Errorf("the look says %+v, want node 2 alone", st)
	}
}

// TestRemovedBeforeTake: a challenger that is removed between the read and the swap of its take does not win.
func TestRemovedBeforeTake(t *testing.T) {
	s := newScene(t)
	s.beforeNextSwap = func() { must(t, s.a.Remove(t.Context(), s.keyA, s.keyB)) }
	if err := s.b.Take(t.Context(), s.keyB, s.keyA); !errors.Is(err, witness.ErrConflict) {
		t.Errorf("take: %v, want a conflict", err)
	}
}

// TestRenewalBeforeTake: a renewal alone between the read and the swap makes the taker read again, and it still wins: it was not
// removed.
func TestRenewalBeforeTake(t *testing.T) {
	s := newScene(t)
	s.beforeNextSwap = func() { _, err := s.a.Look(t.Context(), s.keyA); must(t, err) }
	must(t, s.b.Take(t.Context(), s.keyB, s.keyA))
}

func TestDamagedState(t *testing.T) {
	s := newScene(t)
	want := witness.Content{ClusterID: witnesstest.Cluster, Committed: quorum.NewRecord(1, 0, []model.NodeID{1}), State: []byte("state"), StateVersion: 3}
	must(t, s.a.Save(t.Context(), s.keyA, want))
	s.m.Spoil()
	got, err := s.b.Load(t.Context())
	must(t, err)
	want.State, want.StateLost = nil, true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with a damaged state (-want +got):\n%s", diff)
	}
	for v := uint64(4); v < 8; v++ {
		must(t, s.a.Save(t.Context(), s.keyA, witness.Content{ClusterID: witnesstest.Cluster, State: []byte{byte(v)}, StateVersion: v}))
	}
	if n := s.m.States(); n != 1 {
		t.Errorf("%d states are kept, want the newest alone", n)
	}
}

func TestForeign(t *testing.T) {
	s := newScene(t)
	other := New(s.m.Host("3"), witnesstest.Cluster+1)
	if _, err := other.Look(t.Context(), s.keyA); !errors.Is(err, witness.ErrForeign) {
		t.Errorf("another cluster looks: %v, want %v", err, witness.ErrForeign)
	}
	if _, err := other.Load(t.Context()); !errors.Is(err, witness.ErrForeign) {
		t.Errorf("another cluster loads: %v, want %v", err, witness.ErrForeign)
	}
	before := string(s.m.Raw())
	if err := other.Register(t.Context(), s.keyB); !errors.Is(err, witness.ErrForeign) {
		t.Errorf("another cluster registers: %v, want %v", err, witness.ErrForeign)
	}
	if string(s.m.Raw()) != before {
		t.Error("another cluster changed the document")
	}
}
