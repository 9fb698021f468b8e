package loopbackdisk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
	"github.com/quorate/quorate/test/mountns"
)

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) {
	if order := os.Getenv(writesEnv); order != "" && strings.HasPrefix(filepath.Base(os.Args[0]), "mkfs.") {
		if err := cutMkfs(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	mountns.Main(m)
}

// disk is a shared file with an emulated reservation in memory.
type disk struct {
	fake  *reservation.Fake
	file  string
	mount string
	run   string
}

const diskSize = 64 << 20

func newDisk(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{fake: reservation.NewFake(), file: filepath.Join(dir, "disk.img"), mount: filepath.Join(dir, "mnt"), run: dir}
	must(t, os.WriteFile(d.file, nil, 0o600))
	must(t, os.Truncate(d.file, diskSize))
	t.Cleanup(func() {
		for unix.Unmount(d.mount, unix.MNT_DETACH) == nil {
		}
	})
	return d
}

// host is a Type on one of the nodes that share the disk.
func (d *disk) host() *Type {
	return &Type{disks: holding.New(func(_ string, node model.NodeID) (reservation.Device, error) { return d.fake.Host(nexus(node)), nil })}
}

func (d *disk) instance(node model.NodeID, epoch model.Epoch, more ...string) *resourcetype.Instance {
	parameters := strings.Join(append([]string{
		fmt.Sprintf(`"file":%q,"mountPath":%q`, d.file, d.mount),
	}, more...), ",")
	return &resourcetype.Instance{
		Type:      Name,
		Resource:  resourcetype.Identity{UID: "1111", Namespace: "demo", Name: "disk"},
		ClusterID: "abcdef0123456789", Node: node, Epoch: epoch, RunDir: d.run,
		Spec: json.RawMessage(`{"type":"LoopbackDisk","loopbackDisk":{` + parameters + `}}`),
	}
}

const sized = `"size":"64Mi"`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// online reserves and mounts.
func online(t *testing.T, host *Type, inst *resourcetype.Instance) resourcetype.ReserveResult {
	t.Helper()
	result, err := host.Reserve(t.Context(), inst)
	must(t, err)
	must(t, host.Online(t.Context(), inst))
	return result
}

// idle fails if anything of this host still uses the disk.
func (d *disk) idle(t *testing.T) {
	t.Helper()
	if m, found, err := filesystem.FindMount(d.mount); err != nil || found {
		t.Errorf("%v is still mounted, %v", m.Info, err)
	}
	file, err := os.Open(d.file)
	must(t, err)
	if err := lock(file); err != nil {
		t.Errorf("the backing file: %v", err)
	}
	must(t, file.Close())
}

// TestLife formats a blank disk, moves it to another node with its data, and finds that the first node is stale then.
func TestLife(t *testing.T) {
	d := newDisk(t)
	a, b := d.host(), d.host()
	onA := d.instance(1, 1, sized)
	if r := online(t, a, onA); r.Proof() || !r.Enforced {
		t.Errorf("a free disk gives %+v, want no proof (O19)", r)
	}
	must(t, os.WriteFile(filepath.Join(d.mount, "data"), []byte("precious"), 0o600))
	must(t, a.LooksAlive(t.Context(), onA))
	must(t, a.IsAlive(t.Context(), onA))
	// O17: as long as it is in use here, it is not acquired anew.
	if _, err := b.Reserve(t.Context(), d.instance(2, 2, sized)); !errors.Is(err, holding.ErrBusy) {
		t.Errorf("reserving a disk that is in use = %v, want that it is busy", err)
	}
	must(t, a.Offline(t.Context(), onA))
	must(t, a.Offline(t.Context(), onA))
	d.idle(t)
	if st := d.fake.Status(); st.Holder.Node() != 1 {
		t.Errorf("after Offline the disk is held by %v, want it parked by node 1 (O15)", st.Holder)
	}
	onB := d.instance(2, 2, sized)
	begin := time.Now()
	if r := online(t, b, onB); !r.Proof() || r.EpochFound != 1 {
		t.Errorf("a parked disk gives %+v, want proof and epoch 1", r)
	}
	t.Logf("online in %v", time.Since(begin))
	if got, err := os.ReadFile(filepath.Join(d.mount, "data")); err != nil || string(got) != "precious" {
		t.Errorf("the data is %q, %v", got, err)
	}
	if err := a.Verify(t.Context(), onA); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("Verify() of the old owner = %v, want it lost", err)
	}
	must(t, b.Offline(t.Context(), onB))
	_, err := a.Reserve(t.Context(), d.instance(1, 1, sized))
	var stale *resourcetype.StaleError
	if !errors.As(err, &stale) || stale.Epoch != 2 {
		t.Errorf("Reserve() at an old epoch = %v, want stale at epoch 2 (O20)", err)
	}
	must(t, a.Depart(t.Context(), onA))
	must(t, b.Depart(t.Context(), onB))
	if st := d.fake.Status(); st.Holder.Node() != 2 {
		t.Errorf("after Depart the disk is held by %v, want it parked by node 2", st.Holder)
	}
}

// TestRefused: whatever is wrong, nothing is mounted, attached or written.
func TestRefused(t *testing.T) {
	tests := map[string]struct {
		fill   func(t *testing.T, d *disk)
		spec   string
		breaks func(d *disk, inst *resourcetype.Instance)
		want   string
	}{
		"blank, not to be formatted": {spec: `"fsType":"ext4"`, want: "is blank: set size"},
		"something else":             {fill: func(t *testing.T, d *disk) { write(t, d.file, 700_000, "x") }, spec: sized, want: "neither blank nor"},
		"another file system":        {fill: func(t *testing.T, d *disk) { write(t, d.file, 0, "XFSB") }, spec: sized, want: "of type xfs, not ext4"},
		"unknown file system":        {spec: sized + `,"fsType":"vfat"`, want: `"vfat" is not supported`},
		"bad option":                 {spec: sized + `,"options":["no-such-option"]`, want: "no-such-option"},
		"no lease": {spec: sized, want: "no quorum", breaks: func(_ *disk, inst *resourcetype.Instance) {
			inst.MayAct = func() error { return errors.New("no quorum") }
		}},
		"lease ends before the mount": {spec: sized, want: "no quorum", breaks: func(_ *disk, inst *resourcetype.Instance) {
			asked := 0
			inst.MayAct = func() error {
				if asked++; asked > 1 {
					return errors.New("no quorum")
				}
				return nil
			}
		}},
		"lease ends during the mount": {spec: sized, want: "no quorum", breaks: func(_ *disk, inst *resourcetype.Instance) {
			asked := 0
			inst.MayAct = func() error {
				if asked++; asked > 2 {
					return errors.New("no quorum")
				}
				return nil
			}
		}},
		"lost before the mount": {spec: sized, want: "lost", breaks: func(d *disk, _ *resourcetype.Instance) {
			_, _ = reservation.Acquire(context.Background(), d.fake.Host("node-9"), mustKey(9, 9), nil)
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			if tc.fill != nil {
				tc.fill(t, d)
			}
			host, inst := d.host(), d.instance(1, 1, tc.spec)
			_, err := host.Reserve(t.Context(), inst)
			must(t, err)
			if tc.breaks != nil {
				tc.breaks(d, inst)
			}
			if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			d.idle(t)
		})
	}
}

func write(t *testing.T, file string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(text), at)
	must(t, err)
	must(t, f.Close())
}

// TestOccupied: somebody else's mount is left alone.
func TestOccupied(t *testing.T) {
	d := newDisk(t)
	must(t, os.Mkdir(d.mount, 0o755))
	must(t, unix.Mount("tmpfs", d.mount, "tmpfs", 0, ""))
	host, inst := d.host(), d.instance(1, 1, sized)
	_, err := host.Reserve(t.Context(), inst)
	must(t, err)
	if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "is mounted on") {
		t.Errorf("Online() = %v", err)
	}
	must(t, host.Terminate(t.Context(), inst))
	must(t, host.Offline(t.Context(), inst))
	if m, found, err := filesystem.FindMount(d.mount); err != nil || !found || m.FSType != "tmpfs" {
		t.Errorf("the other mount is gone: %v, %v", m.Info, err)
	}
}

// TestTerminate takes the disk from a process that uses it, from the record alone. What the process had not synced never gets to the
// disk, and the disk cannot be had again before the process has gone.
func TestTerminate(t *testing.T) {
	d := newDisk(t)
	inst := d.instance(1, 1, sized)
	online(t, d.host(), inst)
	file, err := os.Create(filepath.Join(d.mount, "open"))
	must(t, err)
	_, err = file.WriteString("not synced")
	must(t, err)
	err = d.host().Offline(t.Context(), inst)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d (", os.Getpid())) {
		t.Errorf("Offline() of a disk in use = %v, want it to name process %d", err, os.Getpid())
	}
	_, err = file.WriteString(" and late") // what was there before, the graceful attempt may have written
	must(t, err)
	must(t, d.host().Terminate(t.Context(), inst))
	must(t, d.host().Terminate(t.Context(), inst))
	if err := file.Sync(); err == nil {
		t.Error("a write got to a disk that was terminated")
	}
	if _, found, err := filesystem.FindMount(d.mount); err != nil || found {
		t.Errorf("the disk is still mounted, %v", err)
	}
	if _, err := d.host().Reserve(t.Context(), inst); !errors.Is(err, holding.ErrBusy) {
		t.Errorf("Reserve() with a process on the old mount = %v, want it busy (O17)", err)
	}
	_ = file.Close()
	online(t, d.host(), inst)
	if raw, err := os.ReadFile(filepath.Join(d.mount, "open")); err == nil && strings.Contains(string(raw), "late") {
		t.Errorf("the disk has %q, which was never synced", raw)
	}
	must(t, d.host().Terminate(t.Context(), inst))
	d.idle(t)
}

// TestEpochInPlace raises the epoch of a disk in use; a check with an instance of the old epoch goes on.
func TestEpochInPlace(t *testing.T) {
	d := newDisk(t)
	host, inst := d.host(), d.instance(1, 1, sized)
	online(t, host, inst)
	old := *inst
	inst.Epoch = 5
	r, err := host.Reserve(t.Context(), inst)
	must(t, err)
	if !r.Proof() || r.EpochFound != 1 {
		t.Errorf("Reserve() = %+v, want proof: nobody else could have had it", r)
	}
	must(t, host.LooksAlive(t.Context(), &old))
	must(t, host.LooksAlive(t.Context(), inst))
	if got := d.fake.Services("node-1"); got[len(got)-1] != "register" {
		t.Errorf("commands %v, want a plain register at last (O17)", got)
	}
	if _, err = reservation.Acquire(t.Context(), d.fake.Host("node-2"), mustKey(2, 6), nil); err != nil {
		t.Fatal(err)
	}
	inst.Epoch = 7
	if _, err = host.Reserve(t.Context(), inst); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("Reserve() of a disk that was taken = %v, want it lost", err)
	}
	must(t, host.Terminate(t.Context(), inst))
}

// TestAdopt takes over what runs, and nothing else, without a command to the disk.
func TestAdopt(t *testing.T) {
	d := newDisk(t)
	inst := d.instance(1, 1, sized)
	online(t, d.host(), inst)
	before := len(d.fake.Log)
	next := d.host()
	must(t, next.Adopt(t.Context(), inst))
	if got := d.fake.Log[before:]; len(got) > 0 {
		t.Errorf("an adoption sent %v", got)
	}
	must(t, next.IsAlive(t.Context(), inst))

	other := *inst
	other.Data = json.RawMessage(strings.Replace(string(inst.Data), `"online":true`, `"online":false`, 1))
	if err := d.host().Adopt(t.Context(), &other); err == nil {
		t.Error("a disk that was not online yet was adopted")
	}
	if _, err := reservation.Acquire(t.Context(), d.fake.Host("node-2"), mustKey(2, 2), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.host().Adopt(t.Context(), inst); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("Adopt() of a lost disk = %v", err)
	}
	must(t, next.Terminate(t.Context(), inst))
	if err := d.host().Adopt(t.Context(), inst); err == nil {
		t.Error("a disk that is not mounted was adopted")
	}
}

// TestWatch sees a file system that has been shut down.
func TestWatch(t *testing.T) {
	d := newDisk(t)
	host, inst := d.host(), d.instance(1, 1, sized)
	online(t, host, inst)
	failed, err := host.Watch(t.Context(), inst)
	must(t, err)
	must(t, filesystem.ShutDown(d.mount))
	if err := host.LooksAlive(t.Context(), inst); err == nil {
		t.Error("a file system that is shut down looks alive")
	}
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "shut down") {
			t.Errorf("the watch says %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the watch says nothing")
	}
	must(t, host.Terminate(t.Context(), inst))
}
