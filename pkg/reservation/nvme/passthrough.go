package nvme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/bounded"
)

// From <linux/nvme_ioctl.h>; golang.org/x/sys has none of it.
const (
	ioctlID        = 0x4e40     // _IO('N', 0x40)
	ioctlIOCommand = 0xc0484e43 // _IOWR('N', 0x43, struct nvme_passthru_cmd)
)

// passthruCommand is struct nvme_passthru_cmd.
type passthruCommand struct {
	opcode         uint8
	flags          uint8
	_              uint16
	namespace      uint32
	cdw2, cdw3     uint32
	metadata       uint64
	address        unsafe.Pointer
	metadataLength uint32
	dataLength     uint32
	cdw10, cdw11   uint32
	cdw12, cdw13   uint32
	cdw14, cdw15   uint32
	timeout        uint32
	result         uint32
}

const (
	timeout = 20 * time.Second
	grace   = 2 * time.Second
)

// Passthrough reaches a namespace through its block device node, which is opened for each command.
type Passthrough struct {
	path string
	rdev uint64
}

// Open looks at the device node at path.
func Open(path string) (*Passthrough, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return &Passthrough{path: path, rdev: st.Rdev}, nil
}

// Do implements Transport.
func (p *Passthrough) Do(ctx context.Context, c Command) (uint16, []byte, error) {
	type reply struct {
		status uint16
		data   []byte
	}
	r, err := bounded.Do(ctx, p.path, timeout+grace, func() (reply, error) {
		fd, err := unix.Open(p.path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return reply{}, fmt.Errorf("%w: %w", ErrPath, &os.PathError{Op: "open", Path: p.path, Err: err})
		}
		defer func() { _ = unix.Close(fd) }()
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return reply{}, fmt.Errorf("looking at %s: %w", p.path, err)
		}
		if st.Rdev != p.rdev {
			return reply{}, fmt.Errorf("%s has become another device", p.path)
		}
		status, data, err := issue(fd, c)
		return reply{status, data}, err
	})
	return r.status, r.data, err
}

func issue(fd int, c Command) (uint16, []byte, error) {
	namespace, err := unix.IoctlRetInt(fd, ioctlID)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: it is no NVMe namespace: %w", ErrUnsupported, err)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	data := c.Out
	if c.In > 0 {
		data = make([]byte, c.In)
	}
	cmd := &passthruCommand{
		opcode: c.Opcode, namespace: uint32(namespace), cdw10: c.CDW10, cdw11: c.CDW11,
		address: unsafe.Pointer(&data[0]), dataLength: uint32(len(data)), timeout: uint32(timeout.Milliseconds()),
	}
	pin.Pin(&data[0])
	pin.Pin(cmd)
	status, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlIOCommand, uintptr(unsafe.Pointer(cmd)))
	switch {
	case errors.Is(errno, unix.ENOTTY), errors.Is(errno, unix.EOPNOTSUPP):
		return 0, nil, fmt.Errorf("%w: %w", ErrUnsupported, errno)
	case errno != 0:
		return 0, nil, fmt.Errorf("%w: %w", ErrPath, errno)
	}
	return uint16(status), data, nil
}
