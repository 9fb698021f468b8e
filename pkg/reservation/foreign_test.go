package reservation

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClearForeign runs the operator's act against disks in every state that it may find.
func TestClearForeign(t *testing.T) {
	const alien, other = Key(0x1234567), Key(0xfeed)
	elsewhere, err := NewKey(testCluster+1, 4, 9) // another cluster of Quorate's
	if err != nil {
		t.Fatal(err)
	}
	me := key(t, 2, 1)
	type host struct {
		name string
		key  Key
	}
	for name, tc := range map[string]struct {
		registered []host // the first one holds the reservation, unless free
		free       bool
		named      []Key
		removed    []Key
		holder     Key
		keys       []Key
		commands   []string
		unnamed    []Key
	}{
		"held by a foreign key": {
			registered: []host{{"x", alien}}, named: []Key{alien}, removed: []Key{alien}, holder: me, keys: []Key{me},
			commands: []string{"register-ignore", "preempt-abort"},
		},
		"held by a foreign key, others registered": {
			registered: []host{{"x", elsewhere}, {"y", other}, {"z", alien}}, named: []Key{alien, other, elsewhere},
			removed: []Key{other, alien, elsewhere}, holder: me, keys: []Key{me},
			commands: []string{"register-ignore", "preempt-abort", "preempt-abort", "preempt-abort"},
		},
		"registered only: nothing is left of this node either": {
			registered: []host{{"x", alien}}, free: true, named: []Key{alien}, removed: []Key{alien},
			commands: []string{"register-ignore", "preempt-abort", "register"},
		},
		"O15 parked by this node: its epoch stays": {
			registered: []host{{"b", key(t, 2, 7)}, {"x", alien}}, named: []Key{alien}, removed: []Key{alien},
			holder: key(t, 2, 7), keys: []Key{key(t, 2, 7)}, commands: []string{"preempt-abort"},
		},
		"parked by this node over a path that is gone": {
			registered: []host{{"old", key(t, 2, 7)}, {"x", alien}}, named: []Key{alien}, removed: []Key{alien},
			holder: key(t, 2, 7), keys: []Key{key(t, 2, 7), key(t, 2, 7)}, commands: []string{"register-ignore", "preempt-abort"},
		},
		"O15 parked by another node of ours: it stays the holder": {
			registered: []host{{"a", key(t, 1, 7)}, {"x", alien}}, named: []Key{alien}, removed: []Key{alien},
			holder: key(t, 1, 7), keys: []Key{key(t, 1, 7)}, commands: []string{"register-ignore", "preempt-abort", "register"},
		},
		"nothing foreign": {
			registered: []host{{"a", key(t, 1, 7)}}, named: []Key{alien}, holder: key(t, 1, 7), keys: []Key{key(t, 1, 7)},
		},
		"an empty disk": {named: []Key{alien}},
		"a foreign key that is not named": {
			registered: []host{{"x", alien}, {"y", other}}, named: []Key{alien}, unnamed: []Key{other}, holder: alien, keys: []Key{alien, other},
		},
		"ours are never removed, whatever is named": {
			registered: []host{{"a", key(t, 1, 7)}, {"x", alien}}, named: []Key{alien, key(t, 1, 7)}, removed: []Key{alien},
			holder: key(t, 1, 7), keys: []Key{key(t, 1, 7)}, commands: []string{"register-ignore", "preempt-abort", "register"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := NewFake()
			for i, h := range tc.registered {
				d := disk.Host(h.name)
				if err := d.RegisterIgnore(t.Context(), h.key); err != nil {
					t.Fatal(err)
				}
				if i == 0 && !tc.free {
					if err := d.Reserve(t.Context(), h.key); err != nil {
						t.Fatal(err)
					}
				}
			}
			disk.Log = nil
			removed, err := ClearForeign(t.Context(), disk.Host("b"), me, tc.named, nil)
			var unnamed *UnnamedError
			switch {
			case tc.unnamed == nil && err != nil:
				t.Fatal(err)
			case tc.unnamed != nil && (!errors.As(err, &unnamed) || !slices.Equal(unnamed.Keys, tc.unnamed)):
				t.Fatalf("error %v, want one that names %v", err, tc.unnamed)
			}
			slices.Sort(tc.removed)
			slices.Sort(tc.keys)
			st := disk.Status()
			if !slices.Equal(removed, tc.removed) || st.Holder != tc.holder || !slices.Equal(st.Keys, tc.keys) {
				t.Errorf("removed %v, holder %v, keys %v; want %v, %v, %v", removed, st.Holder, st.Keys, tc.removed, tc.holder, tc.keys)
			}
			if diff := cmp.Diff(tc.commands, disk.Services("b")); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

// TestClearForeignInterrupted: after an act that broke off at any command, a second one ends as the first would have, no key of the cluster
// has gone, and the disk was free at no moment if it was not before.
func TestClearForeignInterrupted(t *testing.T) {
	const alien, other = Key(0x1234567), Key(0xfeed)
	broken := errors.New("broken")
	for stop := 1; stop <= 4; stop++ {
		disk := NewFake()
		x, y := disk.Host("x"), disk.Host("y")
		for _, err := range []error{x.RegisterIgnore(t.Context(), alien), x.Reserve(t.Context(), alien), y.RegisterIgnore(t.Context(), other)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		left := stop
		disk.Before = func(host string, service Service) error {
			if disk.Status().Holder == 0 {
				t.Errorf("stop %d: the disk is free", stop)
			}
			if host == "b" && service != "" {
				if left--; left == 0 {
					return broken
				}
			}
			return nil
		}
		_, err := ClearForeign(t.Context(), disk.Host("b"), key(t, 2, 1), []Key{alien, other}, nil)
		if stop <= 3 && !errors.Is(err, broken) {
			t.Fatalf("stop %d: %v", stop, err)
		}
		if _, err := ClearForeign(t.Context(), disk.Host("b"), key(t, 2, 1), []Key{alien, other}, nil); err != nil {
			t.Fatalf("stop %d, again: %v", stop, err)
		}
		if st := disk.Status(); st.Holder != key(t, 2, 1) || len(st.Keys) != 1 {
			t.Errorf("stop %d: %+v", stop, st)
		}
		// What follows is a takeover like any other, with proof (O13).
		disk.Before = nil
		r, err := Acquire(t.Context(), disk.Host("c"), key(t, 3, 2), nil)
		if err != nil || !r.Proof() {
			t.Errorf("stop %d: the next owner gets %+v, %v", stop, r, err)
		}
	}
}

// TestClearForeignMayAct: the lease is asked before each command (O8).
func TestClearForeignMayAct(t *testing.T) {
	disk := NewFake()
	if err := disk.Host("x").RegisterIgnore(t.Context(), 0xfeed); err != nil {
		t.Fatal(err)
	}
	ended := errors.New("the lease has ended")
	_, err := ClearForeign(t.Context(), disk.Host("b"), key(t, 2, 1), []Key{0xfeed}, func() error { return ended })
	if !errors.Is(err, ended) || len(disk.Services("b")) != 0 {
		t.Errorf("%v, commands %v", err, disk.Services("b"))
	}
}

// FuzzParseKeys: what an operator writes is keys, or is refused.
func FuzzParseKeys(f *testing.F) {
	f.Add("0xfeed")
	f.Add("0xfeed, 0x1234567,0xfeed")
	f.Add("feed,,")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text, 64)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > 64 || slices.Contains(keys, 0) || !slices.IsSorted(keys) {
			t.Errorf("ParseKeys(%q) = %v", text, keys)
		}
		if back, err := ParseKeys(FormatKeys(keys), 64); err != nil || !slices.Equal(back, keys) {
			t.Errorf("%v reads back as %v, %v", keys, back, err)
		}
	})
}
