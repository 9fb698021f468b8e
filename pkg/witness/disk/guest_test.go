package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
	"github.com/quorate/quorate/test/vm/guest"
)

// shared is one LUN of a real target, and the hosts' paths to it.
type shared struct {
	lun   *guest.LUN
	paths map[model.NodeID]string
}

func newShared(t *testing.T, mib int) *shared {
	return &shared{lun: guest.NewLUN(t, mib), paths: map[model.NodeID]string{}}
}

func (s *shared) path(t *testing.T, node model.NodeID) string {
	t.Helper()
	if s.paths[node] == "" {
		s.paths[node] = s.lun.Path(t)
	}
	return s.paths[node]
}

// open opens the disk for a host that may have it open already, as a test's second life of a host has.
func (s *shared) open(t *testing.T, node model.NodeID) witness.Device {
	t.Helper()
	path := s.path(t, node)
	pr, err := reservation.OpenDisk(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT|unix.O_DSYNC, 0)
	must(t, err)
	d, err := New(t.Context(), path, pr, file{f}, witnesstest.Cluster)
	must(t, err)
	return d
}

// clear makes the disk blank, and takes all registrations from it.
func (s *shared) clear(t *testing.T, node model.NodeID) {
	t.Helper()
	path := s.path(t, node)
	guest.Persist(t, path, "--register-ignore", "--param-sark=0xc1ea")
	if !guest.Persist(t, path, "--clear", "--param-rk=0xc1ea") {
		t.Fatal("the target does not clear its registrations")
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT|unix.O_DSYNC, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(aligned(reserved), 0)
	must(t, err)
}

// TestGuestConformance: a disk of a real SCSI target, reached by a path for each host, is a witness.
func TestGuestConformance(t *testing.T) {
	guest.Require(t)
	s := newShared(t, MinSize>>20)
	witnesstest.Run(t, func(tt *testing.T) witnesstest.Open {
		s.clear(t, 1)
		return func(tt *testing.T, node model.NodeID) witness.Device {
			s.path(t, node) // the path outlives the test that is the first to need it
			return s.open(tt, node)
		}
	})
}

// TestGuestOutside: what the target says, asked by sg_persist, and what its disk holds, is what the witness says.
func TestGuestOutside(t *testing.T) {
	guest.Require(t)
	s := newShared(t, MinSize>>20)
	a, b := s.open(t, 1), s.open(t, 2)
	keyA, keyB := witnesstest.Key(t, 1, 1), witnesstest.Key(t, 2, 1)
	third := s.path(t, 3)
	want := func(after string, holder reservation.Key, keys ...reservation.Key) {
		t.Helper()
		w := guest.Reservations{}
		for _, k := range keys {
			w.Keys = append(w.Keys, fmt.Sprintf("%#x", uint64(k)))
		}
		if holder != 0 {
			w.Holder, w.Type = fmt.Sprintf("%#x", uint64(holder)), "Write Exclusive, registrants only"
		}
		got := guest.ReadReservations(t, third)
		slices.Sort(got.Keys)
		slices.Sort(w.Keys)
		if diff := cmp.Diff(w, got); diff != "" {
			t.Fatalf("after %s the target says (-want +got):\n%s", after, diff)
		}
	}
	must(t, a.Register(t.Context(), keyA))
	want("a registers", 0, keyA)
	must(t, a.Take(t.Context(), keyA, 0))
	want("a takes", keyA, keyA)
	must(t, b.Register(t.Context(), keyB))
	want("b challenges", keyA, keyA, keyB)
	must(t, a.Remove(t.Context(), keyA, keyB))
	want("a removes it", keyA, keyA)
	must(t, b.Register(t.Context(), keyB))
	must(t, b.Take(t.Context(), keyB, keyA))
	want("b preempts", keyB, keyB)
	const free = MinSize/block - 1 // the disk's last block is no part of the witness
	if guest.WriteSector(t, s.path(t, 1), free, 0xaa) {
		t.Error("the target takes a write of the preempted holder")
	}
	if !guest.WriteSector(t, s.path(t, 2), free, 0xbb) || s.lun.SectorBehind(t, free) != 0xbb {
		t.Error("the target does not take a write of the holder")
	}
	record := quorum.NewRecord(3, 2, []model.NodeID{2})
	must(t, b.Save(t.Context(), keyB, witness.Content{ClusterID: witnesstest.Cluster, Committed: record}))
	if err := a.(*Device).saveRecords(1, records{Committed: quorum.NewRecord(9, 1, []model.NodeID{1})}); !errors.Is(err, unix.EBADE) {
		t.Errorf("a late write of the preempted holder: %v, want EBADE", err)
	}
	got, err := b.Load(t.Context())
	must(t, err)
	if !got.Committed.Equal(record) {
		t.Errorf("the witness has %v, want %v", got.Committed, record)
	}
	must(t, b.Unregister(t.Context(), keyB))
	want("b leaves", 0)
}

// TestGuestPath: a path that fails is an error in bounded time, and is used again when it is back.
func TestGuestPath(t *testing.T) {
	guest.Require(t)
	s := newShared(t, MinSize>>20)
	a, me := s.open(t, 1), witnesstest.Key(t, 1, 1)
	must(t, a.Register(t.Context(), me))
	must(t, a.Take(t.Context(), me, 0))
	guest.CutPath(t, s.path(t, 1))
	if _, err := a.Look(t.Context(), me); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("over a path that is cut: %v, want %v", err, witness.ErrUnreachable)
	}
	guest.MendPath(t, s.path(t, 1))
	guest.Eventually(t, "the path", func() bool {
		st, err := a.Look(t.Context(), me)
		return err == nil && st.Holder == me
	})
}

// TestGuestRefuses: disks that are no witness, each with the kernel's or the target's own word.
func TestGuestRefuses(t *testing.T) {
	guest.Require(t)
	s := newShared(t, MinSize>>20)
	path := s.path(t, 1)
	open := func() error {
		d, err := Open(t.Context(), Options{Device: path, Cluster: witnesstest.Cluster})
		if err == nil {
			must(t, d.Close())
		}
		return err
	}
	refused := func(what string, want error, text string) {
		t.Helper()
		if err := open(); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %v that says %q", what, err, want, text)
		}
	}
	must(t, open())

	guest.Modprobe(t, "ext4")
	guest.Run(t, "mkfs.ext4", "-q", path)
	refused("a file system", witness.ErrInUse, "ext4")
	mount := t.TempDir()
	guest.Run(t, "mount", path, mount)
	refused("a mounted disk", witness.ErrInUse, "mounted")
	guest.Run(t, "umount", mount)
	s.clear(t, 1)
	must(t, open())

	guest.Modprobe(t, "dm_mod")
	guest.Run(t, "pvcreate", "-q", path)
	refused("an LVM physical volume", witness.ErrInUse, "LVM")
	s.clear(t, 1)

	guest.Persist(t, path, "--register-ignore", "--param-sark=0x1234560010000001")
	refused("another cluster's key", witness.ErrForeign, "0x1234560010000001")
	s.clear(t, 1)

	d, err := Open(t.Context(), Options{Device: path, Cluster: witnesstest.Cluster})
	must(t, err)
	if _, err := unix.Open(path, unix.O_RDWR|unix.O_EXCL, 0); !errors.Is(err, unix.EBUSY) {
		t.Errorf("claiming the disk while it is the witness: %v, want %v", err, unix.EBUSY)
	}
	must(t, d.Close())

	small := guest.NewLUN(t, 8).Path(t)
	if _, err := Open(t.Context(), Options{Device: small, Cluster: witnesstest.Cluster}); !errors.Is(err, witness.ErrTooSmall) {
		t.Errorf("a small disk: %v, want %v", err, witness.ErrTooSmall)
	}
}
