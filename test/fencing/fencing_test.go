package fencing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/loopbackdisk"
	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/loopdev"
	"github.com/quorate/quorate/test/mountns"
)

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) { mountns.Main(m) }

// host is one of the hosts that share the array.
type host struct {
	*loopbackdisk.Type
	node  model.NodeID
	port  *array.Port
	file  string
	mount string
	run   string
}

// newHosts makes an array with one blank disk, and two hosts that reach it.
func newHosts(t *testing.T) (disks *array.Array, a, b *host) {
	t.Helper()
	if !array.Enforcing {
		t.Skip("nothing is enforced in this build")
	}
	disks, err := array.New(filepath.Join(t.TempDir(), "backing"), 1, 64<<20)
	must(t, err)
	t.Cleanup(func() { _ = disks.Close() })
	var hosts []*host
	for n, name := range []string{"a", "b"} {
		dir := t.TempDir()
		h := &host{
			Type: loopbackdisk.New(), node: model.NodeID(n + 1), port: disks.Port(name),
			file: filepath.Join(dir, "array", array.DiskName(1)), mount: filepath.Join(dir, "mnt"), run: dir,
		}
		m, err := h.port.Mount(filepath.Join(dir, "array"))
		must(t, err)
		t.Cleanup(func() {
			h.port.Cut()
			for unix.Unmount(h.mount, unix.MNT_DETACH) == nil {
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := loopdev.DetachAll(ctx, m.Files()); err != nil {
				t.Error(err)
			}
		})
		hosts = append(hosts, h)
	}
	return disks, hosts[0], hosts[1]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *host) instance(epoch model.Epoch) *resourcetype.Instance {
	return &resourcetype.Instance{
		Type:      loopbackdisk.Name,
		Resource:  resourcetype.Identity{UID: "1111", Namespace: "demo", Name: "disk"},
		ClusterID: "abcdef0123456789", Node: h.node, Epoch: epoch, RunDir: h.run,
		Spec: json.RawMessage(fmt.Sprintf(
			`{"type":"LoopbackDisk","loopbackDisk":{"file":%q,"mountPath":%q,"size":"64Mi","options":["commit=300"]}}`, h.file, h.mount)),
	}
}

// online reserves and mounts, and tells how long both took.
func (h *host) online(t *testing.T, inst *resourcetype.Instance) resourcetype.ReserveResult {
	t.Helper()
	begin := time.Now()
	r, err := h.Reserve(t.Context(), inst)
	must(t, err)
	fenced := time.Since(begin)
	must(t, h.Online(t.Context(), inst))
	t.Logf("node %d: reserved in %v, online in %v", h.node, fenced, time.Since(begin))
	return r
}

func writeSynced(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

// TestTakeOver is S2 with everything in place: the old owner still has the disk mounted and data in its cache when the new owner
// takes the disk. Nothing of that gets to the disk, the old owner finds out, and what it had synced is there.
func TestTakeOver(t *testing.T) {
	disks, a, b := newHosts(t)
	onA := a.instance(1)
	if r := a.online(t, onA); !r.Enforced || r.Proof() {
		t.Errorf("a free disk gives %+v", r)
	}
	writeSynced(t, filepath.Join(a.mount, "data"), "synced")
	late, err := os.Create(filepath.Join(a.mount, "late"))
	must(t, err)
	_, err = late.Write(bytes.Repeat([]byte("LATE"), 1<<16))
	must(t, err)

	onB := b.instance(2)
	if r := b.online(t, onB); !r.Proof() || r.EpochFound != 1 {
		t.Errorf("a disk taken from its owner gives %+v, want proof", r)
	}
	before, err := os.ReadFile(disks.Backing(1))
	must(t, err)
	if late.Sync() == nil {
		t.Error("the old owner still writes")
	}
	must(t, late.Close())
	after, err := os.ReadFile(disks.Backing(1))
	must(t, err)
	if !bytes.Equal(before, after) || bytes.Contains(after, []byte("LATELATE")) {
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
	var stale *resourcetype.StaleError
	if _, err := a.Reserve(t.Context(), a.instance(1)); !errors.As(err, &stale) {
		t.Errorf("Reserve() at the old epoch = %v, want stale", err)
	}
	if got, err := os.ReadFile(filepath.Join(b.mount, "data")); err != nil || string(got) != "synced" {
		t.Errorf("the new owner reads %q, %v", got, err)
	}
	must(t, b.IsAlive(t.Context(), onB))

	// And back, gracefully: the parked reservation is taken over.
	writeSynced(t, filepath.Join(b.mount, "data"), "synced twice")
	must(t, b.Offline(t.Context(), onB))
	back := a.instance(3)
	if r := a.online(t, back); !r.Proof() {
		t.Errorf("a parked disk gives %+v, want proof", r)
	}
	if got, err := os.ReadFile(filepath.Join(a.mount, "data")); err != nil || string(got) != "synced twice" {
		t.Errorf("after the way back it reads %q, %v", got, err)
	}
	must(t, a.Offline(t.Context(), back))
}

// TestPowerCut takes the disk from a host that has lost its power: what it had synced is there, and only that.
func TestPowerCut(t *testing.T) {
	_, a, b := newHosts(t)
	a.online(t, a.instance(1))
	writeSynced(t, filepath.Join(a.mount, "data"), "synced")
	must(t, os.WriteFile(filepath.Join(a.mount, "late"), []byte("not synced"), 0o600))
	a.port.Cut()
	onB := b.instance(2)
	if r := b.online(t, onB); !r.Proof() {
		t.Errorf("the disk of a dead host gives %+v, want proof", r)
	}
	entries, err := os.ReadDir(b.mount)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"data", "lost+found"}; !slices.Equal(names, want) {
		t.Errorf("the disk has %v, want %v", names, want)
	}
	must(t, b.Offline(t.Context(), onB))
}

// TestPathFails: a host whose path to the disk fails notices, and can be cleaned up while the other goes on.
func TestPathFails(t *testing.T) {
	_, a, b := newHosts(t)
	onA := a.instance(1)
	a.online(t, onA)
	failed, err := a.Watch(t.Context(), onA)
	must(t, err)
	f, err := os.Create(filepath.Join(a.mount, "data"))
	must(t, err)
	must(t, f.Sync())
	must(t, a.port.SetPath(1, array.PathFailed))
	if err := a.LooksAlive(t.Context(), onA); err == nil || errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("LooksAlive() on a failed path = %v, want an error, but not a lost reservation", err)
	}
	// A program that writes makes the file system give up, which is seen without a poll.
	_, _ = f.WriteString("x")
	if f.Sync() == nil {
		t.Error("a write got through a failed path")
	}
	must(t, f.Close())
	select {
	case err := <-failed:
		t.Logf("the watch says: %v", err)
		if err == nil {
			t.Error("the watch ended without a word")
		}
	case <-time.After(5 * time.Second):
		t.Error("the watch says nothing")
	}
	onB := b.instance(2)
	b.online(t, onB)
	must(t, a.Terminate(t.Context(), onA))
	must(t, b.IsAlive(t.Context(), onB))
	must(t, b.Offline(t.Context(), onB))
	must(t, a.port.SetPath(1, array.PathOK))
	again := a.instance(3)
	a.online(t, again)
	must(t, a.Offline(t.Context(), again))
}

// TestPathHangs: a disk that does not answer holds up nobody past the deadline, and the other host takes over meanwhile.
func TestPathHangs(t *testing.T) {
	_, a, b := newHosts(t)
	onA := a.instance(1)
	a.online(t, onA)
	must(t, a.port.SetPath(1, array.PathHung))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- a.IsAlive(ctx, onA) }()
	go func() { done <- a.Terminate(ctx, onA) }()
	onB := b.instance(2)
	if r := b.online(t, onB); !r.Proof() {
		t.Errorf("the disk of a host with a hung path gives %+v, want proof", r)
	}
	must(t, b.IsAlive(t.Context(), onB))
	<-ctx.Done()
	must(t, a.port.SetPath(1, array.PathOK))
	for range 2 {
		t.Logf("on the hung path: %v", <-done)
	}
	must(t, a.Terminate(t.Context(), onA))
	must(t, b.IsAlive(t.Context(), onB))
	must(t, b.Offline(t.Context(), onB))
}
