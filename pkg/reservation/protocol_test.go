package reservation

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

const testCluster = 0xabcdef

func key(t *testing.T, node model.NodeID, epoch model.Epoch) Key {
	t.Helper()
	k, err := NewKey(testCluster, node, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAcquire runs the whole protocol against disks in every state that it may find.
func TestAcquire(t *testing.T) {
	me := key(t, 2, 5)
	type host struct {
		name string
		key  Key
	}
	tests := map[string]struct {
		registered []host // the first one holds the reservation, unless free
		free       bool
		setup      func(*Fake)
		want       Result
		wantErr    error
		wantStale  model.Epoch
		wantProof  bool
		wantReset  bool
		wantCmds   []string
	}{
		"O19 free disk proves nothing": {
			want:      Result{Enforced: true, PTPL: true},
			wantReset: true,
			wantCmds:  []string{"register-ignore", "reserve", "lun-reset"},
		},
		"O15 parked by another node": {
			registered: []host{{"a", key(t, 1, 4)}},
			want:       Result{Enforced: true, PTPL: true, Preempted: true, EpochFound: 4},
			wantProof:  true,
			wantCmds:   []string{"register-ignore", "preempt-abort"},
		},
		"O15 parked by my own node": {
			registered: []host{{"b", key(t, 2, 3)}},
			want:       Result{Enforced: true, PTPL: true, Preempted: true, EpochFound: 3},
			wantProof:  true, wantReset: true,
			wantCmds: []string{"register-ignore", "lun-reset"},
		},
		"holder and others": {
			registered: []host{{"a", key(t, 1, 4)}, {"c", key(t, 3, 2)}, {"d", key(t, 4, 1)}},
			want:       Result{Enforced: true, PTPL: true, Preempted: true, EpochFound: 4},
			wantProof:  true,
			wantCmds:   []string{"register-ignore", "preempt-abort", "preempt-abort", "preempt-abort"},
		},
		"registered but free": {
			registered: []host{{"a", key(t, 1, 4)}}, free: true,
			want:      Result{Enforced: true, PTPL: true, EpochFound: 4},
			wantReset: true,
			wantCmds:  []string{"register-ignore", "reserve", "preempt-abort", "lun-reset"},
		},
		"again at my epoch": {
			registered: []host{{"b", me}},
			want:       Result{Enforced: true, PTPL: true, Held: true, EpochFound: 5},
			wantReset:  true,
			wantCmds:   []string{"register-ignore", "lun-reset"},
		},
		"O20 higher epoch of another":   {registered: []host{{"a", key(t, 1, 6)}}, wantStale: 6},
		"O20 higher epoch of my own":    {registered: []host{{"b", key(t, 2, 9)}}, wantStale: 9},
		"O20 equal epoch of another":    {registered: []host{{"a", key(t, 1, 5)}}, wantStale: 5},
		"O20 registrant, not holder":    {registered: []host{{"a", key(t, 1, 2)}, {"c", key(t, 3, 8)}}, wantStale: 8},
		"foreign holder":                {registered: []host{{"x", 0x1111110010000001}}, wantErr: &ForeignError{}},
		"foreign key of another format": {registered: []host{{"a", key(t, 1, 2)}, {"x", 0xabcdef0000000001}}, wantErr: &ForeignError{}},
		"O19 no PTPL is no proof": {
			registered: []host{{"a", key(t, 1, 4)}},
			setup:      func(f *Fake) { f.PTPL = false },
			want:       Result{Enforced: true, Preempted: true, EpochFound: 4},
			wantCmds:   []string{"register-ignore", "preempt-abort"},
		},
		"advisory is no proof": {
			registered: []host{{"a", key(t, 1, 4)}},
			setup:      func(f *Fake) { f.Enforced = false },
			want:       Result{PTPL: true, Preempted: true, EpochFound: 4},
			wantCmds:   []string{"register-ignore", "preempt-abort"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := NewFake()
			for i, h := range tc.registered {
				must(t, f.Host(h.name).RegisterIgnore(t.Context(), h.key))
				if i == 0 && !tc.free {
					must(t, f.Host(h.name).Reserve(t.Context(), h.key))
				}
			}
			if tc.setup != nil {
				tc.setup(f)
			}
			f.Log = nil
			before := f.Status()
			got, err := Acquire(t.Context(), f.Host("b"), me, nil)
			var stale *StaleError
			switch {
			case tc.wantStale != 0:
				if !errors.As(err, &stale) || stale.Epoch != tc.wantStale {
					t.Fatalf("Acquire() error = %v, want stale at epoch %d", err, tc.wantStale)
				}
			case tc.wantErr != nil:
				var foreign *ForeignError
				if !errors.As(err, &foreign) {
					t.Fatalf("Acquire() error = %v, want a foreign key", err)
				}
			case err != nil:
				t.Fatalf("Acquire() error = %v", err)
			}
			if err != nil {
				if diff := cmp.Diff(before, f.Status()); diff != "" {
					t.Errorf("a refused disk was changed (-before +after):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Acquire() (-want +got):\n%s", diff)
			}
			if got.Proof() != tc.wantProof || (f.Resets > 0) != tc.wantReset {
				t.Errorf("proof %v, %d resets; want %v, %v", got.Proof(), f.Resets, tc.wantProof, tc.wantReset)
			}
			if diff := cmp.Diff(tc.wantCmds, f.Services("b")); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			st := f.Status()
			if st.Holder != me || !slices.Equal(st.Keys, []Key{me}) {
				t.Errorf("the disk ends as %+v, want only %v", st, me)
			}
			must(t, Verify(t.Context(), f.Host("b"), me))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAcquireLeaseO8 asks for the lease before each command, and stops at once when it is gone.
func TestAcquireLeaseO8(t *testing.T) {
	gone := errors.New("lease is over")
	for after := range 2 {
		f := NewFake()
		must(t, f.Host("a").RegisterIgnore(t.Context(), key(t, 1, 1)))
		must(t, f.Host("a").Reserve(t.Context(), key(t, 1, 1)))
		f.Log = nil
		asked := 0
		_, err := Acquire(t.Context(), f.Host("b"), key(t, 2, 2), func() error {
			asked++
			if asked > after {
				return gone
			}
			return nil
		})
		if !errors.Is(err, gone) || len(f.Services("b")) != after {
			t.Errorf("after %d commands: error %v, commands %v", after, err, f.Services("b"))
		}
	}
}

// TestAcquireInterference lets something happen before one of the commands.
func TestAcquireInterference(t *testing.T) {
	tests := map[string]struct {
		// at runs before each command of b; n counts them from 1.
		at      func(t *testing.T, f *Fake, n int) error
		wantErr func(error) bool
		want    bool // Preempted
	}{
		"O21 the holder changes under us": {
			at: func(t *testing.T, f *Fake, n int) error {
				if n == 2 {
					must(t, f.Host("c").RegisterIgnore(t.Context(), key(t, 3, 2)))
					must(t, f.Host("c").PreemptAbort(t.Context(), key(t, 3, 2), key(t, 1, 1)))
				}
				return nil
			},
			want: true,
		},
		"a higher epoch arrives": {
			at: func(t *testing.T, f *Fake, n int) error {
				if n == 2 {
					must(t, f.Host("c").RegisterIgnore(t.Context(), key(t, 3, 9)))
				}
				return nil
			},
			wantErr: func(err error) bool { var s *StaleError; return errors.As(err, &s) && s.Epoch == 9 },
		},
		"our key is removed": {
			at: func(t *testing.T, f *Fake, n int) error {
				if n == 2 {
					must(t, f.Host("a").PreemptAbort(t.Context(), key(t, 1, 1), key(t, 2, 5)))
				}
				return nil
			},
			wantErr: func(err error) bool { return errors.Is(err, ErrLost) },
		},
		"the disk becomes free": {
			at: func(t *testing.T, f *Fake, n int) error {
				if n == 2 {
					must(t, f.Host("a").Register(t.Context(), key(t, 1, 1), 0))
				}
				return nil
			},
			want: false,
		},
		"unit attentions": {
			at: func(_ *testing.T, _ *Fake, n int) error {
				if n <= 5 {
					return ErrAttention
				}
				return nil
			},
			want: true,
		},
		"too many unit attentions": {
			at:      func(*testing.T, *Fake, int) error { return ErrAttention },
			wantErr: func(err error) bool { return errors.Is(err, ErrAttention) },
		},
		"endless conflicts are bounded": {
			at:      func(*testing.T, *Fake, int) error { return ErrConflict },
			wantErr: func(err error) bool { return errors.Is(err, ErrContended) },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := NewFake()
			must(t, f.Host("a").RegisterIgnore(t.Context(), key(t, 1, 1)))
			must(t, f.Host("a").Reserve(t.Context(), key(t, 1, 1)))
			n := 0
			f.Before = func(host string, s Service) error {
				if host != "b" || s == "" {
					return nil
				}
				n++
				return tc.at(t, f, n)
			}
			got, err := Acquire(t.Context(), f.Host("b"), key(t, 2, 5), nil)
			if tc.wantErr != nil {
				if !tc.wantErr(err) {
					t.Errorf("Acquire() error = %v", err)
				}
				return
			}
			if err != nil || got.Preempted != tc.want {
				t.Errorf("Acquire() = %+v, %v; want Preempted %v", got, err, tc.want)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	me := key(t, 2, 5)
	tests := map[string]struct {
		change   func(ctx context.Context, f *Fake) error
		wantLost bool
		wantKeys int
	}{
		"well": {change: func(context.Context, *Fake) error { return nil }, wantKeys: 1},
		"an old key is removed": {change: func(ctx context.Context, f *Fake) error {
			return f.Host("a").RegisterIgnore(ctx, key(t, 1, 4))
		}, wantKeys: 1},
		"a newer key": {change: func(ctx context.Context, f *Fake) error {
			return f.Host("a").RegisterIgnore(ctx, key(t, 1, 6))
		}, wantLost: true},
		"an equal key of another": {change: func(ctx context.Context, f *Fake) error {
			return f.Host("a").RegisterIgnore(ctx, key(t, 1, 5))
		}, wantLost: true},
		"preempted": {change: func(ctx context.Context, f *Fake) error {
			_, err := Acquire(ctx, f.Host("a"), key(t, 1, 6), nil)
			return err
		}, wantLost: true},
		"cleared": {change: func(ctx context.Context, f *Fake) error { return f.Host("b").Clear(ctx, me) }, wantLost: true},
		"released": {change: func(ctx context.Context, f *Fake) error {
			return f.Host("b").Release(ctx, me)
		}, wantLost: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := NewFake()
			_, err := Acquire(t.Context(), f.Host("b"), me, nil)
			must(t, err)
			must(t, tc.change(t.Context(), f))
			err = Verify(t.Context(), f.Host("b"), me)
			if errors.Is(err, ErrLost) != tc.wantLost || (err != nil) != tc.wantLost {
				t.Errorf("Verify() = %v, want lost %v", err, tc.wantLost)
			}
			if n := len(f.Status().Keys); err == nil && n != tc.wantKeys {
				t.Errorf("%d keys are left, want %d", n, tc.wantKeys)
			}
		})
	}
}

// TestAdvanceO17 changes the epoch of a disk in use with the old key, so that a lost disk is noticed and never repaired.
func TestAdvanceO17(t *testing.T) {
	f := NewFake()
	old, next := key(t, 2, 5), key(t, 2, 7)
	_, err := Acquire(t.Context(), f.Host("b"), old, nil)
	must(t, err)
	f.Log = nil
	must(t, Advance(t.Context(), f.Host("b"), old, next))
	must(t, Advance(t.Context(), f.Host("b"), old, next))
	if diff := cmp.Diff([]string{"register"}, f.Services("b")); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	_, err = Acquire(t.Context(), f.Host("a"), key(t, 1, 8), nil)
	must(t, err)
	if err := Advance(t.Context(), f.Host("b"), next, key(t, 2, 9)); !errors.Is(err, ErrLost) {
		t.Errorf("Advance() of a lost disk = %v, want it to be lost", err)
	}
	if f.MayWrite("b") {
		t.Error("a lost registration was repaired in place")
	}
}

// TestDepartO15 leaves a reservation parked, and a registration only when it holds.
func TestDepartO15(t *testing.T) {
	f := NewFake()
	_, err := Acquire(t.Context(), f.Host("b"), key(t, 2, 5), nil)
	must(t, err)
	must(t, f.Host("a").RegisterIgnore(t.Context(), key(t, 1, 4)))
	before := f.Status().Holder
	must(t, Depart(t.Context(), f.Host("b"), testCluster, 2))
	must(t, Depart(t.Context(), f.Host("a"), testCluster, 1))
	want := []Key{key(t, 2, 5)}
	if st := f.Status(); st.Holder != before || !slices.Equal(st.Keys, want) {
		t.Errorf("after Depart the disk is %+v, want held by %v alone", st, before)
	}
	must(t, Decommission(t.Context(), f.Host("b"), key(t, 2, 5)))
	if st := f.Status(); st.Holder != 0 || len(st.Keys) != 0 {
		t.Errorf("after Decommission the disk is %+v, want it free", st)
	}
}
