package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group by its path. It need not exist.
type Cgroup struct {
	path string
}

// At names the control group; nothing is made or checked.
func At(path string) *Cgroup { return &Cgroup{path: filepath.Clean(path)} }

// Path of the control group in the file system.
func (c *Cgroup) Path() string { return c.path }

// Check tells whether control groups can be made below root: it must be, or be below, a cgroup2 file system whose kernel can kill a
// whole group (Linux 5.14).
func Check(root string) error {
	dir := filepath.Clean(root)
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return fmt.Errorf("looking at the cgroup root %s: %w", root, err)
		}
		dir = filepath.Dir(dir)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("the cgroup root %s is not on a cgroup2 file system: mount one and name it with --cgroup-root", root)
	}
	return nil
}

// Create makes the control group and those above it, unless they are there.
func (c *Cgroup) Create() error {
	if err := os.MkdirAll(c.path, 0o755); err != nil {
		return fmt.Errorf("making the cgroup: %w", err)
	}
	if err := Check(c.path); err != nil {
		return err
	}
	return nil
}

// Open returns the directory, for a process to be born in it (SysProcAttr.CgroupFD). The caller closes it.
func (c *Cgroup) Open() (*os.File, error) {
	f, err := os.OpenFile(c.path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the cgroup: %w", err)
	}
	return f, nil
}

// Populated reports whether any process lives in the control group or below. One that does not exist has none.
func (c *Cgroup) Populated() (bool, error) {
	raw, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the cgroup's events: %w", err)
	}
	return strings.Contains("\n"+string(raw), "\npopulated 1\n"), nil
}

// Processes lists the ids of all processes in the control group and below.
func (c *Cgroup) Processes() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(c.path, func(path string, d fs.DirEntry, err error) error {
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		raw, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for field := range strings.FieldsSeq(string(raw)) {
			// Processes of another PID namespace are listed as 0.
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the cgroup's processes: %w", err)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// Has reports whether the process is in the control group or below.
func (c *Cgroup) Has(pid int) (bool, error) {
	pids, err := c.Processes()
	return slices.Contains(pids, pid), err
}

// Signal sends a signal to every process. Processes that are born meanwhile may be missed; Kill misses none.
func (c *Cgroup) Signal(sig unix.Signal) error {
	pids, err := c.Processes()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("sending %s to process %d: %w", unix.SignalName(sig), pid, err)
		}
	}
	return nil
}

// Kill kills every process at once and waits until all are gone, then removes the control group. An error at the end of ctx names
// the processes that are still there: they wait in the kernel for something that does not answer, mostly a disk.
func (c *Cgroup) Kill(ctx context.Context) error {
	err := os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("killing the cgroup: %w", err)
	}
	if err := c.WaitEmpty(ctx); err != nil {
		return err
	}
	return c.Remove()
}

// WaitEmpty waits until no process is left.
func (c *Cgroup) WaitEmpty(ctx context.Context) error {
	events, err := os.Open(filepath.Join(c.path, "cgroup.events"))
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the cgroup's events: %w", err)
	}
	defer func() { _ = events.Close() }()
	for {
		populated, err := c.Populated()
		if err != nil || !populated {
			return err
		}
		if err := ctx.Err(); err != nil {
			pids, listErr := c.Processes()
			return errors.Join(fmt.Errorf("processes %v of cgroup %s do not end: %w", pids, c.path, err), listErr)
		}
		// The kernel marks the file as changed; the read in Populated is on another descriptor, so look again now and then.
		pollFor(events, 20*time.Millisecond)
	}
}

func pollFor(f *os.File, d time.Duration) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
	if n, err := unix.Poll(fds, int(d.Milliseconds())); n > 0 || err != nil {
		// An event that was read already keeps the descriptor ready: reading it through this one clears that.
		buf := make([]byte, 64)
		_, _ = f.ReadAt(buf, 0)
	}
}

// Remove removes the control group and those below it, which must be empty. One that is not there is no error.
func (c *Cgroup) Remove() error {
	var dirs []string
	err := filepath.WalkDir(c.path, func(path string, d fs.DirEntry, err error) error {
		if gone(err) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for cgroups below %s: %w", c.path, err)
	}
	for _, dir := range slices.Backward(dirs) {
		if err := removeDir(dir); err != nil {
			return fmt.Errorf("removing the cgroup: %w", err)
		}
	}
	return nil
}

// removeDir tries for a moment: a process that has just ended may still be counted.
func removeDir(dir string) error {
	var err error
	for range 50 {
		if err = unix.Rmdir(dir); err == nil || gone(err) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
}

// gone reports whether an error says that the control group is not, or no longer, there.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}
