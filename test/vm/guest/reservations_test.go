package guest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const typeFive = "--prout-type=5"

// TestGuestRegistrantsOnly takes a disk through the steps of a take-over with sg_persist alone: it shows what the target does, so that
// the tests of the project's own code stand on known ground.
func TestGuestRegistrantsOnly(t *testing.T) {
	Require(t)
	lun := NewLUN(t, 8)
	hosts := lun.Paths(t, 3)
	a, b, stranger := hosts[0], hosts[1], hosts[2]
	for _, step := range []struct {
		what    string
		device  string
		options []string
		refused bool
		want    Reservations
		writers []bool // who of the three may write afterwards
	}{
		{"a registers", a, []string{"--register", "--param-sark=0xa1"}, false, Reservations{Keys: []string{"0xa1"}}, []bool{true, true, true}},
		{"a reserves", a, []string{"--reserve", "--param-rk=0xa1", typeFive}, false,
			Reservations{Keys: []string{"0xa1"}, Holder: "0xa1", Type: "Write Exclusive, registrants only"}, []bool{true, false, false}},
		{"b, not registered, reserves", b, []string{"--reserve", "--param-rk=0xb1", typeFive}, true,
			Reservations{Keys: []string{"0xa1"}, Holder: "0xa1", Type: "Write Exclusive, registrants only"}, []bool{true, false, false}},
		{"b registers", b, []string{"--register", "--param-sark=0xb1"}, false,
			Reservations{Keys: []string{"0xa1", "0xb1"}, Holder: "0xa1", Type: "Write Exclusive, registrants only"}, []bool{true, true, false}},
		{"b reserves what a holds", b, []string{"--reserve", "--param-rk=0xb1", typeFive}, true,
			Reservations{Keys: []string{"0xa1", "0xb1"}, Holder: "0xa1", Type: "Write Exclusive, registrants only"}, []bool{true, true, false}},
		{"b preempts with a wrong own key", b, []string{"--preempt-abort", "--param-rk=0xb2", "--param-sark=0xa1", typeFive}, true,
			Reservations{Keys: []string{"0xa1", "0xb1"}, Holder: "0xa1", Type: "Write Exclusive, registrants only"}, []bool{true, true, false}},
		{"b preempts a", b, []string{"--preempt-abort", "--param-rk=0xb1", "--param-sark=0xa1", typeFive}, false,
			Reservations{Keys: []string{"0xb1"}, Holder: "0xb1", Type: "Write Exclusive, registrants only"}, []bool{false, true, false}},
		{"a, preempted, releases", a, []string{"--release", "--param-rk=0xa1", typeFive}, true,
			Reservations{Keys: []string{"0xb1"}, Holder: "0xb1", Type: "Write Exclusive, registrants only"}, []bool{false, true, false}},
		{"b clears", b, []string{"--clear", "--param-rk=0xb1"}, false, Reservations{}, []bool{true, true, true}},
	} {
		if taken := Persist(t, step.device, step.options...); taken == step.refused {
			t.Fatalf("%s: taken %v, want %v", step.what, taken, !step.refused)
		}
		if diff := cmp.Diff(step.want, ReadReservations(t, stranger)); diff != "" {
			t.Fatalf("after '%s' (-want +got):\n%s", step.what, diff)
		}
		checkWriters(t, step.what, lun, hosts, step.writers)
	}
}

// checkWriters lets every host write, and looks behind the target at what arrived.
func checkWriters(t *testing.T, after string, lun *LUN, hosts []string, may []bool) {
	t.Helper()
	for i, device := range hosts {
		before := lun.SectorBehind(t, int64(i))
		if got := WriteSector(t, device, int64(i), before+1); got != may[i] {
			t.Fatalf("after '%s': write of %s passed: %v, want %v", after, device, got, may[i])
		}
		if arrived := lun.SectorBehind(t, int64(i)) != before; arrived != may[i] {
			t.Fatalf("after '%s': write of %s reached the disk: %v, want %v", after, device, arrived, may[i])
		}
	}
}

// TestGuestCutPath shows that a cut path fails, and works again when it is mended.
func TestGuestCutPath(t *testing.T) {
	Require(t)
	device := NewLUN(t, 8).Path(t)
	CutPath(t, device)
	if err := writeDirect(device, 0, 1); err == nil {
		t.Fatal("a write on a cut path succeeds")
	}
	MendPath(t, device)
	if !WriteSector(t, device, 0, 1) {
		t.Fatal("the mended path refuses a write")
	}
}
