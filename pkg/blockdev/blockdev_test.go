package blockdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is a sysfs in a directory.
type tree struct {
	t    *testing.T
	root string
	next int
	// nodes are device nodes by path.
	nodes map[string]int
}

func newTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{t: t, root: t.TempDir(), nodes: map[string]int{}}
	for _, dir := range []string{"block", "class/block", "dev/block"} {
		must(t, os.MkdirAll(filepath.Join(tr.root, dir), 0o755))
	}
	return tr
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add makes a device with the files given as name=content, and links and directories as name> and name/.
func (tr *tree) add(name, parent string, files ...string) {
	tr.t.Helper()
	dir := filepath.Join(tr.root, "devices", parent, name)
	must(tr.t, os.MkdirAll(filepath.Join(dir, "holders"), 0o755))
	tr.next++
	for _, f := range append(files, fmt.Sprintf("dev=8:%d\n", tr.next)) {
		file, content, _ := strings.Cut(f, "=")
		path := filepath.Join(dir, file)
		must(tr.t, os.MkdirAll(filepath.Dir(path), 0o755))
		if strings.HasPrefix(content, "->") {
			must(tr.t, os.Symlink(content[2:], path))
			continue
		}
		must(tr.t, os.WriteFile(path, []byte(content), 0o600))
	}
	must(tr.t, os.Symlink(dir, filepath.Join(tr.root, "class/block", name)))
	must(tr.t, os.Symlink(dir, filepath.Join(tr.root, "dev/block", fmt.Sprintf("8:%d", tr.next))))
	if parent == "" {
		must(tr.t, os.Symlink(dir, filepath.Join(tr.root, "block", name)))
	}
	tr.nodes["/dev/"+name] = tr.next
}

// over puts one device over another.
func (tr *tree) over(upper, lower string) {
	tr.t.Helper()
	for _, l := range [][2]string{{filepath.Join(upper, "slaves"), lower}, {filepath.Join(lower, "holders"), upper}} {
		must(tr.t, os.MkdirAll(filepath.Join(tr.root, "devices", l[0]), 0o755))
		must(tr.t, os.Symlink(filepath.Join(tr.root, "class/block", l[1]), filepath.Join(tr.root, "devices", l[0], l[1])))
	}
}

func (tr *tree) system() *System {
	return &System{sys: tr.root, dev: "/dev", number: func(path string) (uint32, uint32, error) {
		n, found := tr.nodes[path]
		if !found {
			return 0, 0, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
		}
		return 8, uint32(n), nil
	}}
}

// storage is a host with one of everything.
func storage(t *testing.T) *tree {
	tr := newTree(t)
	scsi := "device/subsystem=->/sys/bus/scsi"
	tr.add("sda", "", scsi, "device/wwid=naa.600140500000000000000000000000aa\n", "device/state=running\n")
	tr.add("sda1", "sda", "partition=1\n")
	tr.add("sdb", "", scsi, "device/wwid=naa.600140500000000000000000000000bb\n", "device/state=running\n")
	tr.add("sdc", "", scsi, "device/wwid=naa.600140500000000000000000000000bb\n", "device/state=offline\n")
	tr.add("dm-0", "", "dm/uuid=mpath-3600140500000000000000000000000bb\n", "dm/name=shared\n")
	tr.over("dm-0", "sdb")
	tr.over("dm-0", "sdc")
	tr.add("dm-1", "", "dm/uuid=part2-mpath-3600140500000000000000000000000bb\n", "dm/name=shared2\n")
	tr.over("dm-1", "dm-0")
	tr.add("dm-2", "", "dm/uuid=LVM-abcdef\n", "dm/name=vg-lv\n")
	tr.over("dm-2", "sda1")
	tr.over("dm-2", "dm-0")
	tr.add("nvme0n1", "", "wwid=eui.0025385971b00000\n")
	tr.add("md0", "", "md/level=raid1\n")
	tr.over("md0", "sda")
	tr.add("dm-3", "", "dm/uuid=LVM-ghijkl\n")
	tr.over("dm-3", "md0")
	tr.add("loop0", "")
	tr.add("vda", "", "device/subsystem=->/sys/bus/virtio")
	tr.add("dm-4", "", "dm/uuid=CRYPT-x\n")
	tr.over("dm-4", "nvme0n1")
	return tr
}

func TestDisks(t *testing.T) {
	s := storage(t).system()
	for path, tc := range map[string]struct {
		kind    Kind
		want    string
		wantErr string
	}{
		"/dev/sda":     {kind: SCSI, want: "sda"},
		"/dev/sda1":    {kind: Partition, want: "sda"},
		"/dev/sdb":     {kind: SCSI, wantErr: "/dev/sdb is a path of the multipath device /dev/mapper/shared: name that"},
		"/dev/dm-0":    {kind: Multipath, want: "dm-0"},
		"/dev/dm-1":    {kind: Partition, want: "dm-0"},
		"/dev/dm-2":    {kind: Volume, want: "dm-0 sda"},
		"/dev/nvme0n1": {kind: NVMe, want: "nvme0n1"},
		"/dev/md0":     {kind: RAID, wantErr: "md array"},
		"/dev/dm-3":    {kind: Volume, wantErr: "/dev/md0 is an md array"},
		"/dev/loop0":   {kind: Loop, wantErr: "LoopbackDisk"},
		"/dev/vda":     {kind: Other, wantErr: "no persistent reservations"},
		"/dev/dm-4":    {kind: Mapped, wantErr: "no persistent reservations"},
	} {
		t.Run(path, func(t *testing.T) {
			d, err := s.Find(path)
			must(t, err)
			if d.Kind != tc.kind {
				t.Errorf("it is a %s, want %s", d.Kind, tc.kind)
			}
			disks, err := s.Disks(d)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("Disks() = %v, %v, want %q", disks, err, tc.wantErr)
				}
				return
			}
			must(t, err)
			var names []string
			for _, d := range disks {
				names = append(names, d.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("Disks() = %s, want %s", got, tc.want)
			}
		})
	}
}

// TestByID finds devices by what the names of udev say, where there is no udev.
func TestByID(t *testing.T) {
	s := storage(t).system()
	for path, want := range map[string]string{
		"wwn-0x600140500000000000000000000000aa":                    "sda",
		"wwn-0x600140500000000000000000000000AA-part1":              "sda1",
		"wwn-0x600140500000000000000000000000aa-part2":              "",
		"scsi-3600140500000000000000000000000bb":                    "dm-0",
		"dm-uuid-mpath-3600140500000000000000000000000bb":           "dm-0",
		"dm-uuid-part2-mpath-3600140500000000000000000000000bb":     "",
		"wwn-0x600140500000000000000000000000bb-part2":              "dm-1",
		"nvme-eui.0025385971b00000":                                 "nvme0n1",
		"wwn-0x600140500000000000000000000000cc":                    "",
		"ata-SOME_DISK_123":                                         "",
		"wwn-0x":                                                    "",
		"wwn-0x../../sda":                                           "",
		"scsi-36001405000000000000000000000000000000000000000000bb": "",
	} {
		d, err := s.Find(byIDDir + path)
		if d.Name != want || (want == "") != errors.Is(err, ErrMissing) {
			t.Errorf("Find(%s) = %q, %v, want %q", path, d.Name, err, want)
		}
	}
}

func TestFacts(t *testing.T) {
	s := storage(t).system()
	find := func(path string) Device {
		d, err := s.Find(path)
		must(t, err)
		return d
	}
	if !s.Running(find("/dev/sdb")) || s.Running(find("/dev/sdc")) || !s.Running(find("/dev/nvme0n1")) {
		t.Error("Running() does not follow the kernel's state")
	}
	if got := s.WWID(find("/dev/sda")); got != "naa.600140500000000000000000000000aa" {
		t.Errorf("WWID() = %q", got)
	}
	paths, err := s.Below(find("/dev/dm-0"))
	must(t, err)
	want := []Device{{Path: "/dev/sdb", Name: "sdb", Kind: SCSI, Major: 8, Minor: 3}, {Path: "/dev/sdc", Name: "sdc", Kind: SCSI, Major: 8, Minor: 4}}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("Below() (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{"/dev/sda": "sda", "/dev/sda1": "sda1", "/dev/dm-0": "dm-1", "/dev/dm-2": "dm-2"} {
		claimed, err := s.Claimable(find(path))
		if err != nil || len(claimed) != 1 || claimed[0].Name != want {
			t.Errorf("Claimable(%s) = %v, %v, want %s", path, claimed, err, want)
		}
	}
	for a, b := range map[string]string{
		"naa.600140500000000000000000000000bb": "3600140500000000000000000000000bb", "eui.0025385971B00000": "eui.0025385971b00000",
	} {
		if !Same(a, b) || !Same(b, a) || Same(a, a+"0") || Same("", "") {
			t.Errorf("Same(%s, %s) is wrong", a, b)
		}
	}
	if _, _, err := numberOf(t.TempDir()); err == nil {
		t.Error("a directory counts as a block device")
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("/dev/disk/by-id/wwn-0x600140500000000000000000000000aa-part1")
	f.Add("/dev/disk/by-id/nvme-eui.0025385971b00000")
	f.Add("/dev/disk/by-id/scsi-3-part-part2")
	f.Fuzz(func(t *testing.T, path string) {
		id := ParseID(path)
		if id.WWID == "" && id.Partition != 0 || id.Partition < 0 || strings.ContainsAny(id.WWID, "/ ") {
			t.Errorf("ParseID(%q) = %+v", path, id)
		}
	})
}
