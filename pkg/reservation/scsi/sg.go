package scsi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/reservation/ioctl"
)

// From <scsi/sg.h>; golang.org/x/sys has none of it.
const (
	sgIO              = 0x2285
	sgReset           = 0x2284
	sgResetDevice     = 1
	sgResetNoEscalate = 0x100
	sgNone            = -1
	sgToDevice        = -2
	sgFromDevice      = -3
	sgInterface       = 'S'
	senseLength       = 64
)

// sgHeader is struct sg_io_hdr.
type sgHeader struct {
	interfaceID    int32
	direction      int32
	commandLength  uint8
	maxSenseLength uint8
	iovecCount     uint16
	dataLength     uint32
	data           unsafe.Pointer
	command        unsafe.Pointer
	sense          unsafe.Pointer
	timeout        uint32
	flags          uint32
	packID         int32
	userPointer    unsafe.Pointer
	status         uint8
	maskedStatus   uint8
	messageStatus  uint8
	senseWritten   uint8
	hostStatus     uint16
	driverStatus   uint16
	residual       int32
	duration       uint32
	info           uint32
}

// SG reaches a disk through its block device or generic device node. Opened read-only, the commands need CAP_SYS_RAWIO.
type SG struct{ node blockdev.Node }

// OpenSG looks at the device node at path.
func OpenSG(path string) (*SG, error) {
	node, err := blockdev.NewNode(path)
	return &SG{node: node}, err
}

// Do implements Transport.
func (s *SG) Do(ctx context.Context, c Command) (Reply, error) {
	return ioctl.Do(ctx, s.node, c.Timeout, ErrPath, func(fd int) (Reply, error) { return issue(fd, c) })
}

// Reset implements Transport. It does not escalate to a reset of the target or the bus, which would hit other disks.
func (s *SG) Reset(ctx context.Context) error {
	_, err := ioctl.Do(ctx, s.node, writeTimeout, ErrPath, func(fd int) (struct{}, error) {
		return struct{}{}, unix.IoctlSetPointerInt(fd, sgReset, sgResetDevice|sgResetNoEscalate)
	})
	if err != nil {
		return fmt.Errorf("LOGICAL UNIT RESET: %w", err)
	}
	return nil
}

func issue(fd int, c Command) (Reply, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	sense := make([]byte, senseLength)
	h := &sgHeader{
		interfaceID: sgInterface, direction: sgNone, commandLength: uint8(len(c.CDB)), maxSenseLength: senseLength,
		timeout: uint32(c.Timeout.Milliseconds()), command: unsafe.Pointer(&c.CDB[0]), sense: unsafe.Pointer(&sense[0]),
	}
	data := c.Out
	switch {
	case len(c.Out) > 0:
		h.direction = sgToDevice
	case c.In > 0:
		h.direction, data = sgFromDevice, make([]byte, c.In)
	}
	if len(data) > 0 {
		h.data, h.dataLength = unsafe.Pointer(&data[0]), uint32(len(data))
		pin.Pin(&data[0])
	}
	for _, p := range []any{&c.CDB[0], &sense[0], h} {
		pin.Pin(p)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), sgIO, uintptr(unsafe.Pointer(h)))
	switch {
	case errors.Is(errno, unix.ENOTTY), errors.Is(errno, unix.EINVAL):
		return Reply{}, fmt.Errorf("%w: it is no SCSI device: %w", ErrUnsupported, errno)
	case errno != 0:
		return Reply{}, fmt.Errorf("SG_IO: %w", errno)
	}
	r := Reply{Status: h.status, Host: h.hostStatus, Sense: sense[:min(int(h.senseWritten), senseLength)]}
	if h.direction == sgFromDevice {
		r.Data = data[:len(data)-min(max(int(h.residual), 0), len(data))]
	}
	return r, nil
}
