package disks

import (
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/vm/guest"
)

// TestGuestClearForeign: another cluster's program holds the disk, in each of the ways there are. An operator's act removes it, and only
// what was named; then the group starts. sg_persist plays the other program, and says what is on the disk.
func TestGuestClearForeign(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 64)
	devices := lun.Paths(t, 3)
	guest.Run(t, "mkfs.ext4", "-q", devices[0])
	a := newHost(t, 1, devices[0], `,"fsType":"ext4"`)
	const alien, second = reservation.Key(0xfeed), reservation.Key(0xbeef)
	for _, kind := range []string{"1", "3", "5", "6", "7", "8"} { // Write Exclusive, Exclusive Access, and both for registrants
		reserve := func() {
			if !guest.Persist(t, devices[1], "--register", "--param-sark=0xfeed") || !guest.Persist(t, devices[2], "--register", "--param-sark=0xbeef") ||
				!guest.Persist(t, devices[1], "--reserve", "--param-rk=0xfeed", "--prout-type="+kind) {
				t.Fatalf("type %s cannot be reserved", kind)
			}
		}
		reserve()
		inst := a.instance(2)
		var foreign *reservation.ForeignError
		if _, err := a.Reserve(t.Context(), inst); !errors.As(err, &foreign) {
			t.Fatalf("type %s: Reserve() = %v, want a foreign key", kind, err)
		}
		before := guest.ReadReservations(t, devices[2])
		var unnamed *reservation.UnnamedError
		if _, err := a.ClearForeign(t.Context(), inst, []reservation.Key{alien}); !errors.As(err, &unnamed) || !slices.Equal(unnamed.Keys, []reservation.Key{second}) {
			t.Errorf("type %s: one key is named of two: %v", kind, err)
		}
		if after := guest.ReadReservations(t, devices[2]); !slices.Equal(after.Keys, before.Keys) || after.Holder != before.Holder || after.Type != before.Type {
			t.Errorf("type %s: a refused act has changed %+v to %+v", kind, before, after)
		}
		removed, err := a.ClearForeign(t.Context(), inst, []reservation.Key{alien, second})
		must(t, err)
		if !slices.Equal(removed, []reservation.Key{second, alien}) {
			t.Errorf("type %s: removed %v", kind, removed)
		}
		if kind == "7" || kind == "8" {
			witness(t, devices[1], 0) // held by all, so it had to be cleared
		} else {
			witness(t, devices[1], key(1, 1), key(1, 1)) // taken over, never free
		}
		if guest.WriteSector(t, devices[1], 4, 1) != (kind == "7" || kind == "8") {
			t.Errorf("type %s: the other program's write is not treated as it should be", kind)
		}
		if r := a.online(t, inst); r.Proof() != (kind != "7" && kind != "8") {
			t.Errorf("type %s: the group that starts then gets %+v", kind, r)
		}
		if _, err := a.ClearForeign(t.Context(), inst, []reservation.Key{alien}); err == nil {
			t.Errorf("type %s: it is not refused while the disk is in use", kind)
		}
		must(t, a.Offline(t.Context(), inst))
		must(t, reservation.Decommission(t.Context(), open(t, devices[0]), key(1, 2)))
		calm(t, devices[1])
		calm(t, devices[2])
	}
}
