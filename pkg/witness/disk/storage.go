package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/witness"
)

// Storage is the disk's data as one host reaches it. Offsets and lengths are multiples of 4096 bytes; memory begins at one too.
type Storage interface {
	// ReadAt reads from the disk, not from a cache.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt returns when the disk has p for good.
	WriteAt(p []byte, off int64) (int, error)
	// Size in bytes.
	Size() (int64, error)
	Close() error
}

// file is the Storage in a block device, or a regular file of simulated hosts.
type file struct{ *os.File }

// openStorage opens the device. A block device is claimed: whatever is mounted, or part of LVM, RAID or a multipath device, is refused
// by the kernel, and nothing of that kind can begin while it is open.
func openStorage(path string) (Storage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, translateOpen(path, err)
	}
	flags := os.O_RDWR | unix.O_DIRECT | unix.O_DSYNC
	switch kind := info.Mode().Type(); {
	case kind&fs.ModeDevice != 0 && kind&fs.ModeCharDevice == 0:
		flags |= os.O_EXCL
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a disk: name a block device, best by /dev/disk/by-id", witness.ErrAbsent, path)
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, translateOpen(path, err)
	}
	return file{f}, nil
}

// Size in bytes.
func (f file) Size() (int64, error) { return f.Seek(0, io.SeekEnd) }

func translateOpen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: %w: connect the disk to this host, or correct the device's name", witness.ErrAbsent, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %s is mounted, or part of LVM, software RAID or a multipath device: name a disk that nothing uses "+
			"(of a multipath disk, the device in /dev/mapper)", witness.ErrInUse, path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %w", witness.ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", witness.ErrUnreachable, err)
}
