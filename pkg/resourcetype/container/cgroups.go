package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
)

// cgroupMount is where every host has its control groups, and where container runtimes look for them.
const cgroupMount = "/sys/fs/cgroup"

// processShare is the part of all the host's processes and threads, in percent, that a container may have without a limit of its own.
const processShare = 15

// unified says that this host has control groups of version 2 alone: then the runtime puts the container into the very group that it is
// told. Beside version 1 it uses that, and the container is moved into its group of version 2 before it starts.
func unified() bool {
	var st unix.Statfs_t
	return unix.Statfs(cgroupMount, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// runtimePath is a control group as a container runtime is told of it: below the mount point.
func runtimePath(path string) string {
	for _, mount := range []string{cgroupMount + "/unified", cgroupMount} {
		if below, found := strings.CutPrefix(path, mount+"/"); found {
			return "/" + below
		}
	}
	// It is mounted elsewhere; the container is moved there from this one.
	return filepath.Join("/quorate", filepath.Base(path))
}

// limitsOf are the spec's limits, with the host's share of processes where it names none. A limit that this host cannot keep is an error.
func limitsOf(p *v1alpha1.Container, cg *cgroup.Cgroup) (limits, error) {
	var l limits
	if p.Limits != nil {
		if q := p.Limits.CPU; q != nil {
			l.milliCPU = q.MilliValue()
		}
		if q := p.Limits.Memory; q != nil {
			l.memory = q.Value()
		}
		if p.Limits.Processes != nil {
			l.processes = *p.Limits.Processes
		}
	}
	for what, limit := range map[string]int64{"cpu": l.milliCPU, "memory": l.memory, "pids": l.processes} {
		if limit < 0 {
			return l, fmt.Errorf("container.limits: a limit of %s below zero", what)
		}
		if limit > 0 && !offered(cg, what) {
			return l, fmt.Errorf("container.limits: this host has no %s controller for the control groups below %s (cgroup.controllers): enable it, or "+
				"remove the limit", what, filepath.Dir(cg.Path()))
		}
	}
	if l.processes == 0 && offered(cg, "pids") {
		most, err := cgroup.ProcessShare(processShare)
		if err != nil {
			return l, err
		}
		l.processes = int64(most)
	}
	return l, nil
}

// offered says whether a controller can be used for a control group that may not be there yet. Beside version 1 it is that version's.
func offered(cg *cgroup.Cgroup, controller string) bool {
	if !unified() {
		_, err := os.Stat(filepath.Join(cgroupMount, controller))
		return err == nil
	}
	for dir := filepath.Dir(cg.Path()); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		raw, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err == nil {
			return slices.Contains(strings.Fields(string(raw)), controller)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return false
}

// enclose makes sure that a process which waits for its start is in the control group: from then on whoever kills that group needs
// nobody's help.
func enclose(cg *cgroup.Cgroup, pid int) error {
	in, err := cg.Has(pid)
	if err != nil || in {
		return err
	}
	if err := cg.Create(); err != nil {
		return err
	}
	if err := cg.Add(pid); err != nil {
		return err
	}
	if in, err = cg.Has(pid); err == nil && !in {
		err = fmt.Errorf("process %d cannot be moved into the cgroup %s", pid, cg.Path())
	}
	return err
}
