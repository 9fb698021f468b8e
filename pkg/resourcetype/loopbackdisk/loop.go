package loopbackdisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

const (
	loopControl = "/dev/loop-control"
	loopMajor   = 7
)

// openIdle opens the backing file if no loop device of this host uses it (O17), and forgets what is cached of it. A file that is
// missing is made with the wanted size, if make is set.
func openIdle(inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, create bool) (*os.File, error) {
	file, err := os.OpenFile(p.File, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) && create && p.Size != nil {
		file, err = makeFile(inst, p)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the backing file: %w", err)
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("disk %s: %w", p.File, err), file.Close())
	}
	// Another host has written to it since it was read here, if it was.
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil && !errors.Is(err, unix.ENOSYS) {
		return nil, errors.Join(fmt.Errorf("dropping what is cached of %s: %w", p.File, err), file.Close())
	}
	return file, nil
}

func makeFile(inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk) (*os.File, error) {
	if err := inst.MayStart(); err != nil {
		return nil, fmt.Errorf("making %s: %w", p.File, err)
	}
	file, err := os.OpenFile(p.File, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = file.Truncate(p.Size.Value()); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making %s: %w", p.File, err), file.Close())
	}
	return file, nil
}

// lock takes the lock of the open file, which a loop device keeps as long as it is attached. A device that is being detached lets go
// within a moment. On file systems whose locks reach other hosts a lock says nothing about this one, so it is not asked.
func lock(file *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &st); err != nil {
		return fmt.Errorf("looking at its file system: %w", err)
	}
	switch st.Type {
	case unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC:
		return nil
	}
	var err error
	for range 40 {
		if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking it: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return holding.ErrBusy
}

// attach attaches a free loop device to the locked file. The device detaches itself when its last user is gone, so nothing is left
// if the agent dies before the device is mounted. The caller closes what is returned once it is mounted.
func attach(file *os.File, runDir string) (*os.File, error) {
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the control device of loop devices: %w", err)
	}
	defer func() { _ = control.Close() }()
	for range 64 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("looking for a free loop device: %w", err)
		}
		dev, err := openLoop(number, runDir)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		copy(config.Info.File_name[:len(config.Info.File_name)-1], file.Name())
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &config)
		if err == nil {
			return dev, nil
		}
		_ = dev.Close()
		// Another process was quicker to take this one.
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attaching %s to %s: %w", file.Name(), dev.Name(), err)
		}
	}
	return nil, fmt.Errorf("attaching %s: other processes took every free loop device", file.Name())
}

// openLoop opens /dev/loopN. In a /dev that is not the kernel's own the node may be missing; then one is made elsewhere.
func openLoop(number int, runDir string) (*os.File, error) {
	name := "loop" + strconv.Itoa(number)
	dev, err := os.OpenFile(filepath.Join("/dev", name), os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return dev, err
	}
	node := filepath.Join(runDir, name)
	mkErr := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, uint32(number))))
	if mkErr != nil && !errors.Is(mkErr, unix.EEXIST) {
		return nil, fmt.Errorf("making a node for %s: %w", name, mkErr)
	}
	return os.OpenFile(node, os.O_RDWR, 0)
}

// loopNumber is N of .../loopN, or -1.
func loopNumber(path string) int {
	digits, found := strings.CutPrefix(filepath.Base(path), "loop")
	n, err := strconv.Atoi(digits)
	if !found || err != nil {
		return -1
	}
	return n
}

// backedBy tells whether the loop device is attached to the file.
func backedBy(device, file, runDir string) error {
	dev, err := openLoop(loopNumber(device), runDir)
	if err != nil {
		return fmt.Errorf("opening the loop device: %w", err)
	}
	defer func() { _ = dev.Close() }()
	info, err := unix.IoctlLoopGetStatus64(int(dev.Fd()))
	if err != nil {
		return fmt.Errorf("asking %s what it is attached to: %w", device, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return fmt.Errorf("looking at the backing file: %w", err)
	}
	if info.Inode != st.Ino || info.Device != st.Dev {
		return fmt.Errorf("%s is attached to another file than %s", device, file)
	}
	return nil
}
