package loopbackdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// writesEnv makes the test binary run a mkfs and kill it before its n-th write: "n:program"; with n = 0 it counts them into countEnv.
const (
	writesEnv = "QUORATE_TEST_MKFS"
	countEnv  = "QUORATE_TEST_MKFS_COUNT"
)

// cutMkfs runs the mkfs of the environment under ptrace, and ends by SIGKILL where it was told to.
func cutMkfs(order string) error {
	number, program, _ := strings.Cut(order, ":")
	at, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the thread that starts it is its tracer
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.SysProcAttr = &unix.SysProcAttr{Ptrace: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = cmd.Wait() // it stops at its exec
	writes, entry := 0, true
	for {
		if err := unix.PtraceSyscall(cmd.Process.Pid, 0); err != nil {
			return fmt.Errorf("going on: %w", err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(cmd.Process.Pid, &status, 0, nil); err != nil {
			return err
		}
		if status.Exited() {
			return errors.Join(os.WriteFile(os.Getenv(countEnv), []byte(strconv.Itoa(writes)), 0o600), exitError(status.ExitStatus()))
		}
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(cmd.Process.Pid, &regs); err != nil {
			return fmt.Errorf("reading its registers: %w", err)
		}
		if entry && slices.Contains([]uint64{unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FALLOCATE}, regs.Orig_rax) {
			if writes++; writes == at {
				return errors.Join(cmd.Process.Kill(), unix.Kill(os.Getpid(), unix.SIGKILL))
			}
		}
		entry = !entry
	}
}

func exitError(code int) error {
	if code != 0 {
		return fmt.Errorf("mkfs: exit code %d", code)
	}
	return nil
}

// cut puts a mkfs before the real one that is killed before its n-th write (0: never), and returns the file in which it counts.
func cut(t *testing.T, fsType string, at int) (count string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	program, err := exec.LookPath("mkfs." + fsType)
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(dir, "mkfs."+fsType)))
	count = filepath.Join(dir, "count")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv(writesEnv, fmt.Sprintf("%d:%s", at, program))
	t.Setenv(countEnv, count)
	return count
}

// begun is a disk whose formatting was cut before the n-th write of the real mkfs, and the record that the agent left.
func begun(t *testing.T, d *disk, at int, spec string) *resourcetype.Instance {
	t.Helper()
	inst := d.instance(1, 1, spec)
	inst.Group.UID = "group"
	t.Run("cut", func(t *testing.T) {
		cut(t, fsTypeOf(spec), at)
		host := d.host()
		_, err := host.Reserve(t.Context(), inst)
		must(t, err)
		if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("Online() with a mkfs that is killed = %v", err)
		}
	})
	d.idle(t)
	return inst
}

func fsTypeOf(spec string) string {
	if strings.Contains(spec, `"xfs"`) {
		return "xfs"
	}
	return "ext4"
}

// TestFormattingGoesOn kills the real mkfs before each of its writes: the next agent, at the same epoch or a later one, has the disk
// online, and afterwards the record says nothing of a formatting any more.
func TestFormattingGoesOn(t *testing.T) {
	for fsType, spec := range map[string]string{"ext4": sized, "xfs": `"size":"320Mi","fsType":"xfs"`} {
		t.Run(fsType, func(t *testing.T) {
			writes := countWrites(t, fsType, spec)
			step := max(1, writes/12)
			if fsType == "xfs" {
				step = max(1, writes/4)
			}
			unknown := 0
			for at := 1; at <= writes; at += step {
				d := newDisk(t)
				if fsType == "xfs" {
					must(t, os.Truncate(d.file, 320<<20))
				}
				inst := begun(t, d, at, spec)
				if found := look(t, d.file); !found.Blank && found.Name == "" {
					unknown++
				}
				inst.Epoch += model.Epoch(at % 2)
				online(t, d.host(), inst)
				if strings.Contains(string(inst.Data), "formatting") {
					t.Errorf("cut before write %d: the record of what is online is %s", at, inst.Data)
				}
				must(t, d.host().Offline(t.Context(), inst))
			}
			t.Logf("%d writes; %d of the cuts left something that is no known file system", writes, unknown)
			if unknown == 0 && fsType == "ext4" {
				t.Error("no cut left anything half made: the test shows nothing")
			}
		})
	}
}

func countWrites(t *testing.T, fsType, spec string) (writes int) {
	t.Helper()
	t.Run("count", func(t *testing.T) {
		d := newDisk(t)
		if fsType == "xfs" {
			must(t, os.Truncate(d.file, 320<<20))
		}
		count := cut(t, fsType, 0)
		inst := d.instance(1, 1, spec)
		online(t, d.host(), inst)
		must(t, d.host().Offline(t.Context(), inst))
		raw, err := os.ReadFile(count)
		must(t, err)
		writes, err = strconv.Atoi(string(raw))
		must(t, err)
	})
	if writes < 4 {
		t.Fatalf("mkfs.%s wrote %d times: that is not counted right", fsType, writes)
	}
	return writes
}

func look(t *testing.T, name string) filesystem.Finding {
	t.Helper()
	file, err := os.Open(name)
	must(t, err)
	defer func() { _ = file.Close() }()
	found, err := filesystem.Look(file)
	must(t, err)
	return found
}

// TestFormattingCovers: the record of a formatting counts for what that can have left, and for nothing else.
func TestFormattingCovers(t *testing.T) {
	half := func(t *testing.T, d *disk) { write(t, d.file, 700_000, "half") }
	for name, tc := range map[string]struct {
		change func(t *testing.T, d *disk, inst *resourcetype.Instance)
		want   string // in the error of Online; empty for a disk that gets online
		keeps  string // that must still be in the file
	}{
		"half made": {change: func(t *testing.T, d *disk, _ *resourcetype.Instance) { half(t, d) }},
		"no record": {want: "neither blank nor", keeps: "half", change: func(t *testing.T, d *disk, inst *resourcetype.Instance) {
			half(t, d)
			inst.Data = nil
		}},
		"another group": {want: "neither blank nor", keeps: "half", change: func(t *testing.T, d *disk, inst *resourcetype.Instance) {
			half(t, d)
			inst.Group.UID = "other"
		}},
		"another file by this name": {want: "neither blank nor", keeps: "half", change: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			must(t, os.Rename(d.file, d.file+".old")) // keeps its inode in use
			must(t, os.WriteFile(d.file, nil, 0o600))
			must(t, os.Truncate(d.file, diskSize))
			half(t, d)
		}},
		"another node had it": {want: "neither blank nor", keeps: "half", change: func(t *testing.T, d *disk, inst *resourcetype.Instance) {
			_, err := reservation.Acquire(t.Context(), d.fake.Host("node-2"), mustKey(2, 2), nil)
			must(t, err)
			half(t, d)
			inst.Epoch = 3
		}},
		"the disk forgot who had it": {want: "neither blank nor", keeps: "half", change: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			d.fake = reservation.NewFake()
			half(t, d)
		}},
		"a file system of somebody else": {want: "of type xfs, not ext4", change: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			must(t, os.Truncate(d.file, 320<<20))
			mkfs(t, "mkfs.xfs", "-q", "-f", d.file)
		}},
		"a volume of somebody else": {want: "of type LVM2_member, not ext4", keeps: "LABELONE", change: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			write(t, d.file, 512, "LABELONE")
		}},
		"made by hand meanwhile": {keeps: "by-hand", change: func(t *testing.T, d *disk, _ *resourcetype.Instance) {
			mkfs(t, "mkfs.ext4", "-q", "-F", "-L", "by-hand", d.file)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			inst := begun(t, d, 3, sized)
			tc.change(t, d, inst)
			host := d.host()
			_, err := host.Reserve(t.Context(), inst)
			must(t, err)
			err = host.Online(t.Context(), inst)
			if tc.want == "" {
				must(t, err)
				must(t, host.Offline(t.Context(), inst))
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Online() = %v, want %q in it", err, tc.want)
			}
			raw, err := os.ReadFile(d.file)
			must(t, err)
			if !strings.Contains(string(raw), tc.keeps) {
				t.Errorf("%q was written over", tc.keeps)
			}
			d.idle(t)
		})
	}
}

func mkfs(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", command, err, out)
	}
}

// TestFormattingIsSavedBefore: when mkfs begins, the record on disk says so; a record that cannot be written stops it.
func TestFormattingIsSavedBefore(t *testing.T) {
	d := newDisk(t)
	inst := d.instance(1, 1, sized)
	host := d.host()
	_, err := host.Reserve(t.Context(), inst)
	must(t, err)
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		must(t, err)
		if strings.Contains(string(raw), `"formatting"`) {
			return errors.New("no space for the record")
		}
		return nil
	}
	if err := host.Online(t.Context(), inst); err == nil || !strings.Contains(err.Error(), "no space for the record") {
		t.Errorf("Online() = %v", err)
	}
	if found := look(t, d.file); !found.Blank {
		t.Errorf("without a record the disk was written: %+v", found)
	}
	d.idle(t)
}
