package disks

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/vm/guest"
)

// newMap puts a multipath device over paths, as multipathd does.
func newMap(t *testing.T, name string, paths ...string) string {
	t.Helper()
	guest.Modprobe(t, "dm_multipath", "dm_round_robin")
	size := strings.TrimSpace(guest.Run(t, "blockdev", "--getsz", paths[0]))
	table := fmt.Sprintf("0 %s multipath 0 0 1 1 round-robin 0 %d 1 %s 1", size, len(paths), strings.Join(paths, " 1 "))
	t.Setenv("DM_DISABLE_UDEV", "1") // nobody else makes the nodes
	guest.Run(t, "dmsetup", "create", name, "--uuid", "mpath-3"+name, "--table", table)
	t.Cleanup(func() {
		if out, err := exec.Command("dmsetup", "remove", "--force", name).CombinedOutput(); err != nil {
			t.Logf("dmsetup remove: %v: %s", err, out)
		}
	})
	return "/dev/mapper/" + name
}

// TestGuestMultipath holds a disk over two paths of a real map: both are registered, one dies and comes back, and another host takes
// the disk (O16, O18).
func TestGuestMultipath(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	devices := lun.Paths(t, 3)
	name := newMap(t, "mpa", devices[0], devices[1])
	if _, err := reservation.OpenDisk(devices[0]); err == nil || !strings.Contains(err.Error(), "path of the multipath device "+name) {
		t.Errorf("OpenDisk() of one path = %v", err)
	}
	a, b := open(t, name), open(t, devices[2])
	k1, k2 := key(1, 1), key(2, 2)
	_, err := reservation.Acquire(t.Context(), a, k1, nil)
	must(t, err)
	witness(t, devices[2], k1, k1, k1)
	for range 4 { // round robin: both paths are used
		if !guest.WriteSector(t, name, 0, 1) {
			t.Fatal("a registered path does not write")
		}
	}

	guest.CutPath(t, devices[1])
	must(t, reservation.Verify(t.Context(), a, k1))
	if out := guest.Run(t, "dmsetup", "status", name); !strings.Contains(out, " F ") {
		t.Errorf("the dead path is in use: %s", out)
	}
	if !guest.WriteSector(t, name, 0, 2) {
		t.Error("the path that lives does not write")
	}
	guest.MendPath(t, devices[1])
	must(t, reservation.Verify(t.Context(), a, k1))
	if out := guest.Run(t, "dmsetup", "status", name); strings.Contains(out, " F ") {
		t.Errorf("the path that came back is not in use: %s", out)
	}

	// The epoch changes while one path is dead, which leaves the old key behind; it is removed, and the path gets the new one.
	guest.CutPath(t, devices[0])
	must(t, reservation.Verify(t.Context(), a, k1))
	k3 := key(1, 3)
	must(t, reservation.Advance(t.Context(), a, k1, k3))
	witness(t, devices[2], k3, k3)
	guest.MendPath(t, devices[0])
	must(t, reservation.Verify(t.Context(), a, k3))
	witness(t, devices[2], k3, k3, k3)

	var stale *reservation.StaleError
	if _, err := reservation.Acquire(t.Context(), b, k2, nil); !errors.As(err, &stale) {
		t.Errorf("Acquire() at a stale epoch = %v", err)
	}
	k4 := key(2, 4)
	r, err := reservation.Acquire(t.Context(), b, k4, nil)
	must(t, err)
	if !r.Proof() {
		t.Errorf("taken from a host with two paths: %+v", r)
	}
	witness(t, devices[0], k4, k4)
	for range 4 {
		if guest.WriteSector(t, name, 0, 9) {
			t.Fatal("a path of the old owner writes")
		}
	}
	if err := reservation.Verify(t.Context(), a, k3); !errors.Is(err, reservation.ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
}

// TestGuestDead: a dead path is told from a disk that refuses, and works again when it is mended.
func TestGuestDead(t *testing.T) {
	guest.Require(t)
	device := guest.NewLUN(t, 8).Path(t)
	dev := open(t, device)
	guest.CutPath(t, device)
	if _, err := dev.ReadStatus(t.Context()); !errors.Is(err, reservation.ErrPath) {
		t.Errorf("ReadStatus() of a dead path = %v", err)
	}
	guest.MendPath(t, device)
	_, err := dev.ReadStatus(t.Context())
	if errors.Is(err, reservation.ErrAttention) {
		_, err = dev.ReadStatus(t.Context())
	}
	must(t, err)
}
