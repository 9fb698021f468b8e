package reservation

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation/nvme"
	"github.com/quorate/quorate/pkg/reservation/scsi"
)

// OpenDisk returns the reservation of a whole disk by its path: a SCSI disk, an NVMe namespace or a multipath device. No command is
// sent yet. Anything else is refused with the reason: a partition, since a reservation is of the whole disk; one path of a multipath
// device; an md array; a loop device; a disk without reservations.
func OpenDisk(path string) (Device, error) {
	host := blockdev.Host()
	d, err := host.Find(path)
	if err != nil {
		return nil, err
	}
	disks, err := host.Disks(d)
	if err != nil {
		return nil, err
	}
	if len(disks) != 1 || disks[0].Name != d.Name {
		names := make([]string, 0, len(disks))
		for _, disk := range disks {
			names = append(names, disk.Path)
		}
		return nil, fmt.Errorf("%s is a %s: reservations are of whole disks, here %s", path, d.Kind, strings.Join(names, ", "))
	}
	if d.Kind == blockdev.Multipath {
		return NewMultipath(path, &mapper{host: host, device: d}), nil
	}
	return openPath(host, d, path)
}

// openPath opens one path, under a name.
func openPath(host *blockdev.System, d blockdev.Device, name string) (Device, error) {
	if d.Kind == blockdev.NVMe {
		t, err := nvme.Open(d.Path)
		if err != nil {
			return nil, err
		}
		return &nvmeDisk{name: name, wwid: host.WWID(d), transport: t}, nil
	}
	t, err := scsi.OpenSG(d.Path)
	if err != nil {
		return nil, err
	}
	return &scsiDisk{name: name, transport: t}, nil
}

// mapper is the real Map.
type mapper struct {
	host   *blockdev.System
	device blockdev.Device
}

// Paths implements Map. A path that the kernel has taken offline, or whose node is gone, is dead without being asked.
func (m *mapper) Paths() ([]Device, error) {
	below, err := m.host.Below(m.device)
	if err != nil {
		return nil, err
	}
	list := make([]Device, 0, len(below))
	for _, b := range below {
		p, err := openPath(m.host, b, b.Name)
		if err == nil && !m.host.Running(b) {
			err = fmt.Errorf("%w: the kernel has it offline", ErrPath)
		}
		if err != nil {
			p = deadPath{name: b.Name, err: err}
		}
		list = append(list, p)
	}
	return list, nil
}

// Fail implements Map.
func (m *mapper) Fail(ctx context.Context, path string) error {
	return m.message(ctx, "fail_path", path)
}

// Reinstate implements Map.
func (m *mapper) Reinstate(ctx context.Context, path string) error {
	return m.message(ctx, "reinstate_path", path)
}

// message tells the kernel's multipath target something about one path. The device mapper is spoken to through its own tool, which
// comes with every multipath installation.
func (m *mapper) message(ctx context.Context, verb, path string) error {
	below, err := m.host.Below(m.device)
	if err != nil {
		return err
	}
	for _, b := range below {
		if b.Name != path {
			continue
		}
		text := fmt.Sprintf("%s %d:%d", verb, b.Major, b.Minor)
		_, err := bounded.Do(ctx, m.device.Path, messageTimeout, func() (struct{}, error) {
			out, err := exec.CommandContext(ctx, "dmsetup", "message", m.device.Path, "0", text).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("dmsetup message %s %s: %w: %s", m.device.Path, text, err, strings.TrimSpace(string(out)))
			}
			return struct{}{}, err
		})
		return err
	}
	return nil // it has left the map
}
