package filesystem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// copied is a mount of the device in another mount namespace: of a container, or of a service with a name space of its own, that has kept
// what was mounted on the host when it started.
type copied struct {
	pid  int
	comm string
	// path leads there from here.
	path string
}

func (c copied) String() string { return fmt.Sprintf("process %d (%s)", c.pid, c.comm) }

// copies finds the mounts of a device in other mount namespaces than this process's, by one process of each.
func copies(major, minor uint32) []copied {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	seen := map[string]bool{own: true}
	var found []copied
	for _, proc := range procs {
		ns, err := os.Readlink(filepath.Join(proc, "ns/mnt"))
		if err != nil || seen[ns] {
			continue // it has ended meanwhile
		}
		if path, is := mountedIn(proc, major, minor); is {
			pid, _ := strconv.Atoi(filepath.Base(proc))
			comm, _ := os.ReadFile(filepath.Join(proc, "comm"))
			found = append(found, copied{pid: pid, comm: strings.TrimSpace(string(comm)), path: path})
		}
		seen[ns] = true
	}
	return found
}

// mountedIn looks for a mount of the device that the process sees, by a way that leads to it from here.
func mountedIn(proc string, major, minor uint32) (string, bool) {
	file, err := os.Open(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return "", false
	}
	defer func() { _ = file.Close() }()
	infos, err := mountinfo.GetMountsFromReader(file, func(i *mountinfo.Info) (skip, stop bool) {
		return i.Major != int(major) || i.Minor != int(minor), false
	})
	if err != nil {
		return "", false
	}
	for _, i := range infos {
		path := filepath.Join(proc, "root", i.Mountpoint)
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		// An XFS that is shut down answers nothing else; where something else is mounted above, the path leads there.
		if errors.Is(err, unix.EIO) || err == nil && st.Dev == unix.Mkdev(major, minor) {
			return path, true
		}
	}
	return "", false
}

// shutElsewhere shuts the file system down where it is left in other mount namespaces only: out of sight it would go on writing. The
// mounts themselves go with the processes that have them.
func (p Place) shutElsewhere() error {
	if p.Ours != nil && !p.Ours() {
		return nil // the number is another disk's by now
	}
	var failed error
	for _, c := range copies(p.Major, p.Minor) {
		if err := shutDownFile(c.path); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EIO) {
			failed = errors.Join(failed, fmt.Errorf("the file system is mounted in the mount namespace of %s too: %w", c, err))
		}
	}
	return failed
}

// Kept adds to an error, which says that the disk is in use, in whose mount namespaces it is left.
func (p Place) Kept(err error) error {
	if err == nil || p.Ours != nil && !p.Ours() {
		return err
	}
	var names []string
	for _, c := range copies(p.Major, p.Minor) {
		names = append(names, c.String())
	}
	if len(names) == 0 {
		return err
	}
	slices.Sort(names)
	return fmt.Errorf("%w: it is left mounted in the mount namespace of %s; end that", err, strings.Join(names[:min(len(names), maxUsers)], ", "))
}
