package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// shutdownCommand is FS_IOC_SHUTDOWN of ext4 and XFS: _IOR('X', 125, __u32). From then on nothing reaches the disk.
const shutdownCommand = 0x8004587d

// shutdownNoFlush drops the journal too.
const shutdownNoFlush = 2

// Mounted is what is mounted at a path.
type Mounted struct{ *mountinfo.Info }

// Is reports whether it is the device with this number.
func (m Mounted) Is(major, minor uint32) bool {
	return m.Info != nil && m.Major == int(major) && m.Minor == int(minor)
}

// Ill returns why the file system no longer takes writes, by its own word; empty when it does.
func (m Mounted) Ill(wantReadOnly bool) string {
	options := strings.Split(m.VFSOptions+","+m.Options, ",")
	switch {
	case slices.Contains(options, "shutdown"):
		return "it is shut down"
	case slices.Contains(options, "emergency_ro"):
		return "it has become read-only after an error"
	case !wantReadOnly && slices.Contains(options, "ro"):
		return "it is read-only"
	}
	return ""
}

// FindMount returns the topmost mount at the path, if there is one.
func FindMount(path string) (Mounted, bool, error) {
	all, err := FindMounts(path)
	if err != nil || len(all) == 0 {
		return Mounted{}, false, err
	}
	return all[len(all)-1], true, nil
}

// FindMounts returns the mounts at the path, the topmost last. It does not touch the path, which may hang.
func FindMounts(path string) ([]Mounted, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != path, false })
	if err != nil {
		return nil, fmt.Errorf("reading the mounts: %w", err)
	}
	all := make([]Mounted, 0, len(infos))
	for _, i := range infos {
		all = append(all, Mounted{i})
	}
	return all, nil
}

// Vacant says that nothing is mounted at the path, and that nothing lies there that a mount would hide.
func Vacant(path string) error {
	m, found, err := FindMount(path)
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%s is mounted on %s already: unmount it, or choose another mountPath", m.Source, path)
	}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("mountPath %s is not a directory: move it away, or choose another mountPath", path)
	case err != nil:
		return fmt.Errorf("looking at the mount point: %w", err)
	}
	// A health check that is under way while the disk is unmounted may leave its file beneath.
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == aliveFile })
	if len(entries) > 0 {
		return fmt.Errorf("mountPath %s is not empty: it has %s, which the mount would hide, and which may have been written while the disk was "+
			"not mounted; move it away, or choose another mountPath", path, namesOf(entries))
	}
	return nil
}

// maxNames is how many entries of a directory a message names.
const maxNames = 3

func namesOf(entries []os.DirEntry) string {
	var names []string
	for _, e := range entries[:min(len(entries), maxNames)] {
		names = append(names, e.Name())
	}
	if more := len(entries) - len(names); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), more)
	}
	return strings.Join(names, ", ")
}

// mountPoint makes the mount point, and refuses one behind a symbolic link: the kernel would mount elsewhere than where the mount is
// looked for when the disk has to be taken away.
func mountPoint(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("making the mount point: %w", err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("looking at the mount point: %w", err)
	}
	if real != filepath.Clean(path) {
		return fmt.Errorf("mountPath %s goes through a symbolic link to %s: name the latter", path, real)
	}
	return nil
}

// flagsOf are the mount options that are flags; the others go to the file system as they are.
var flagsOf = map[string]struct {
	set, clear uintptr
}{
	"defaults": {}, "rw": {clear: unix.MS_RDONLY}, "ro": {set: unix.MS_RDONLY},
	"noatime": {set: unix.MS_NOATIME}, "nodiratime": {set: unix.MS_NODIRATIME}, "relatime": {set: unix.MS_RELATIME},
	"strictatime": {set: unix.MS_STRICTATIME}, "lazytime": {set: unix.MS_LAZYTIME},
	"nosuid": {set: unix.MS_NOSUID}, "nodev": {set: unix.MS_NODEV}, "noexec": {set: unix.MS_NOEXEC},
	"suid": {clear: unix.MS_NOSUID}, "dev": {clear: unix.MS_NODEV}, "exec": {clear: unix.MS_NOEXEC},
	"sync": {set: unix.MS_SYNCHRONOUS}, "async": {clear: unix.MS_SYNCHRONOUS}, "dirsync": {set: unix.MS_DIRSYNC},
}

// Mount mounts a device, which an operator calls name; options come after those that the type needs, and win over them.
func (t *Type) Mount(device, name, path string, options []string) error {
	if err := mountPoint(path); err != nil {
		return err
	}
	flags, data := mountOptions(t.options, options)
	if err := unix.Mount(device, path, t.name, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s with options %v: %w%s", device, path, options, err, t.advice(device, name, err))
	}
	return nil
}

// advice is what an operator can do about a mount that failed.
func (t *Type) advice(device, name string, err error) string {
	damaged := errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EIO)
	switch {
	case damaged && t.name == "xfs":
		return ": the file system is damaged, or its disk does not answer; look at the kernel's log and at xfs_repair -n. To repair it, " +
			fmt.Sprintf(byHand, "xfs_repair "+name)
	case damaged:
		return ": the file system is damaged, or its disk does not answer; look at the kernel's log. fsck: Force repairs what is safe to " +
			"repair; for the rest, " + fmt.Sprintf(byHand, "e2fsck -f "+name)
	case t.name == "xfs" && errors.Is(err, unix.EINVAL):
		return twinAdvice(device)
	}
	return ""
}

// twinAdvice tells of a mounted file system with the same UUID, which keeps an XFS from being mounted: the two may be one disk on
// two ways, so it is for an operator to say that they are not.
func twinAdvice(device string) string {
	mine := uuidOf(device)
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("xfs"))
	if err != nil || mine == "" {
		return ""
	}
	for _, m := range mounts {
		if m.Source != device && uuidOf(m.Source) == mine {
			return fmt.Sprintf(": %s on %s has the same UUID; if that is a copy or a snapshot, unmount it, give one of the two another UUID "+
				"(xfs_admin -U generate), or let this one be mounted beside it with the option nouuid", m.Source, m.Mountpoint)
		}
	}
	return ""
}

func uuidOf(device string) string {
	file, err := os.Open(device)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	found, err := Look(file)
	if err != nil {
		return ""
	}
	return found.UUID
}

// mountOptions splits options into flags and the file system's own. Of options of one name the last one wins, so what the spec says
// comes after what is built in.
func mountOptions(builtIn, spec []string) (flags uintptr, data string) {
	var own []string
	for _, option := range append(slices.Clone(builtIn), spec...) {
		if f, found := flagsOf[option]; found {
			flags = flags&^f.clear | f.set
			continue
		}
		own = append(own, option)
	}
	return flags, strings.Join(own, ",")
}

// Unmount detaches the mount if nobody uses it. Users that are about to end are waited for a moment. What is in the cache is written first:
// where another mount namespace has kept a copy of the mount, it is not the last one, and would write nothing by itself.
func Unmount(ctx context.Context, path string) error {
	const patience = time.Second
	if err := flush(path); err != nil {
		return err
	}
	for begin := time.Now(); ; {
		err := unix.Unmount(path, 0)
		if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // EINVAL: it is no mount point any more
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("unmounting %s: %w", path, err)
		}
		if time.Since(begin) > patience || ctx.Err() != nil {
			return fmt.Errorf("unmounting %s: it is in use by %s: %w", path, users(path), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// flush writes what is cached of the file system that is mounted at the path; of none, nothing.
func flush(path string) error {
	if _, found, err := FindMount(path); err != nil || !found {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // one that is shut down has nothing left to be written, and may be unmounted
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Syncfs(fd); err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("writing what is cached of %s: %w", path, err)
	}
	return nil
}

// ShutDown makes the file system refuse everything, and drop what has not reached the disk.
func ShutDown(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s to shut it down: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return shutDownOpen(fd, path)
}

// shutDownFile is ShutDown by any file or directory of the file system.
func shutDownFile(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s to shut it down: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return shutDownOpen(fd, path)
}

func shutDownOpen(fd int, path string) error {
	if err := unix.IoctlSetPointerInt(fd, shutdownCommand, shutdownNoFlush); err != nil && !errors.Is(err, unix.EIO) {
		return fmt.Errorf("shutting the file system on %s down: %w", path, err)
	}
	return nil
}

// maxUsers is how many users of a mount a message names.
const maxUsers = 5

// users names processes that have something below the path open.
func users(path string) string {
	var found []string
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "unknown processes"
	}
	for _, proc := range procs {
		if !uses(proc, path) {
			continue
		}
		if len(found) == maxUsers {
			found = append(found, "others")
			break
		}
		name, err := os.ReadFile(filepath.Join(proc, "comm"))
		if err != nil {
			continue
		}
		found = append(found, fmt.Sprintf("%s (%s)", filepath.Base(proc), strings.TrimSpace(string(name))))
	}
	if len(found) == 0 {
		return "a mount below it, another mount namespace or the kernel"
	}
	return "process " + strings.Join(found, ", ")
}

func uses(proc, path string) bool {
	below := func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && (target == path || strings.HasPrefix(target, path+"/"))
	}
	for _, link := range []string{"cwd", "root", "exe"} {
		if below(filepath.Join(proc, link)) {
			return true
		}
	}
	for _, dir := range []string{"fd", "map_files"} {
		entries, err := os.ReadDir(filepath.Join(proc, dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if below(filepath.Join(proc, dir, e.Name())) {
				return true
			}
		}
	}
	return false
}
