package array

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// withoutFork runs open while no other goroutine can fork, and marks what it opened of /dev/fuse close-on-exec. The library opens
// the device without that flag; a host's process that inherited it would keep the connection alive after the array's death, and
// everything that waits for an answer would wait for ever.
func withoutFork(open func() error) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := open(); err != nil {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("mark /dev/fuse close-on-exec: %w", err)
	}
	for _, entry := range entries {
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil {
			continue
		}
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && target == "/dev/fuse" {
			unix.CloseOnExec(fd)
		}
	}
	return nil
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
