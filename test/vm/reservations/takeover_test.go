package reservations

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/vm/guest"
)

// TestGuestAcquire takes a disk in every state that it may be found in, and has both hosts write afterwards.
func TestGuestAcquire(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	hosts := lun.Paths(t, 3)
	device, other, witness := hosts[0], hosts[1], hosts[2]
	me := key(t, ours, 1, 5)
	for what, c := range map[string]struct {
		there   reservation.Key // of the other host, which holds the disk; 0: nobody
		mine    reservation.Key // this host holds the disk with it; 0: it does not
		want    reservation.Result
		refused bool
		stale   model.Epoch
	}{
		"a free disk (O19)":                      {want: reservation.Result{Enforced: true}},
		"parked by another node (O15)":           {there: key(t, ours, 2, 4), want: reservation.Result{Enforced: true, Preempted: true, EpochFound: 4}},
		"parked by an earlier life of this node": {mine: key(t, ours, 1, 3), want: reservation.Result{Enforced: true, Preempted: true, EpochFound: 3}},
		"held already":                           {mine: me, want: reservation.Result{Enforced: true, Held: true, EpochFound: 5}},
		"a stale epoch (O20)":                    {there: key(t, ours, 2, 6), refused: true, stale: 6},
		"an equal epoch of another node (O20)":   {there: key(t, ours, 2, 5), refused: true, stale: 5},
		"a foreign key":                          {there: key(t, theirs, 2, 1), refused: true},
	} {
		occupant, holder := other, c.there
		if c.mine != 0 {
			occupant, holder = device, c.mine
		}
		occupy(t, occupant, max(holder, 1))
		if holder == 0 && !guest.Persist(t, occupant, "--clear", set("rk", 1)) {
			t.Fatal("cannot clear the disk")
		}
		got, err := reservation.Acquire(t.Context(), open(t, device), me, nil)
		var stale *reservation.StaleError
		var foreign *reservation.ForeignError
		switch {
		case c.stale != 0 && (!errors.As(err, &stale) || stale.Epoch != c.stale):
			t.Errorf("%s: %v, want epoch %d to be in the way", what, err, c.stale)
		case c.refused && c.stale == 0 && (!errors.As(err, &foreign) || foreign.Key != c.there):
			t.Errorf("%s: %v, want the foreign key to be in the way", what, err)
		case !c.refused && err != nil:
			t.Errorf("%s: %v", what, err)
		case !c.refused && cmp.Diff(c.want, got, cmpopts.IgnoreFields(reservation.Result{}, "PTPL")) != "":
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
		owner, loser, winner := device, other, me
		if c.refused {
			owner, loser, winner = other, device, c.there
		}
		wantState(t, witness, what, state{Keys: []reservation.Key{winner}, Holder: winner})
		wantWriters(t, what, lun, owner, loser)
	}
}

// wantWriters has the loser's write fail and the owner's arrive.
func wantWriters(t *testing.T, what string, lun *guest.LUN, owner, loser string) {
	t.Helper()
	before := lun.SectorBehind(t, 0)
	if guest.WriteSector(t, loser, 0, before+1) || lun.SectorBehind(t, 0) != before {
		t.Errorf("%s: the write of the host that does not own the disk passed, or arrived", what)
	}
	if !guest.WriteSector(t, owner, 0, before+2) || lun.SectorBehind(t, 0) != before+2 {
		t.Errorf("%s: the owner's write did not arrive", what)
	}
}

// TestGuestTakeOver is the life of a disk on two hosts: owned, taken over by the higher epoch, lost by the old owner who notices, and
// not won back by the old epoch.
func TestGuestTakeOver(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	hosts := lun.Paths(t, 2)
	old, fresh := key(t, ours, 1, 7), key(t, ours, 2, 8)
	a, b := open(t, hosts[0]), open(t, hosts[1])
	if _, err := reservation.Acquire(t.Context(), a, old, nil); err != nil {
		t.Fatal(err)
	}
	if err := reservation.Verify(t.Context(), a, old); err != nil {
		t.Fatalf("the owner's own check: %v", err)
	}
	wantWriters(t, "the first owner", lun, hosts[0], hosts[1])
	if r, err := reservation.Acquire(t.Context(), b, fresh, nil); err != nil || !r.Preempted || r.EpochFound != 7 {
		t.Fatalf("take-over: %+v, %v", r, err)
	}
	wantWriters(t, "taken over", lun, hosts[1], hosts[0])
	if err := reservation.Verify(t.Context(), a, old); !errors.Is(err, reservation.ErrLost) {
		t.Errorf("the old owner's check: %v, want a loss", err)
	}
	var stale *reservation.StaleError
	if _, err := reservation.Acquire(t.Context(), a, old, nil); !errors.As(err, &stale) {
		t.Errorf("the old owner tries again: %v, want it to be stale", err)
	}
	wantWriters(t, "after the old owner's second try", lun, hosts[1], hosts[0])
}

// TestGuestChallengers lets two hosts take the disk of a dead one at the same moment: the higher epoch has it in the end, and the
// other knows that it has not.
func TestGuestChallengers(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	hosts := lun.Paths(t, 4)
	keys := []reservation.Key{key(t, ours, 1, 11), key(t, ours, 2, 12)}
	for round := range 4 {
		occupy(t, hosts[2], key(t, ours, 3, 10))
		var challenge sync.WaitGroup
		errs := make([]error, len(keys))
		for i, k := range keys {
			d := open(t, hosts[i])
			challenge.Go(func() { _, errs[i] = reservation.Acquire(t.Context(), d, k, nil) })
		}
		challenge.Wait()
		if errs[1] != nil {
			t.Errorf("round %d: the higher epoch does not win: %v", round, errs[1])
		}
		if err := reservation.Verify(t.Context(), open(t, hosts[0]), keys[0]); err == nil {
			t.Errorf("round %d: the lower epoch believes that it has the disk (its take-over: %v)", round, errs[0])
		}
		wantState(t, hosts[3], "two challengers", state{Keys: keys[1:], Holder: keys[1]})
		wantWriters(t, "two challengers", lun, hosts[1], hosts[0])
		wantWriters(t, "two challengers of a dead owner", lun, hosts[1], hosts[2])
	}
}

// TestGuestMultipathTakeOver fences a host with two paths, and has that host take the disk back by both.
func TestGuestMultipathTakeOver(t *testing.T) {
	guest.RequireFull(t)
	lun := guest.NewLUN(t, 8)
	paths := lun.Paths(t, 2)
	device, other, witness := guest.Multipath(t, paths...), lun.Path(t), lun.Path(t)
	first, second, third := key(t, ours, 1, 1), key(t, ours, 2, 2), key(t, ours, 1, 3)
	d := open(t, device)
	if _, err := reservation.Acquire(t.Context(), d, first, nil); err != nil {
		t.Fatal(err)
	}
	wantState(t, witness, "a take by two paths", state{Keys: []reservation.Key{first, first}, Holder: first})
	if r, err := reservation.Acquire(t.Context(), open(t, other), second, nil); err != nil || !r.Preempted {
		t.Fatalf("take-over from a host with two paths: %+v, %v", r, err)
	}
	wantState(t, witness, "a take-over from two paths", state{Keys: []reservation.Key{second}, Holder: second})
	for _, path := range paths {
		wantWriters(t, "fenced on "+path, lun, other, path)
	}
	if r, err := reservation.Acquire(t.Context(), d, third, nil); err != nil || !r.Preempted {
		t.Fatalf("taking back by two paths: %+v, %v", r, err)
	}
	guest.CutPath(t, paths[0])
	wantWriters(t, "with one path left", lun, device, other)
}
