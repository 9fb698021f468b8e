package array

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxWrite is the largest read or write in bytes; with its header it fits into a pipe.
const maxWrite = 512 << 10

// attach mounts a FUSE file system on dir and returns the descriptor to serve it on. The library could do this too, but opens the
// device without close-on-exec: a host's process that inherited it would keep the connection alive after the array's death, and
// everything that waits for an answer would wait for ever.
func (p *Port) attach(dir string) (int, error) {
	connection, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,max_read=%d", connection, maxWrite)
	if err := unix.Mount("quorate-lab-"+p.host, dir, "fuse.quoratelab", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return -1, errors.Join(err, unix.Close(connection))
	}
	return connection, nil
}

// refusePolls makes the kernel ask once whether files can be polled, with a name that the library knows, so that it hears no and never
// asks again. Go's runtime polls every file that it opens without giving its processor away: a process that opens files that it
// serves itself, as tests do, could wait for itself.
func refusePolls(dir string) error {
	file, err := unix.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the file to poll: %w", err)
	}
	defer unix.Close(file)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(file), Events: unix.POLLIN | unix.POLLPRI | unix.POLLOUT}}, 0)
	return err
}

// abort ends the connection of the FUSE file system with this device number: all that waits for it, and all that comes, ends in an
// error at once. The control file system is opened without being mounted anywhere.
func abort(device uint64) error {
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open the control file system of FUSE: %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return fmt.Errorf("create the control file system of FUSE: %w", err)
	}
	root, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the control file system of FUSE: %w", err)
	}
	defer unix.Close(root)
	file, err := unix.Openat(root, fmt.Sprintf("%d/abort", unix.Minor(device)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("abort FUSE connection %d: %w", unix.Minor(device), err)
	}
	defer unix.Close(file)
	if _, err := unix.Write(file, []byte("1")); err != nil {
		return fmt.Errorf("abort FUSE connection %d: %w", unix.Minor(device), err)
	}
	return nil
}
