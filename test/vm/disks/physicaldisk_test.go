package disks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/physicaldisk"
	"github.com/quorate/quorate/test/vm/guest"
)

// host is the agent of one host, as far as the disk is concerned.
type host struct {
	*physicaldisk.Type
	node   model.NodeID
	device string
	mount  string
	more   string
}

func newHost(t *testing.T, node model.NodeID, device, more string) *host {
	t.Helper()
	h := &host{Type: physicaldisk.New(), node: node, device: device, mount: filepath.Join(t.TempDir(), "mnt"), more: more}
	t.Cleanup(func() {
		for unix.Unmount(h.mount, unix.MNT_DETACH) == nil {
		}
	})
	return h
}

func (h *host) instance(epoch model.Epoch) *resourcetype.Instance {
	return &resourcetype.Instance{
		Type: physicaldisk.Name, Resource: resourcetype.Identity{UID: "1111", Namespace: "demo", Name: "disk"},
		ClusterID: "abcdef0123456789", Node: h.node, Epoch: epoch,
		Spec: json.RawMessage(fmt.Sprintf(`{"type":"PhysicalDisk","physicalDisk":{"device":%q,"mountPath":%q%s}}`, h.device, h.mount, h.more)),
	}
}

func (h *host) online(t *testing.T, inst *resourcetype.Instance) resourcetype.ReserveResult {
	t.Helper()
	r, err := h.Reserve(t.Context(), inst)
	must(t, err)
	must(t, h.Online(t.Context(), inst))
	must(t, h.IsAlive(t.Context(), inst))
	return r
}

func (h *host) write(t *testing.T, name, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(h.mount, name))
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	return f
}

func (h *host) has(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(h.mount, name)); err != nil || string(got) != want {
		t.Errorf("node %d reads %q, %v, want %q", h.node, got, err, want)
	}
}

// holds reports whether a file has the text in it, which repeats.
func holds(t *testing.T, file, text string) bool {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	for buf := make([]byte, 1<<20); ; {
		n, err := f.Read(buf)
		if bytes.Contains(buf[:n], []byte(text)) {
			return true
		}
		if errors.Is(err, io.EOF) {
			return false
		}
		must(t, err)
	}
}

// TestGuestPhysicalDisk is S2 on a real target: the old owner still has the disk mounted, and data in its cache, when the new owner
// takes the disk. Nothing of that gets to the disk; what was synced is there. Then the disk goes back, gracefully.
func TestGuestPhysicalDisk(t *testing.T) {
	guest.Require(t)
	for fsType, options := range map[string]string{"ext4": "commit=300", "xfs": "nouuid"} { // both hosts are one kernel
		t.Run(fsType, func(t *testing.T) {
			lun := guest.NewLUN(t, 320)
			devices := lun.Paths(t, 2)
			guest.Run(t, "mkfs."+fsType, "-q", devices[0])
			more := fmt.Sprintf(`,"fsType":%q,"options":[%q]`, fsType, options)
			a, b := newHost(t, 1, devices[0], more), newHost(t, 2, devices[1], more)
			onA := a.instance(1)
			if r := a.online(t, onA); r.Proof() || !r.Enforced {
				t.Errorf("a free disk gives %+v", r)
			}
			synced := a.write(t, "data", "synced")
			must(t, synced.Sync())
			must(t, synced.Close())
			late := a.write(t, "late", strings.Repeat("LATE", 1<<16))

			onB := b.instance(2)
			if r := b.online(t, onB); !r.Proof() || r.EpochFound != 1 {
				t.Errorf("a disk taken from its owner gives %+v, want proof", r)
			}
			witness(t, devices[0], key(2, 2), key(2, 2))
			if late.Sync() == nil {
				t.Error("the old owner still writes")
			}
			must(t, late.Close())
			if holds(t, lun.File, "LATELATE") {
				t.Error("something of the old owner reached the disk")
			}
			if err := a.LooksAlive(t.Context(), onA); err == nil {
				t.Error("the disk looks alive to the old owner")
			}
			if err := a.Verify(t.Context(), onA); !errors.Is(err, resourcetype.ErrReservationLost) {
				t.Errorf("Verify() of the old owner = %v", err)
			}
			must(t, a.Terminate(t.Context(), onA))
			must(t, a.Depart(t.Context(), onA))
			b.has(t, "data", "synced")
			must(t, b.Offline(t.Context(), onB))
			witness(t, devices[0], key(2, 2), key(2, 2)) // parked (O15)

			back := newHost(t, 1, devices[0], more+`,"fsck":"Force"`)
			again := back.instance(3)
			if r := back.online(t, again); !r.Proof() {
				t.Errorf("a parked disk gives %+v, want proof", r)
			}
			back.has(t, "data", "synced")
			must(t, back.Adopt(t.Context(), again))
			must(t, back.Offline(t.Context(), again))
		})
	}
}

// TestGuestForgets: the target forgets everything while the disk is mounted. The owner notices, shuts the file system down, and takes
// the disk anew, without proof (O17, O19); a reset alone changes nothing.
func TestGuestForgets(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 64)
	devices := lun.Paths(t, 2)
	guest.Run(t, "mkfs.ext4", "-q", devices[0])
	a := newHost(t, 1, devices[0], `,"fsType":"ext4"`)
	inst := a.instance(1)
	a.online(t, inst)
	f := a.write(t, "data", "synced")
	must(t, f.Sync())
	must(t, f.Close())
	must(t, open(t, devices[1]).LUNReset(t.Context()))
	must(t, a.Verify(t.Context(), inst))
	must(t, a.IsAlive(t.Context(), inst))
	calm(t, devices[1])
	if !guest.Persist(t, devices[1], "--register", "--param-sark=0x77") || !guest.Persist(t, devices[1], "--clear", "--param-rk=0x77") {
		t.Fatal("the disk cannot be cleared")
	}
	if err := a.LooksAlive(t.Context(), inst); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("LooksAlive() of a disk that forgot = %v", err)
	}
	must(t, a.Terminate(t.Context(), inst))
	again := a.instance(2)
	if r := a.online(t, again); r.Proof() {
		t.Errorf("a disk that forgot gives %+v, which must be no proof", r)
	}
	a.has(t, "data", "synced")
	must(t, a.Offline(t.Context(), again))
	must(t, reservation.Decommission(t.Context(), open(t, devices[0]), key(1, 2)))
	witness(t, devices[1], 0)
}

// TestGuestVolume takes a logical volume over between two owners of its volume group.
func TestGuestVolume(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "dm_mod")
	t.Setenv("DM_DISABLE_UDEV", "1") // nobody else makes the nodes
	lun := guest.NewLUN(t, 64)
	devices := lun.Paths(t, 2)
	on := []string{"--devices", devices[0]}
	guest.Run(t, "lvm", append([]string{"pvcreate", "-q"}, append(on, devices[0])...)...)
	guest.Run(t, "lvm", append([]string{"vgcreate", "-q"}, append(on, "my-vg", devices[0])...)...)
	guest.Run(t, "lvm", append([]string{"lvcreate", "-q", "-y", "-l", "100%FREE", "-n", "data"}, append(on, "my-vg")...)...)
	guest.Run(t, "mkfs.ext4", "-q", "/dev/mapper/my--vg-data")
	guest.Run(t, "lvm", append([]string{"lvchange", "-an"}, append(on, "my-vg/data")...)...)

	more := `,"fsType":"ext4","lvm":{"volumeGroup":"my-vg","logicalVolume":"data"}`
	a := newHost(t, 1, devices[0], more)
	onA := a.instance(1)
	a.online(t, onA)
	f := a.write(t, "data", "synced")
	must(t, f.Sync())
	must(t, f.Close())
	witness(t, devices[1], key(1, 1), key(1, 1))

	other := open(t, devices[1])
	if r, err := reservation.Acquire(t.Context(), other, key(2, 2), nil); err != nil || !r.Proof() {
		t.Fatalf("taking the volume's disk: %+v, %v", r, err)
	}
	if err := a.LooksAlive(t.Context(), onA); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("LooksAlive() of a volume whose disk was taken = %v", err)
	}
	must(t, a.Terminate(t.Context(), onA))
	if _, err := os.Stat("/dev/mapper/my--vg-data"); err == nil {
		t.Error("the volume is still active on the host that lost it")
	}

	b := newHost(t, 3, devices[0], more) // another node, by the path of the first
	onB := b.instance(3)
	if r := b.online(t, onB); !r.Proof() {
		t.Errorf("a volume that was taken gives %+v", r)
	}
	b.has(t, "data", "synced")
	owner := guest.Run(t, "lvm", append([]string{"vgs", "--foreign", "--noheadings", "-o", "vg_systemid"}, append(on, "my-vg")...)...)
	if got := strings.TrimSpace(owner); got != "quorate-abcdef0123456789-3" {
		t.Errorf("the group belongs to %q", got)
	}
	must(t, b.Offline(t.Context(), onB))
	if _, err := os.Stat("/dev/mapper/my--vg-data"); err == nil {
		t.Error("the volume is still active after it went offline")
	}
	// Nobody else activates it, as a host does at boot.
	out, err := guest.Try(t, "lvm", append([]string{"vgchange", "-ay"}, append(on, "my-vg")...)...)
	if _, statErr := os.Stat("/dev/mapper/my--vg-data"); statErr == nil {
		t.Errorf("any host may activate the volume: %s, %v", out, err)
	}
}
