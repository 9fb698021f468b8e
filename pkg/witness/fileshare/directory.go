package fileshare

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// directory is what the store asks of the share. Names are without a path.
type directory interface {
	// kind returns the file system's magic number; an error if the path is not a directory.
	kind() (int64, error)
	// list returns the names as the server has them now, not as this host remembers them.
	list() ([]string, error)
	// read returns a file's content, or an error if it has more than limit bytes.
	read(name string, limit int) ([]byte, error)
	// create makes a file that must not be there yet. Its content is durable, its name only after sync.
	create(name string, content []byte) error
	// rename is atomic; it fails with ENOENT if old is not there.
	rename(old, name string) error
	// link gives a file a second name that must not be there yet.
	link(old, name string) error
	remove(name string) error
	// sync makes what was done to the names durable.
	sync() error
	// age of a file by its server's stamps against this host's clock; only for tidying.
	age(name string) (time.Duration, error)
}

// mounted is the directory of the real file system.
type mounted struct{ path string }

var _ directory = mounted{}

func (d mounted) kind() (int64, error) {
	info, err := os.Stat(d.path)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return 0, &os.PathError{Op: "open", Path: d.path, Err: unix.ENOTDIR}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	return st.Type, nil
}

func (d mounted) list() (names []string, err error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// An NFS client lists what it remembers for up to a minute. Being made to ask for the directory's attributes, it notices that it
	// has changed and lists it anew.
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st); err != nil {
		return nil, &os.PathError{Op: "statx", Path: d.path, Err: err}
	}
	return f.Readdirnames(-1)
}

func (d mounted) read(name string, limit int) (content []byte, err error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return content, err
}

func (d mounted) create(name string, content []byte) (err error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

func (d mounted) rename(old, name string) error {
	return unix.Rename(filepath.Join(d.path, old), filepath.Join(d.path, name))
}

func (d mounted) link(old, name string) error {
	return os.Link(filepath.Join(d.path, old), filepath.Join(d.path, name))
}

func (d mounted) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d mounted) sync() (err error) {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

func (d mounted) age(name string) (time.Duration, error) {
	info, err := os.Stat(filepath.Join(d.path, name))
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}
