package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// Check tells whether control groups can be made below root: it must be, or be below, a cgroup2 file system.
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

// Mount returns where the cgroup2 file system is mounted that root is on, or will be.
func Mount(root string) (string, error) {
	if err := Check(root); err != nil {
		return "", err
	}
	mount := ""
	for dir := filepath.Clean(root); ; dir = filepath.Dir(dir) {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		switch {
		case err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC:
			mount = dir
		case err == nil || !errors.Is(err, unix.ENOENT):
			return mount, nil
		}
		if dir == filepath.Dir(dir) {
			return mount, nil
		}
	}
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

// Add moves a process into the control group, which must exist. What the process has started before stays where it is.
func (c *Cgroup) Add(pid int) error {
	if err := c.set("cgroup.procs", strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("moving process %d into the cgroup: %w", pid, err)
	}
	return nil
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
	if err := c.KillProcesses(ctx); err != nil {
		return err
	}
	return c.Remove()
}

// KillProcesses is Kill for a control group that somebody else has made, and removes.
func (c *Cgroup) KillProcesses(ctx context.Context) error {
	if _, err := os.Stat(c.path); gone(err) {
		return nil
	}
	// The kernel kills what is forked meanwhile, too (Linux 5.14).
	err := c.set("cgroup.kill", "1")
	if gone(err) {
		err = c.killFrozen(ctx)
	}
	if err != nil {
		return fmt.Errorf("killing the cgroup: %w", err)
	}
	return c.WaitEmpty(ctx)
}

// set writes to one of the control group's files, and never makes one.
func (c *Cgroup) set(file, value string) error {
	f, err := os.OpenFile(filepath.Join(c.path, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// killFrozen is for kernels that cannot kill a whole control group: frozen processes do not fork, and die of SIGKILL all the same.
// Whatever was born before the freeze took hold is met in a later round.
func (c *Cgroup) killFrozen(ctx context.Context) error {
	err := c.set("cgroup.freeze", "1")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		if err := c.Signal(unix.SIGKILL); err != nil {
			return err
		}
		populated, err := c.Populated()
		if err == nil && !populated {
			// Whoever keeps the control group may start something in it again.
			if err := c.set("cgroup.freeze", "0"); !gone(err) {
				return err
			}
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return err // WaitEmpty names what is left
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// WaitEmpty waits until no process is left. It sleeps between looks instead of waiting on the file: a thousand of these at a time must
// not need a thread each.
func (c *Cgroup) WaitEmpty(ctx context.Context) error {
	pause := time.Millisecond
	for {
		populated, err := c.Populated()
		if err != nil || !populated {
			return err
		}
		if err := ctx.Err(); err != nil {
			pids, listErr := c.Processes()
			return errors.Join(fmt.Errorf("processes %v of cgroup %s do not end: %w", pids, c.path, err), listErr)
		}
		time.Sleep(pause)
		pause = min(2*pause, 16*time.Millisecond)
	}
}

// ProcessShare is how many processes and threads are the given share of all that this host can have.
func ProcessShare(percent int) (int, error) {
	most := math.MaxInt
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("looking how many processes there can be: %w", err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil {
			return 0, fmt.Errorf("looking how many processes there can be: %s: %w", file, err)
		}
		most = min(most, n)
	}
	return most / 100 * percent, nil
}

// LimitProcesses bounds how many processes and threads may live in the control group, so that one that forks without end leaves the
// host room to stop it. It reports false where the kernel does not offer the pids controller here, as beside cgroup version 1.
func (c *Cgroup) LimitProcesses(limit int) (bool, error) {
	parent := filepath.Dir(c.path)
	offered, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return false, fmt.Errorf("looking for the pids controller: %w", err)
	}
	if !slices.Contains(strings.Fields(string(offered)), "pids") {
		return false, nil
	}
	if err := At(parent).set("cgroup.subtree_control", "+pids"); err != nil {
		return false, fmt.Errorf("enabling the pids controller: %w", err)
	}
	if err := c.set("pids.max", strconv.Itoa(limit)); err != nil {
		return false, fmt.Errorf("limiting the processes of the cgroup: %w", err)
	}
	return true, nil
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
