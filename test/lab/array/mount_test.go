package array_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/loopdev"
)

const diskSize = 64 << 20

// rig is an array with two hosts, a and b, and their mounts.
type rig struct {
	*array.Array
	mounts map[string]string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	a, err := array.New(filepath.Join(t.TempDir(), "backing"), 1, diskSize)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Array: a, mounts: map[string]string{}}
	t.Cleanup(func() { a.Close() })
	for _, host := range []string{"a", "b"} {
		dir := filepath.Join(t.TempDir(), "array")
		m, err := a.Port(host).Mount(dir)
		if err != nil {
			t.Fatal(err)
		}
		r.mounts[host] = dir
		t.Cleanup(func() {
			a.Port(host).Cut()
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := loopdev.DetachAll(ctx, m.Files()); err != nil {
				t.Error(err)
			}
		})
	}
	return r
}

func (r *rig) file(host string) string { return filepath.Join(r.mounts[host], array.DiskName(1)) }

func (r *rig) do(t *testing.T, host string, c array.Command) error {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return unix.Setxattr(r.file(host), array.AttrCommand, data, 0)
}

func (r *rig) must(t *testing.T, host string, c array.Command) {
	t.Helper()
	if err := r.do(t, host, c); err != nil {
		t.Fatalf("%s: %+v: %v", host, c, err)
	}
}

// own makes a host the disk's owner with a key.
func (r *rig) own(t *testing.T, host string, key array.Key) {
	t.Helper()
	r.must(t, host, array.Command{Service: array.RegisterIgnore, ServiceKey: key})
	r.must(t, host, array.Command{Service: array.Reserve, Key: key, Type: 5})
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func syncFS(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		t.Fatal(err)
	}
}

// mountExt4 makes a loop device over the host's file and mounts it, with a new file system if asked.
func (r *rig) mountExt4(t *testing.T, host string, format bool) string {
	t.Helper()
	loop, err := loopdev.Attach(r.file(host))
	if err != nil {
		t.Fatal(err)
	}
	if format {
		run(t, "mkfs.ext4", "-q", "-E", "nodiscard", loop)
	}
	dir := t.TempDir()
	begin := time.Now()
	if out, err := exec.Command("fsck.ext4", "-p", loop).CombinedOutput(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() > 1 {
			t.Fatalf("fsck on host %s: %v\n%s", host, err, out)
		}
	}
	if err := unix.Mount(loop, dir, "ext4", 0, "commit=300"); err != nil {
		t.Fatalf("mount on host %s: %v", host, err)
	}
	t.Logf("host %s: fsck and mount took %v", host, time.Since(begin).Round(time.Millisecond))
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		if err := loopdev.Detach(loop); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestLateWrite is the promise that everything rests on (S2): data that a host has in its cache when it is preempted never reaches
// the disk. It is checked from outside, on the backing file. Built with the tag noenforce it must fail.
func TestLateWrite(t *testing.T) {
	r := newRig(t)
	r.own(t, "a", 0xa1)
	dirA := r.mountExt4(t, "a", true)
	written := filepath.Join(dirA, "written")
	if err := os.WriteFile(written, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	syncFS(t, dirA)
	late := []byte("LATE-WRITE-OF-THE-OLD-OWNER-" + t.Name())
	file, err := os.Create(filepath.Join(dirA, "late"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(bytes.Repeat(late, 4096)); err != nil {
		t.Fatal(err)
	}

	r.must(t, "b", array.Command{Service: array.Register, ServiceKey: 0xb2})
	r.must(t, "b", array.Command{Service: array.PreemptAbort, Key: 0xb2, ServiceKey: 0xa1, Type: 5})
	before, err := os.ReadFile(r.Backing(1))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(before, late) {
		t.Fatal("the data was on the disk before the preempt: the test shows nothing")
	}
	syncErr := file.Sync()
	_ = unix.Syncfs(int(file.Fd()))
	after, err := os.ReadFile(r.Backing(1))
	if err != nil {
		t.Fatal(err)
	}
	if syncErr == nil {
		t.Error("the old owner's fsync succeeded after it was preempted")
	}
	if bytes.Contains(after, late) || !bytes.Equal(before, after) {
		t.Error("a write of the old owner reached the disk after it was preempted")
	}

	dirB := r.mountExt4(t, "b", false)
	if got, err := os.ReadFile(filepath.Join(dirB, "written")); err != nil || string(got) != "kept" {
		t.Errorf("the new owner reads %q, %v: want what was synced before", got, err)
	}
	if err := os.WriteFile(filepath.Join(dirB, "new"), []byte("new owner"), 0o600); err != nil {
		t.Errorf("the new owner cannot write: %v", err)
	}
}

// TestPowerCut: what a host had not yet written when its power was cut is gone, and nothing of it hangs.
func TestPowerCut(t *testing.T) {
	r := newRig(t)
	dir := r.mountExt4(t, "a", true)
	syncFS(t, dir)
	late := []byte("NEVER-WRITTEN-" + t.Name())
	file, err := os.Create(filepath.Join(dir, "late"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(bytes.Repeat(late, 4096)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r.Port("a").Cut()
	t.Logf("the cut took %v", time.Since(begin))
	if err := file.Sync(); err == nil {
		t.Error("fsync succeeded on a host without power")
	}
	content, err := os.ReadFile(r.Backing(1))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, late) {
		t.Error("a write reached the disk after the power cut")
	}
}

// TestPaths: a failed path gives EIO, a hung one waits until it is healed, and what was held back then respects a preempt.
func TestPaths(t *testing.T) {
	if !array.Enforcing {
		t.Skip("nothing is enforced in this build")
	}
	r := newRig(t)
	r.own(t, "a", 0xa1)
	file, err := os.OpenFile(r.file("a"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := bytes.Repeat([]byte{1}, 4096)
	port := r.Port("a")

	if err := port.SetPath(1, array.PathFailed); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(block, 0); !errors.Is(err, unix.EIO) {
		t.Errorf("write on a failed path: %v, want EIO", err)
	}
	if _, err := unix.Getxattr(r.file("a"), array.AttrState, make([]byte, 4096)); !errors.Is(err, unix.EIO) {
		t.Errorf("reading reservations on a failed path: %v, want EIO", err)
	}
	if err := port.SetPath(0, array.PathHung); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := file.WriteAt(block, 0)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("a write on a hung path ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	r.must(t, "b", array.Command{Service: array.Register, ServiceKey: 0xb2})
	r.must(t, "b", array.Command{Service: array.PreemptAbort, Key: 0xb2, ServiceKey: 0xa1, Type: 5})
	if err := port.SetPath(0, array.PathOK); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, unix.EIO) {
		t.Errorf("a write that was under way at the preempt: %v, want EIO", err)
	}
	if err := port.SetPath(2, array.PathOK); err == nil {
		t.Error("a disk that does not exist has a path")
	}
}

// TestHostsSeeEachOther: what one host writes the other reads at once, and errors of commands come through.
func TestHostsSeeEachOther(t *testing.T) {
	r := newRig(t)
	for n := range 20 {
		want := fmt.Appendf(nil, "%04d", n)
		a, err := os.OpenFile(r.file("a"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		a.Close()
		got := make([]byte, 4)
		b, err := os.Open(r.file("b"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		b.Close()
		if !bytes.Equal(got, want) {
			t.Fatalf("b reads %q after a wrote %q", got, want)
		}
	}
	if err := r.do(t, "b", array.Command{Service: array.Reserve, Key: 1, Type: 5}); !errors.Is(err, unix.EBADE) {
		t.Errorf("a reserve without registration: %v, want EBADE", err)
	}
	if err := unix.Setxattr(r.file("a"), array.AttrCommand, []byte("{"), 0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a garbled command: %v, want EINVAL", err)
	}
	if err := os.Truncate(r.file("a"), 1); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v, want EPERM", err)
	}
}
