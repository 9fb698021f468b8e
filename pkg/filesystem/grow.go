package filesystem

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// growSlack is how much smaller than its device a file system may be for good: what is left over after its last group.
const growSlack = 1 << 20

// xfsGeometryCommand is XFS_IOC_FSGEOMETRY_V1: _IOR('X', 100, struct xfs_fsop_geom_v1).
const xfsGeometryCommand = 0x80705864

// Grown is what Grow has done.
type Grown struct {
	// Device is the size of the device; From and To are the file system's, before and afterwards, in bytes.
	Device, From, To int64
}

// Grow has a mounted file system grow to the size of its device. One that is as large already is left alone; may says, before anything is
// written, whether that is allowed.
func (t *Type) Grow(ctx context.Context, p Place, may func() error, report func(string, ...any)) (Grown, error) {
	var g Grown
	if err := p.Mounted(); err != nil {
		return g, err
	}
	var err error
	if g.Device, err = DeviceSize(p.Device); err != nil {
		return g, err
	}
	if g.From, err = t.size(p); err != nil {
		return g, err
	}
	g.To = g.From
	if g.Device-g.From < growSlack {
		return g, nil
	}
	if err := may(); err != nil {
		return g, err
	}
	what := p.Device
	if t.name == "xfs" {
		what = p.Path // of XFS it is the mount that grows
	}
	code, said, err := run(ctx, t.grow, what, report)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status %d: %s", code, refusal(said))
	}
	if err != nil {
		return g, fmt.Errorf("the file system on %s has %d MiB and its device %d, but it could not grow: %s %s: %w", p.Path, g.From>>20, g.Device>>20,
			strings.Join(t.grow, " "), what, err)
	}
	g.To, err = t.size(p)
	return g, err
}

// refusal is what resize2fs or xfs_growfs has said, and what to do where it is known: ext4 asks for a right that not every root has.
func refusal(said string) string {
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); strings.Contains(line, "Permission denied") {
			return line + "; the agent needs CAP_SYS_RESOURCE to have an ext4 grow, and the file system must be free of errors (e2fsck)"
		}
	}
	return lastLine(said)
}

// DeviceSize is the size of a block device, or of a file, in bytes.
func DeviceSize(path string) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	size, err := file.Seek(0, 2)
	if err != nil {
		return 0, fmt.Errorf("asking for the size of %s: %w", path, err)
	}
	return size, nil
}

// size of the mounted file system, in bytes. What the kernel knows counts: the disk may learn of it later.
func (t *Type) size(p Place) (int64, error) {
	if t.name == "xfs" {
		return xfsSize(p.Path)
	}
	file, err := os.Open(p.Device)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	super := make([]byte, 1024)
	if _, err := file.ReadAt(super, 1024); err != nil {
		return 0, fmt.Errorf("reading the superblock of %s: %w", p.Device, err)
	}
	size := extSize(super)
	if size <= 0 {
		return 0, fmt.Errorf("%s has no superblock of ext4", p.Device)
	}
	return size, nil
}

// extSize is the size that a superblock of ext4 tells; 0 when it is none.
func extSize(super []byte) int64 {
	const blocksLow, logBlock, magic, incompat, blocksHigh = 0x4, 0x18, 0x38, 0x60, 0x150
	const largest = 6 // 64 KiB
	if len(super) < blocksHigh+4 || binary.LittleEndian.Uint16(super[magic:]) != 0xef53 {
		return 0
	}
	shift := binary.LittleEndian.Uint32(super[logBlock:])
	blocks := uint64(binary.LittleEndian.Uint32(super[blocksLow:]))
	if binary.LittleEndian.Uint32(super[incompat:])&0x80 != 0 {
		blocks |= uint64(binary.LittleEndian.Uint32(super[blocksHigh:])) << 32
	}
	if shift > largest || blocks > 1<<46 {
		return 0
	}
	return int64(blocks << (10 + shift))
}

// xfsSize asks the kernel.
func xfsSize(path string) (int64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("opening %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var geometry struct {
		BlockSize uint32
		_         [7]uint32
		Blocks    uint64
		_         [72]byte
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), xfsGeometryCommand, uintptr(unsafe.Pointer(&geometry))); errno != 0 {
		return 0, fmt.Errorf("asking for the size of the file system on %s: %w", path, errno)
	}
	return int64(geometry.Blocks) * int64(geometry.BlockSize), nil
}

// Room says whether the file system has space left; ErrFull when not, with how large it is.
func (p Place) Room() error {
	var st unix.Statfs_t
	err := unix.Statfs(p.Path, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("asking for the space on %s: %w", p.Path, err)
	case st.Bavail == 0 && !p.ReadOnly:
		return fmt.Errorf("%w: nothing is left of %d MiB on %s; remove something, or make the disk larger", ErrFull, int64(st.Blocks)*st.Bsize>>20, p.Path)
	}
	return nil
}
