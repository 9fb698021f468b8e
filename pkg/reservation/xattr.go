package reservation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// The extended attributes through which a shared file system offers emulated reservations on a file: the first is read for the
// status, the second is written with a command. The file server enforces them for each host.
const (
	attrStatus  = "user.quorate.pr"
	attrCommand = "user.quorate.pr.out"
)

// OpenFile returns the reservation of a shared file. If its file server enforces reservations it uses those. If the file system knows
// nothing of them it uses an advisory sidecar beside the file, in which this host is called nexus. A failing path is an error, and
// never turns an enforced disk into an advisory one.
func OpenFile(path, nexus string) (Device, error) {
	_, err := readAttr(path)
	switch {
	case err == nil:
		d := &xattrDevice{path: path}
		d.commands = d.do
		return d, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return openSidecar(path, nexus), nil
	default:
		return nil, fmt.Errorf("opening the reservation of %s: %w", path, err)
	}
}

type xattrDevice struct {
	commands
	path string
}

func (d *xattrDevice) Name() string { return d.path }

func (d *xattrDevice) ReadStatus(ctx context.Context) (Status, error) {
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	raw, err := readAttr(d.path)
	if err != nil {
		return Status{}, translate(err)
	}
	var st Status
	if err := json.Unmarshal(raw, &st); err != nil {
		return Status{}, fmt.Errorf("the file server of %s sent a garbled reservation: %w", d.path, err)
	}
	return st, nil
}

func (d *xattrDevice) do(ctx context.Context, c Command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := json.Marshal(wireCommand{Service: c.Service, Key: hex(c.Key), ServiceKey: hex(c.ServiceKey), Type: c.Type})
	if err != nil {
		return fmt.Errorf("encoding a reservation command: %w", err)
	}
	if err := unix.Setxattr(d.path, attrCommand, raw, 0); err != nil {
		return fmt.Errorf("%s: %w", c.Service, translate(err))
	}
	return nil
}

// wireCommand is a command as the file server reads it: every key in hexadecimal, the zero key too.
type wireCommand struct {
	Service    Service `json:"service"`
	Key        string  `json:"key"`
	ServiceKey string  `json:"serviceKey"`
	Type       Type    `json:"type,omitempty"`
}

func hex(k Key) string { return "0x" + strconv.FormatUint(uint64(k), 16) }

// translate gives the errors of the emulation their SCSI names.
func translate(err error) error {
	switch {
	case errors.Is(err, unix.EBADE):
		return ErrConflict
	case errors.Is(err, unix.EINVAL):
		return ErrInvalid
	default:
		return err
	}
}

// readAttr reads the status. A disk with many registrations needs more than the first guess.
func readAttr(path string) ([]byte, error) {
	for size := 4096; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Getxattr(path, attrStatus, buf)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
