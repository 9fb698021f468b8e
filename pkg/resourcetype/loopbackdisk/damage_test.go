package loopbackdisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/filesystem"
)

// xfsSized is the smallest disk that an XFS is made on.
const xfsSized = `"size":"300Mi","fsType":"xfs"`

func fileSystems() map[string]string { return map[string]string{"ext4": sized, "xfs": xfsSized} }

// newDiskFor has room for the file system.
func newDiskFor(t *testing.T, fsType string) *disk {
	t.Helper()
	d := newDisk(t)
	if fsType == "xfs" {
		must(t, os.Truncate(d.file, 300<<20))
	}
	return d
}

// tool runs a program that damages, or looks at, a file system.
func tool(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", command, err, out)
	}
	return string(out)
}

// cutOff leaves the disk as it was in the middle of its work, with one file that was synced.
func cutOff(t *testing.T, d *disk, more string) {
	t.Helper()
	inst := d.instance(1, 1, more)
	online(t, d.host(), inst)
	file, err := os.Create(filepath.Join(d.mount, "data"))
	must(t, err)
	_, err = file.WriteString("synced")
	must(t, err)
	must(t, file.Sync())
	cut := d.file + ".cut"
	tool(t, "cp", "--sparse=always", d.file, cut)
	must(t, file.Close())
	must(t, d.host().Terminate(t.Context(), inst))
	d.idle(t)
	must(t, os.Rename(cut, d.file))
}

// TestPowerCut mounts a disk that was cut off in the middle of its work: its log is replayed, and what was synced is there. A log is
// no damage; a check in full has it replayed first.
func TestPowerCut(t *testing.T) {
	for fsType, size := range fileSystems() {
		for _, fsck := range []string{"Auto", "Force", "Skip"} {
			t.Run(fsType+" "+fsck, func(t *testing.T) {
				d := newDiskFor(t, fsType)
				cutOff(t, d, size)
				if fsType == "xfs" && exec.Command("xfs_repair", "-n", d.file).Run() == nil {
					t.Error("the log is not dirty: this proves nothing")
				}
				cut, err := os.Open(d.file)
				must(t, err)
				if found, err := filesystem.Look(cut); err != nil || found.Name != fsType || found.Damaged {
					t.Errorf("the disk is found as %+v, %v, want a sound %s", found, err, fsType)
				}
				must(t, cut.Close())
				after := d.instance(2, 2, size, fmt.Sprintf(`"fsck":%q`, fsck))
				online(t, d.host(), after)
				if got, err := os.ReadFile(filepath.Join(d.mount, "data")); err != nil || string(got) != "synced" {
					t.Errorf("the data is %q, %v", got, err)
				}
				must(t, d.host().Offline(t.Context(), after))
				d.idle(t)
			})
		}
	}
}

const extState = 1024 + 0x3a // of the superblock

// markErrors has the file system say that it has met errors.
func markErrors(t *testing.T, file string) {
	tool(t, "debugfs", "-w", "-R", "set_super_value state 3", file)
}

// TestDamaged repairs what is safe to repair, before it is mounted; what is not is told, with what to do, and left as it is.
func TestDamaged(t *testing.T) {
	for name, tc := range map[string]struct {
		size, fsck string
		damage     func(t *testing.T, file string)
		// want is what Online says; empty when the disk comes online, and then clean says that its superblock must say so afterwards.
		want  string
		clean bool
	}{
		"ext4 asks for a check":   {size: sized, damage: markErrors, clean: true},
		"ext4 is not to be":       {size: sized, fsck: "Skip", damage: markErrors},
		"ext4 in full":            {size: sized, fsck: "Force", damage: func(*testing.T, string) {}, clean: true},
		"ext4 lost an inode":      {size: sized, damage: clearInode("data", true), clean: true},
		"ext4 lost one unseen":    {size: sized, fsck: "Force", damage: clearInode("data", false), clean: true},
		"ext4 lost its root":      {size: sized, damage: clearInode("<2>", true), want: "run e2fsck -f FILE; then set it Online"},
		"ext4 lost it unseen":     {size: sized, fsck: "Force", damage: clearInode("<2>", false), want: "not safe to repair"},
		"ext4 cannot be helped":   {size: sized, damage: func(t *testing.T, f string) { markErrors(t, f); write(t, f, 1024+0x64, "\xff\xff\xff\xff") }, want: "e2fsck -p"},
		"ext4 unknown features":   {size: sized, damage: func(t *testing.T, f string) { write(t, f, 1024+0x60, "\xff\xff\xff\xff") }, want: "mounting"},
		"ext4 without groups":     {size: sized, damage: func(t *testing.T, f string) { write(t, f, 2048, strings.Repeat("\xa5", 2048)) }, want: "fsck: Force repairs"},
		"ext4 not the backups":    {size: sized, fsck: "Force", damage: func(t *testing.T, f string) { write(t, f, 2048, strings.Repeat("\xa5", 2048)) }, want: "e2fsck -f"},
		"xfs miscounts":           {size: xfsSized, fsck: "Force", damage: xfsDamage("sb 0", "icount 999"), want: "sb_icount 999"},
		"xfs lost its root":       {size: xfsSized, damage: xfsDamage("inode 128", "core.size 9999"), want: "run xfs_repair FILE; then set it Online"},
		"xfs lost it and is told": {size: xfsSized, fsck: "Force", damage: xfsDamage("inode 128", "core.size 9999"), want: "xfs_repair FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			fsType := "ext4"
			if tc.size == xfsSized {
				fsType = "xfs"
			}
			d := newDiskFor(t, fsType)
			inst := d.instance(1, 1, tc.size)
			online(t, d.host(), inst)
			must(t, os.WriteFile(filepath.Join(d.mount, "data"), []byte("some"), 0o600))
			must(t, d.host().Offline(t.Context(), inst))
			tc.damage(t, d.file)
			if tc.fsck != "" {
				inst = d.instance(1, 1, tc.size, fmt.Sprintf(`"fsck":%q`, tc.fsck))
			}
			host := d.host()
			_, err := host.Reserve(t.Context(), inst)
			must(t, err)
			err = host.Online(t.Context(), inst)
			if want := strings.ReplaceAll(tc.want, "FILE", d.file); want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Online() = %v, want %q in it", err, want)
				}
				d.idle(t)
				if fsType == "xfs" && exec.Command("xfs_repair", "-n", d.file).Run() == nil {
					t.Error("an XFS was repaired")
				}
				return
			}
			must(t, err)
			must(t, host.IsAlive(t.Context(), inst))
			must(t, host.Offline(t.Context(), inst))
			raw, err := os.ReadFile(d.file)
			must(t, err)
			if clean := raw[extState] == 1; clean != tc.clean {
				t.Errorf("the file system's state is %d afterwards", raw[extState])
			}
			if tc.clean {
				tool(t, "e2fsck", "-f", "-n", d.file)
			}
			d.idle(t)
		})
	}
}

// clearInode damages a file system truly; seen says that it knows.
func clearInode(which string, seen bool) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		t.Helper()
		tool(t, "debugfs", "-w", "-R", "clri "+which, file)
		if seen {
			markErrors(t, file)
		}
	}
}

func xfsDamage(at, value string) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		t.Helper()
		tool(t, "xfs_db", "-x", "-c", at, "-c", "write -d "+value, file)
	}
}

// TestTwin: an XFS whose UUID is mounted already is refused with the other's name, unless the mount options allow it.
func TestTwin(t *testing.T) {
	d, twin := newDiskFor(t, "xfs"), newDiskFor(t, "xfs")
	inst := d.instance(1, 1, xfsSized)
	online(t, d.host(), inst)
	must(t, d.host().Offline(t.Context(), inst))
	tool(t, "cp", "--sparse=always", d.file, twin.file)
	online(t, d.host(), inst)
	host, second := twin.host(), twin.instance(1, 1, xfsSized)
	_, err := host.Reserve(t.Context(), second)
	must(t, err)
	if err := host.Online(t.Context(), second); err == nil || !strings.Contains(err.Error(), "on "+d.mount+" has the same UUID") {
		t.Errorf("Online() of a copy = %v", err)
	}
	twin.idle(t)
	second = twin.instance(1, 1, xfsSized, `"options":["nouuid"],"fsck":"Force"`)
	online(t, host, second)
	must(t, host.Offline(t.Context(), second))
	must(t, d.host().Offline(t.Context(), inst))
}

// TestMountPointInUse: files beneath the mount point are not hidden.
func TestMountPointInUse(t *testing.T) {
	d := newDisk(t)
	must(t, os.Mkdir(d.mount, 0o755))
	must(t, os.WriteFile(filepath.Join(d.mount, "orders.db"), []byte("written too late"), 0o600))
	host, inst := d.host(), d.instance(1, 1, sized)
	_, err := host.Reserve(t.Context(), inst)
	must(t, err)
	if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "is not empty: it has orders.db") {
		t.Errorf("Online() = %v", err)
	}
	d.idle(t)
	if _, err := os.Stat(filepath.Join(d.mount, "orders.db")); err != nil {
		t.Error(err)
	}
}

// TestTooSmall: XFS is made on nothing so small, and nothing is left half made.
func TestTooSmall(t *testing.T) {
	d := newDisk(t)
	host, inst := d.host(), d.instance(1, 1, `"size":"64Mi","fsType":"xfs"`)
	_, err := host.Reserve(t.Context(), inst)
	must(t, err)
	if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "needs at least 300 MiB") {
		t.Errorf("Online() = %v", err)
	}
	d.idle(t)
}

// TestFull: a disk that is full serves on, and comes online again.
func TestFull(t *testing.T) {
	for fsType, size := range fileSystems() {
		t.Run(fsType, func(t *testing.T) {
			d := newDiskFor(t, fsType)
			inst := d.instance(1, 1, size)
			online(t, d.host(), inst)
			fill(t, filepath.Join(d.mount, "fill"))
			must(t, d.host().IsAlive(t.Context(), inst))
			must(t, d.host().Offline(t.Context(), inst))
			after := d.instance(2, 2, size)
			online(t, d.host(), after)
			must(t, d.host().IsAlive(t.Context(), after))
			must(t, d.host().Offline(t.Context(), after))
		})
	}
}

// fill takes all the space that there is.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	for at, step := int64(0), int64(16<<20); err == nil || step > 4096; at += step {
		if err = unix.Fallocate(int(file.Fd()), 0, at, step); err != nil && step > 4096 {
			at, step = at-4096, 4096
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	must(t, file.Close())
}
