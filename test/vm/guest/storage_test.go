package guest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGuestMultipath writes through two paths of one host: one may fail, not both, and a reservation of another host is met on all.
func TestGuestMultipath(t *testing.T) {
	RequireFull(t) // the packages that use it show it in every run
	lun := NewLUN(t, 8)
	paths := lun.Paths(t, 2)
	device := Multipath(t, paths...)
	if !WriteSector(t, device, 0, 1) || lun.SectorBehind(t, 0) != 1 {
		t.Fatal("a write with both paths does not arrive")
	}
	CutPath(t, paths[0])
	if !WriteSector(t, device, 0, 2) || lun.SectorBehind(t, 0) != 2 {
		t.Fatal("a write with one path does not arrive")
	}
	CutPath(t, paths[1])
	if err := writeDirect(device, 0, 3); !errors.Is(err, unix.EIO) {
		t.Fatalf("a write with no path: %v, want EIO", err)
	}
}

// TestGuestMultipathFenced has another host reserve the disk: the host with two paths cannot write by either.
func TestGuestMultipathFenced(t *testing.T) {
	RequireFull(t) // the packages that use it show it in every run
	lun := NewLUN(t, 8)
	device := Multipath(t, lun.Paths(t, 2)...)
	other := lun.Path(t)
	if !Persist(t, other, "--register", "--param-sark=0xb1") || !Persist(t, other, "--reserve", "--param-rk=0xb1", typeFive) {
		t.Fatal("the other host cannot reserve the disk")
	}
	if err := writeDirect(device, 0, 7); err == nil || lun.SectorBehind(t, 0) == 7 {
		t.Fatalf("a fenced host's write: %v, and the disk has %d", err, lun.SectorBehind(t, 0))
	}
	if !WriteSector(t, other, 0, 8) || lun.SectorBehind(t, 0) != 8 {
		t.Fatal("the owner's write does not arrive")
	}
}

// TestGuestNFS mounts a file server, lets it hang and come back, and makes its handles stale.
func TestGuestNFS(t *testing.T) {
	RequireFull(t) // the packages that use it show it in every run
	server := NewNFS(t)
	at := server.Mount(t, "soft,timeo=10,retrans=1,lookupcache=none,actimeo=0")
	file := filepath.Join(at, "vote")
	write := func(content string) error {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_SYNC, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(content)
		return errors.Join(err, f.Close())
	}
	if err := write("one"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, server.Export, "vote"); got != "one" {
		t.Fatalf("the server has %q", got)
	}
	server.Hang(t)
	if err := write("two"); err == nil {
		t.Fatal("a write to a hung server succeeds")
	}
	server.Resume(t)
	Eventually(t, "the server to answer again", func() bool { return write("three") == nil })
	if got := get(t, server.Export, "vote"); got != "three" {
		t.Fatalf("after the hang the server has %q", got)
	}
	server.MakeStale(t)
	if _, err := os.ReadDir(at); !errors.Is(err, unix.ESTALE) {
		t.Fatalf("reading a folder that the server no longer has: %v, want ESTALE", err)
	}
}

// TestGuestSoftdog feeds the watchdog and disarms it: the guest goes on. That it resets one which stops feeding is shown from outside.
func TestGuestSoftdog(t *testing.T) {
	RequireFull(t) // the packages that use it show it in every run
	device := Softdog(t, 60)
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("feed"); err != nil {
		t.Error(err)
	}
	if left, err := unix.IoctlGetInt(int(f.Fd()), unix.WDIOC_GETTIMEOUT); err != nil || left != 60 {
		t.Errorf("the watchdog's time is %d: %v, want 60", left, err)
	}
	if _, err := f.WriteString("V"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := get(t, "/sys/class/watchdog/watchdog0/state"); got != "inactive" {
		t.Errorf("after a V the watchdog is %s", got)
	}
}
