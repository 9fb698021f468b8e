// Package cgroup makes, freezes, kills and removes control groups of the unified hierarchy for the lab. It needs no controller, so
// it works beside version 1 hierarchies too.
package cgroup

import (
	"bufio"
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
)

// Group is a control group's directory.
type Group struct {
	dir string
}

// Root finds where the unified hierarchy is mounted.
func Root() (Group, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Group{}, fmt.Errorf("find the unified cgroup hierarchy: %w", err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		before, after, found := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if found && strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			return Group{dir: fields[4]}, nil
		}
	}
	return Group{}, errors.New("no unified cgroup hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
}

// Sub is the group of a name below this one; it is not made.
func (g Group) Sub(name string) Group { return Group{dir: filepath.Join(g.dir, name)} }

// Dir is the group's directory.
func (g Group) Dir() string { return g.dir }

// Create makes the group and its parents.
func (g Group) Create() error {
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	return nil
}

// Open opens the group's directory, for clone into it. The caller closes it.
func (g Group) Open() (*os.File, error) {
	file, err := os.Open(g.dir)
	if err != nil {
		return nil, fmt.Errorf("open control group: %w", err)
	}
	return file, nil
}

// Freeze stops every process of the group, or with false lets them go on, and waits until that is so, at most 2 s.
func (g Group) Freeze(frozen bool) error {
	value, want := "0", "frozen 0"
	if frozen {
		value, want = "1", "frozen 1"
	}
	if err := g.write("cgroup.freeze", value); err != nil {
		return fmt.Errorf("freeze control group: %w", err)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		events, err := os.ReadFile(filepath.Join(g.dir, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("freeze control group: %w", err)
		}
		if strings.Contains(string(events), want) {
			return nil
		}
	}
	return fmt.Errorf("control group %s: still not %q after 2 s, a process hangs in the kernel", g.dir, want)
}

// Frozen says whether the group was told to freeze.
func (g Group) Frozen() bool {
	value, err := os.ReadFile(filepath.Join(g.dir, "cgroup.freeze"))
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

// Kill kills every process of the group and of those below, at once. A group that does not exist has none.
func (g Group) Kill() error {
	err := g.write("cgroup.kill", "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Processes lists the process ids of the group and those below, as this process sees them.
func (g Group) Processes() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		}
		own, err := (Group{dir: path}).own()
		pids = append(pids, own...)
		return err
	})
	return pids, err
}

// own lists the processes of just this group.
func (g Group) own() ([]int, error) {
	content, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(content)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// First returns the first process of just this group; there is none while the host that it stands for is down.
func (g Group) First() (int, error) {
	pids, err := g.own()
	if err != nil {
		return 0, err
	}
	if len(pids) == 0 {
		return 0, fmt.Errorf("no process in control group %s", g.dir)
	}
	return slices.Min(pids), nil
}

// Remove kills what runs in the group and removes it with those below. It gives up when the context ends.
func (g Group) Remove(ctx context.Context) error {
	for {
		err := g.Kill()
		if err == nil {
			err = g.removeAll()
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove control group %s: %w", g.dir, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (g Group) removeAll() error {
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := g.Sub(entry.Name()).removeAll(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(g.dir)
}

func (g Group) write(name, value string) error {
	return os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0)
}
