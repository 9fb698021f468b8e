package nvme

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/reservation/ioctl"
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

const timeout = 20 * time.Second

// Passthrough reaches a namespace through its block device node.
type Passthrough struct{ node blockdev.Node }

// Open looks at the device node at path.
func Open(path string) (*Passthrough, error) {
	node, err := blockdev.NewNode(path)
	return &Passthrough{node: node}, err
}

// Do implements Transport.
func (p *Passthrough) Do(ctx context.Context, c Command) (uint16, []byte, error) {
	r, err := ioctl.Do(ctx, p.node, timeout, ErrPath, func(fd int) (reply, error) { return issue(fd, c) })
	return r.status, r.data, err
}

// reply is a status and what came with it.
type reply struct {
	status uint16
	data   []byte
}

func issue(fd int, c Command) (reply, error) {
	namespace, err := unix.IoctlRetInt(fd, ioctlID)
	if err != nil {
		return reply{}, fmt.Errorf("%w: it is no NVMe namespace: %w", ErrUnsupported, err)
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
		return reply{}, fmt.Errorf("%w: %w", ErrUnsupported, errno)
	case errno != 0:
		return reply{}, fmt.Errorf("%w: %w", ErrPath, errno)
	}
	return reply{uint16(status), data}, nil
}
