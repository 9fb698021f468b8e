package array

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/loopdev"
)

// Mount is a host's view of the array: a directory with one file for each disk.
type Mount struct {
	dir    string
	files  loopdev.Files
	server *fuse.Server
}

// Mount serves the port's disks in the directory dir, which is made if need be. It needs root and mounts by itself, without
// fusermount.
func (p *Port) Mount(dir string) (*Mount, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("disks of %s: %w", p.host, err)
	}
	longTime := time.Hour // names and sizes never change
	// Inode numbers that no other mount has tell the loop devices over these files from all others.
	files := loopdev.Files{FirstInode: rand.Uint64N(1<<56)<<6 | 1<<5, Count: uint64(len(p.array.disks))}
	connection, err := p.attach(dir)
	if err != nil {
		return nil, fmt.Errorf("mount the disks of %s on %s: %w", p.host, dir, err)
	}
	server, err := fs.Mount(fmt.Sprintf("/dev/fd/%d", connection), &root{port: p, firstInode: files.FirstInode}, &fs.Options{
		MountOptions: fuse.MountOptions{MaxWrite: maxWrite, MaxBackground: 256, DisableReadDirPlus: true},
		EntryTimeout: &longTime, AttrTimeout: &longTime,
	})
	if err != nil {
		return nil, fmt.Errorf("serve the disks of %s: %w", p.host, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
	}
	var stat unix.Stat_t
	if err := errors.Join(refusePolls(dir), unix.Stat(dir, &stat)); err != nil {
		return nil, fmt.Errorf("disks of %s: %w", p.host, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
	}
	files.Device = stat.Dev
	return &Mount{dir: dir, files: files, server: server}, nil
}

// Files tell the loop devices over this mount's disks from all others.
func (m *Mount) Files() loopdev.Files { return m.files }

// Close aborts what waits for the file system and detaches it. Cut the port first, or writes may end half way. The abort comes first:
// once the file system is gone, another may have its number.
func (m *Mount) Close() error {
	var mounted unix.Stat_t
	if err := unix.Stat(m.dir, &mounted); err == nil && mounted.Dev != m.files.Device {
		return nil // not mounted any more
	}
	err := abort(m.files.Device)
	if unmountErr := unix.Unmount(m.dir, unix.MNT_DETACH); !errors.Is(unmountErr, unix.EINVAL) {
		err = errors.Join(err, unmountErr)
	}
	return err
}

// root is the directory that holds a host's disks.
type root struct {
	fs.Inode
	port       *Port
	firstInode uint64
}

var _ fs.NodeOnAdder = (*root)(nil)

// OnAdd fills the directory.
func (r *root) OnAdd(ctx context.Context) {
	for n, d := range r.port.array.disks {
		node := &diskNode{port: r.port, disk: d, number: n}
		r.AddChild(d.name, r.NewPersistentInode(ctx, node, fs.StableAttr{Mode: syscall.S_IFREG, Ino: r.firstInode + uint64(n)}), true)
	}
}

// diskNode is a disk's file as one host sees it.
type diskNode struct {
	fs.Inode
	port   *Port
	disk   *disk
	number int
}

var (
	_ fs.NodeGetattrer  = (*diskNode)(nil)
	_ fs.NodeSetattrer  = (*diskNode)(nil)
	_ fs.NodeOpener     = (*diskNode)(nil)
	_ fs.NodeReader     = (*diskNode)(nil)
	_ fs.NodeWriter     = (*diskNode)(nil)
	_ fs.NodeFsyncer    = (*diskNode)(nil)
	_ fs.NodeFlusher    = (*diskNode)(nil)
	_ fs.NodeAllocater  = (*diskNode)(nil)
	_ fs.NodeGetxattrer = (*diskNode)(nil)
	_ fs.NodeSetxattrer = (*diskNode)(nil)
)

// Getattr reports the size of the backing file.
func (n *diskNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, err := n.disk.file.Stat()
	if err != nil {
		return errno(err)
	}
	out.Mode = syscall.S_IFREG | 0o600
	out.Nlink = 1
	out.Size = uint64(info.Size())
	out.Blksize = 4096
	out.Blocks = out.Size / 512
	return 0
}

// Setattr ignores times and modes, and refuses another size: a disk does not grow because someone truncates it.
func (n *diskNode) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if e := n.Getattr(ctx, f, out); e != 0 {
		return e
	}
	if size, set := in.GetSize(); set && size != out.Size {
		return syscall.EPERM
	}
	return 0
}

// Open bypasses the page cache, so that no host reads what another has overwritten, and none writes later than it was asked to.
func (n *diskNode) Open(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if err := n.port.wait(ctx, n.number); err != nil {
		return nil, 0, errno(err)
	}
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read reads from the backing file.
func (n *diskNode) Read(ctx context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if err := n.port.wait(ctx, n.number); err != nil {
		return nil, errno(err)
	}
	count, err := n.disk.read(n.port, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errno(err)
	}
	return fuse.ReadResultData(dest[:count]), 0
}

// Write writes to the backing file if the host may.
func (n *diskNode) Write(ctx context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	arrived := n.disk.abortCount(n.port.host)
	if err := n.port.wait(ctx, n.number); err != nil {
		return 0, errno(err)
	}
	count, err := n.disk.write(n.port, arrived, data, off)
	return uint32(count), errno(err)
}

// Fsync has nothing to flush: the array's own power is never cut.
func (n *diskNode) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	return errno(n.port.wait(ctx, n.number))
}

// Flush is called when a file is closed; it must not hang a dying process.
func (*diskNode) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Allocate refuses discards and preallocation, which the loop driver then does without.
func (*diskNode) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// Getxattr answers [AttrState].
func (n *diskNode) Getxattr(ctx context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	if attr != AttrState {
		return 0, syscall.ENODATA
	}
	if err := n.port.wait(ctx, n.number); err != nil {
		return 0, errno(err)
	}
	data, err := n.disk.stateJSON()
	if err != nil {
		return 0, errno(err)
	}
	if len(data) > len(dest) {
		return uint32(len(data)), syscall.ERANGE
	}
	return uint32(copy(dest, data)), 0
}

// Setxattr carries out [AttrCommand].
func (n *diskNode) Setxattr(ctx context.Context, attr string, data []byte, _ uint32) syscall.Errno {
	if attr != AttrCommand {
		return syscall.EOPNOTSUPP
	}
	if err := n.port.wait(ctx, n.number); err != nil {
		return errno(err)
	}
	command, err := parseCommand(data)
	if err != nil {
		return syscall.EINVAL
	}
	return errno(n.disk.command(n.port.host, command))
}

func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return syscall.EIO
}
