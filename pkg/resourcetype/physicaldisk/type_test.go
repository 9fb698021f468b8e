package physicaldisk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
	"github.com/quorate/quorate/test/mountns"
)

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) { mountns.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// disk is a loop device whose reservation is in memory. It stands for a shared disk: the guest has real ones.
type disk struct {
	fake  *reservation.Fake
	dev   string
	mount string
	// name is what the disk calls itself.
	name string
}

func newDisk(t *testing.T, fsType string) *disk {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.img")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, 320<<20)) // the least that mkfs.xfs takes
	if fsType != "" {
		out, err := exec.Command("mkfs."+fsType, "-q", file).CombinedOutput()
		if err != nil {
			t.Fatalf("mkfs.%s: %v: %s", fsType, err, out)
		}
	}
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v: %s", err, out)
	}
	d := &disk{fake: reservation.NewFake(), dev: strings.TrimSpace(string(out)), mount: filepath.Join(dir, "mnt"), name: "naa.6001405aa"}
	t.Cleanup(func() {
		for unix.Unmount(d.mount, unix.MNT_DETACH) == nil {
		}
		if out, err := exec.Command("losetup", "--detach", d.dev).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	})
	return d
}

// called is a Device with a name.
type called struct {
	reservation.Device
	d *disk
}

func (c called) Identity(context.Context) (string, error) { return c.d.name, nil }

// hostStorage is the real storage, but for what loop devices cannot be.
type hostStorage struct {
	*linux
	layoutOf func() (layout, error)
}

func (h hostStorage) Layout(context.Context, *v1alpha1.PhysicalDisk) (layout, error) {
	return h.layoutOf()
}

// host is a Type on one of the nodes that share the disk.
func (d *disk) host() *Type {
	real := &linux{devices: blockdev.Host()}
	return &Type{
		disks: holding.New(func(_ string, node model.NodeID) (reservation.Device, error) {
			return called{d.fake.Host(fmt.Sprint("node-", node)), d}, nil
		}),
		host: hostStorage{linux: real, layoutOf: func() (layout, error) { return layout{Disks: []string{d.dev}, Device: d.dev}, nil }},
	}
}

func (d *disk) instance(node model.NodeID, epoch model.Epoch, more ...string) *resourcetype.Instance {
	parameters := strings.Join(append([]string{fmt.Sprintf(`"device":%q`, d.dev)}, more...), ",")
	return &resourcetype.Instance{
		Type: Name, Resource: resourcetype.Identity{UID: "1111", Namespace: "demo", Name: "disk"},
		ClusterID: "abcdef0123456789", Node: node, Epoch: epoch,
		Spec: json.RawMessage(`{"type":"PhysicalDisk","physicalDisk":{` + parameters + `}}`),
	}
}

func (d *disk) mounted(fsType string) string {
	return fmt.Sprintf(`"fsType":%q,"mountPath":%q`, fsType, d.mount)
}

func online(t *testing.T, host *Type, inst *resourcetype.Instance) resourcetype.ReserveResult {
	t.Helper()
	result, err := host.Reserve(t.Context(), inst)
	must(t, err)
	must(t, host.Online(t.Context(), inst))
	return result
}

// TestLife moves a disk between nodes with its data, for each file system.
func TestLife(t *testing.T) {
	for _, fsType := range []string{"ext4", "xfs"} {
		t.Run(fsType, func(t *testing.T) {
			d := newDisk(t, fsType)
			a, b := d.host(), d.host()
			onA := d.instance(1, 1, d.mounted(fsType), `"fsck":"Force"`)
			if r := online(t, a, onA); r.Proof() || !r.Enforced {
				t.Errorf("a free disk gives %+v, want no proof (O19)", r)
			}
			must(t, os.WriteFile(filepath.Join(d.mount, "data"), []byte("precious"), 0o600))
			must(t, a.IsAlive(t.Context(), onA))
			if _, err := b.Reserve(t.Context(), d.instance(2, 2, d.mounted(fsType))); !errors.Is(err, holding.ErrBusy) {
				t.Errorf("Reserve() of a disk in use on this host = %v (O17)", err)
			}
			must(t, a.Offline(t.Context(), onA))
			must(t, a.Offline(t.Context(), onA))
			if st := d.fake.Status(); st.Holder.Node() != 1 {
				t.Errorf("after Offline the disk is held by %v, want it parked (O15)", st.Holder)
			}
			onB := d.instance(2, 2, d.mounted(fsType), `"options":["noatime"]`)
			if r := online(t, b, onB); !r.Proof() || r.EpochFound != 1 {
				t.Errorf("a parked disk gives %+v", r)
			}
			if got, err := os.ReadFile(filepath.Join(d.mount, "data")); err != nil || string(got) != "precious" {
				t.Errorf("the data is %q, %v", got, err)
			}
			if err := a.Verify(t.Context(), onA); !errors.Is(err, resourcetype.ErrReservationLost) {
				t.Errorf("Verify() of the old owner = %v", err)
			}
			// Lost while mounted: shut down, then everything anew.
			_, err := reservation.Acquire(t.Context(), d.fake.Host("node-1"), mustKey(t, 1, 3), nil)
			must(t, err)
			if err := b.LooksAlive(t.Context(), onB); !errors.Is(err, resourcetype.ErrReservationLost) {
				t.Errorf("LooksAlive() of a lost disk = %v", err)
			}
			must(t, b.Terminate(t.Context(), onB))
			must(t, b.Terminate(t.Context(), onB))
			if _, found, _ := filesystem.FindMount(d.mount); found {
				t.Error("a lost disk is still mounted")
			}
			again := d.instance(2, 4, d.mounted(fsType))
			online(t, b, again)
			must(t, b.Offline(t.Context(), again))
			must(t, b.Depart(t.Context(), again))
		})
	}
}

func mustKey(t *testing.T, node model.NodeID, epoch model.Epoch) reservation.Key {
	t.Helper()
	k, err := reservation.NewKey(0xabcdef, node, epoch)
	must(t, err)
	return k
}

// TestRefused: whatever is wrong, nothing is mounted.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		fsType string
		spec   string
		breaks func(t *testing.T, d *disk, inst *resourcetype.Instance)
		want   string
	}{
		"blank":               {want: "is blank: make the file system by hand (mkfs.ext4)"},
		"another file system": {fsType: "xfs", want: "of type xfs, not ext4"},
		"bad option":          {fsType: "ext4", spec: `,"options":["no-such-option"]`, want: "no-such-option"},
		"no lease": {fsType: "ext4", want: "no quorum", breaks: func(_ *testing.T, _ *disk, inst *resourcetype.Instance) {
			inst.MayAct = func() error { return errors.New("no quorum") }
		}},
		"lost before the mount": {fsType: "ext4", want: "lost", breaks: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			_, err := reservation.Acquire(t.Context(), d.fake.Host("node-9"), mustKey(t, 9, 9), nil)
			must(t, err)
		}},
		"another file system than before": {fsType: "ext4", want: "another file system than before", breaks: func(t *testing.T, d *disk, inst *resourcetype.Instance) {
			out, err := exec.Command("mkfs.ext4", "-q", "-F", d.dev).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, tc.fsType)
			host, inst := d.host(), d.instance(1, 1, d.mounted("ext4")+tc.spec)
			if strings.Contains(tc.want, "than before") {
				online(t, host, inst)
				must(t, host.Offline(t.Context(), inst))
			}
			_, err := host.Reserve(t.Context(), inst)
			must(t, err)
			if tc.breaks != nil {
				tc.breaks(t, d, inst)
			}
			if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			if m, found, err := filesystem.FindMount(d.mount); err != nil || found {
				t.Errorf("%v is mounted, %v", m.Info, err)
			}
			release, err := host.host.Claim(d.dev)
			must(t, err)
			release()
		})
	}
}

// TestIdentity refuses another disk behind the same name.
func TestIdentity(t *testing.T) {
	d := newDisk(t, "ext4")
	host, inst := d.host(), d.instance(1, 1, d.mounted("ext4"))
	online(t, host, inst)
	must(t, host.Offline(t.Context(), inst))
	d.name = "naa.6001405bb"
	if _, err := host.Reserve(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "is another disk than before") {
		t.Errorf("Reserve() of another disk = %v", err)
	}
	named := d.instance(1, 1)
	named.Spec = json.RawMessage(`{"type":"PhysicalDisk","physicalDisk":{"device":"/dev/disk/by-id/wwn-0x6001405aa"}}`)
	if _, err := host.Reserve(t.Context(), named); err == nil || !strings.Contains(err.Error(), "out of date") {
		t.Errorf("Reserve() through a name of another disk = %v", err)
	}
	if got := d.fake.Status(); len(got.Keys) != 1 {
		t.Errorf("a disk that was refused has %+v", got)
	}
}

// TestRaw uses a disk without a file system, changes its epoch in place, and is adopted.
func TestRaw(t *testing.T) {
	d := newDisk(t, "")
	host, inst := d.host(), d.instance(1, 1)
	online(t, host, inst)
	must(t, host.IsAlive(t.Context(), inst))
	inst.Epoch = 5
	r, err := host.Reserve(t.Context(), inst)
	must(t, err)
	if !r.Proof() || d.fake.Status().Holder != mustKey(t, 1, 5) {
		t.Errorf("the epoch in place: %+v, %+v", r, d.fake.Status())
	}
	before := len(d.fake.Log)
	next := d.host()
	must(t, next.Adopt(t.Context(), inst))
	if len(d.fake.Log) != before {
		t.Errorf("an adoption sent %v", d.fake.Log[before:])
	}
	must(t, next.LooksAlive(t.Context(), inst))
	must(t, next.Offline(t.Context(), inst))
	if err := d.host().Adopt(t.Context(), inst); err == nil {
		t.Error("a disk that is offline was adopted")
	}
}

// TestAdopt takes over what is mounted, and nothing else.
func TestAdopt(t *testing.T) {
	d := newDisk(t, "ext4")
	inst := d.instance(1, 1, d.mounted("ext4"))
	online(t, d.host(), inst)
	next := d.host()
	must(t, next.Adopt(t.Context(), inst))
	must(t, next.IsAlive(t.Context(), inst))
	if _, err := reservation.Acquire(t.Context(), d.fake.Host("node-2"), mustKey(t, 2, 2), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.host().Adopt(t.Context(), inst); !errors.Is(err, resourcetype.ErrReservationLost) {
		t.Errorf("Adopt() of a lost disk = %v", err)
	}
	failed, err := next.Watch(t.Context(), inst)
	must(t, err)
	must(t, next.Terminate(t.Context(), inst))
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "nothing is mounted") {
		t.Errorf("the watch says %v", err)
	}
	if err := d.host().Adopt(t.Context(), inst); err == nil {
		t.Error("a disk that is not mounted was adopted")
	}
}

// TestSiblings: two resources of a group on one disk hold it together, and one that starts later does not disturb the other.
func TestSiblings(t *testing.T) {
	d := newDisk(t, "ext4")
	host := d.host()
	first := d.instance(1, 1, d.mounted("ext4"))
	online(t, host, first)
	commands := len(d.fake.Log)
	second := d.instance(1, 1)
	second.Resource.UID = "2222"
	r, err := host.Reserve(t.Context(), second)
	must(t, err)
	if got := d.fake.Log[commands:]; len(got) != 0 || !r.Enforced {
		t.Errorf("the second resource sent %v and got %+v", got, r)
	}
	// The epoch changes in place by the first; the second's checks go on meanwhile, and its own change finds it done.
	first.Epoch = 2
	_, err = host.Reserve(t.Context(), first)
	must(t, err)
	must(t, host.Verify(t.Context(), second))
	other := d.instance(1, 9)
	other.Resource.UID = "3333"
	if _, err := host.Reserve(t.Context(), other); !errors.Is(err, holding.ErrBusy) {
		t.Errorf("Reserve() at another epoch of a disk in use = %v", err)
	}
	must(t, host.Offline(t.Context(), first))
}

// TestFull: a full file system serves on; one that is read-only has failed.
func TestFull(t *testing.T) {
	d := newDisk(t, "ext4")
	host, inst := d.host(), d.instance(1, 1, d.mounted("ext4"))
	online(t, host, inst)
	f, err := os.Create(filepath.Join(d.mount, "big"))
	must(t, err)
	for buf := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(buf)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	must(t, f.Close())
	must(t, host.IsAlive(t.Context(), inst))
	must(t, unix.Mount("", d.mount, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if err := host.LooksAlive(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "it is read-only") {
		t.Errorf("LooksAlive() of a read-only file system = %v", err)
	}
	must(t, host.Terminate(t.Context(), inst))
}

func TestParams(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`: "no physicalDisk", `{"physicalDisk":{"device":"sda"}}`: "no physicalDisk with an absolute device",
		`{"physicalDisk":{"device":"/dev/sda","mountPath":"/x"}}`:               "without fsType",
		`{"physicalDisk":{"device":"/dev/sda","mountPath":"x","fsType":"xfs"}}`: "not absolute",
		`[`: "reading the spec",
	} {
		if _, err := New().Device(&resourcetype.Instance{Spec: json.RawMessage(spec)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Device(%s) = %v, want %q", spec, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	d := newDisk(t, "")
	reasons := func(spec string) (list []string) {
		for _, p := range New().Check(t.Context(), json.RawMessage(spec)) {
			list = append(list, p.Reason+" "+p.Object)
		}
		return list
	}
	if got := New().Check(t.Context(), nil); len(got) > 0 {
		t.Errorf("Check(nil) = %v", got)
	}
	if got := reasons(`{"physicalDisk":{"device":"/dev/nosuch"}}`); fmt.Sprint(got) != "[DeviceMissing /dev/nosuch]" {
		t.Errorf("a missing disk: %v", got)
	}
	if got := reasons(`{"physicalDisk":{"device":"` + d.dev + `"}}`); fmt.Sprint(got) != "[Unsupported "+d.dev+"]" {
		t.Errorf("a loop device: %v", got)
	}
	t.Setenv("PATH", t.TempDir())
	got := reasons(`{"physicalDisk":{"device":"/dev/nosuch","fsType":"xfs","mountPath":"/x","lvm":{"volumeGroup":"v","logicalVolume":"l"}}}`)
	if want := "[ToolMissing xfs_repair ToolMissing lvm ToolMissing dmsetup DeviceMissing /dev/nosuch]"; fmt.Sprint(got) != want {
		t.Errorf("without tools: %v", got)
	}
}
