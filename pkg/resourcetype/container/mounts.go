package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// source is a directory that a container will see, held open, so that it can be told from another one that has come to its place.
type source struct {
	bind
	dir *os.File
}

// sources finds the directories of an instance's mounts. They are made if they are not there, and no symbolic link is followed below the
// disk's mount point, nor anywhere in a host path. The caller closes them.
func sources(inst *resourcetype.Instance, p *v1alpha1.Container) (all []source, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	mounts := slices.Clone(p.Mounts)
	// What lies in another mount comes after it.
	slices.SortFunc(mounts, func(a, b v1alpha1.ContainerMount) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range mounts {
		root, err := rootOf(inst, m)
		if err != nil {
			return all, err
		}
		dir, err := within(root, m.SubPath, m.HostPath == "")
		if err != nil {
			return all, fmt.Errorf("mount %s of %s: %w", m.Path, inst.Resource, err)
		}
		all = append(all, source{dir: dir, bind: bind{source: filepath.Join(root, m.SubPath), target: m.Path, readOnly: m.ReadOnly}})
	}
	return all, nil
}

func closeAll(all []source) {
	for _, s := range all {
		_ = s.dir.Close()
	}
}

// rootOf is the directory below which a mount's subPath lies. A disk must be mounted there: what is written beneath a mount point would
// be on the host's own disk.
func rootOf(inst *resourcetype.Instance, m v1alpha1.ContainerMount) (string, error) {
	if m.HostPath != "" {
		return m.HostPath, nil
	}
	root := inst.Disks[m.Disk]
	if root == "" {
		return "", fmt.Errorf("mount %s of %s: its group has no disk Resource %q that is mounted", m.Path, inst.Resource, m.Disk)
	}
	var here, above unix.Stat_t
	if err := unix.Lstat(root, &here); err != nil {
		return "", fmt.Errorf("mount %s of %s: looking at %s: %w", m.Path, inst.Resource, root, err)
	}
	if err := unix.Stat(filepath.Dir(root), &above); err != nil {
		return "", fmt.Errorf("mount %s of %s: looking at %s: %w", m.Path, inst.Resource, filepath.Dir(root), err)
	}
	if here.Dev == above.Dev {
		return "", fmt.Errorf("mount %s of %s: the disk %s is not mounted on %s; let the container depend on it", m.Path, inst.Resource, m.Disk, root)
	}
	return root, nil
}

// within opens a directory below root, step by step, and makes what is missing. rootMayLink lets root itself lie behind links.
func within(root, sub string, rootMayLink bool) (*os.File, error) {
	resolve := uint64(unix.RESOLVE_NO_MAGICLINKS)
	if !rootMayLink {
		resolve |= unix.RESOLVE_NO_SYMLINKS
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: resolve}
	at, err := unix.Openat2(unix.AT_FDCWD, root, &how)
	if err != nil {
		return nil, linkError(root, err)
	}
	how.Resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	path := root
	for name := range strings.SplitSeq(sub, "/") {
		if name == "" {
			continue
		}
		path = filepath.Join(path, name)
		next, err := unix.Openat2(at, name, &how)
		if errors.Is(err, unix.ENOENT) {
			if err = unix.Mkdirat(at, name, 0o755); err == nil || errors.Is(err, unix.EEXIST) {
				next, err = unix.Openat2(at, name, &how)
			}
		}
		_ = unix.Close(at)
		if err != nil {
			return nil, linkError(path, err)
		}
		at = next
	}
	return os.NewFile(uintptr(at), path), nil
}

func linkError(path string, err error) error {
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%s is, or lies behind, a symbolic link or .., which could lead out of what the container may see: name a directory", path)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s is not a directory", path)
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// verifyMounts looks into the file system of the container's first process, which waits, whether it has the directories that were found.
// The engine was told their names only, and a name may have come to mean something else meanwhile.
func verifyMounts(pid int, all []source) error {
	if len(all) == 0 {
		return nil
	}
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("looking into the container: %w", err)
	}
	defer func() { _ = unix.Close(root) }()
	for _, s := range all {
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, s.target, &how)
		if err != nil {
			return fmt.Errorf("looking at %s in the container: %w", s.target, err)
		}
		var want, got unix.Stat_t
		err = errors.Join(unix.Fstat(fd, &got), unix.Fstat(int(s.dir.Fd()), &want), unix.Close(fd))
		if err != nil {
			return fmt.Errorf("looking at %s in the container: %w", s.target, err)
		}
		if want.Dev != got.Dev || want.Ino != got.Ino {
			return fmt.Errorf("%s in the container is not %s as it was before the start: something has replaced it", s.target, s.source)
		}
	}
	return nil
}
