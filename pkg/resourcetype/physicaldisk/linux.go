package physicaldisk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// linux is the real storage.
type linux struct {
	devices *blockdev.System
	lvm     lvm
}

// Layout implements storage.
func (h *linux) Layout(ctx context.Context, p *v1alpha1.PhysicalDisk) (layout, error) {
	d, err := h.devices.Find(p.Device)
	if err != nil {
		return layout{}, err
	}
	if p.LVM == nil {
		if d.Kind == blockdev.Volume {
			return layout{}, fmt.Errorf("%s is a logical volume: name its disk as the device, and the volume in lvm", p.Device)
		}
		disks, err := h.devices.Disks(d)
		if err != nil {
			return layout{}, err
		}
		return layout{Disks: paths(disks), Device: d.Path}, nil
	}
	parts, err := h.lvm.physicalVolumes(ctx, p.LVM.VolumeGroup, d.Path)
	if err != nil {
		return layout{}, err
	}
	disks, err := h.below(parts)
	if err != nil {
		return layout{}, fmt.Errorf("volume group %s: %w", p.LVM.VolumeGroup, err)
	}
	return layout{Disks: disks, Volume: &volume{Group: p.LVM.VolumeGroup, Name: p.LVM.LogicalVolume, Parts: parts}}, nil
}

// below returns the disks below physical volumes, each once, in the order of their names in the world, which is the same on every
// host (O12).
func (h *linux) below(parts []string) ([]string, error) {
	var all []blockdev.Device
	for _, part := range parts {
		d, err := h.devices.Find(part)
		if err != nil {
			return nil, err
		}
		disks, err := h.devices.Disks(d)
		if err != nil {
			return nil, err
		}
		for _, disk := range disks {
			if !slices.ContainsFunc(all, func(o blockdev.Device) bool { return o.Name == disk.Name }) {
				all = append(all, disk)
			}
		}
	}
	slices.SortFunc(all, func(a, b blockdev.Device) int {
		return cmp.Or(cmp.Compare(h.devices.WWID(a), h.devices.WWID(b)), cmp.Compare(a.Name, b.Name))
	})
	return paths(all), nil
}

func paths(disks []blockdev.Device) []string {
	list := make([]string, 0, len(disks))
	for _, d := range disks {
		list = append(list, d.Path)
	}
	return list
}

// Activate implements storage.
func (h *linux) Activate(ctx context.Context, v volume, owner string) (string, error) {
	if err := h.lvm.activate(ctx, v, owner); err != nil {
		return "", err
	}
	return v.device(), nil
}

// Deactivate implements storage.
func (h *linux) Deactivate(ctx context.Context, v volume) error {
	if _, err := os.Stat(v.device()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return h.lvm.deactivate(ctx, v)
}

// Claim implements storage.
func (h *linux) Claim(device string) (func(), error) {
	d, err := h.devices.Find(device)
	if err != nil {
		return nil, err
	}
	claimed, err := h.devices.Claimable(d)
	if err != nil {
		return nil, err
	}
	var open []int
	release := func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	}
	for _, c := range claimed {
		fd, err := claim(c.Path)
		if err != nil {
			release()
			return nil, fmt.Errorf("disk %s: %w", device, err)
		}
		open = append(open, fd)
	}
	return release, nil
}

// claimTries and claimPause are the patience with a device that is just being let go, or looked at by a program such as multipathd.
const (
	claimTries = 40
	claimPause = 5 * time.Millisecond
)

// claim opens a device for this process alone, as a mount does, and forgets what is cached of it: another host has written to it
// since it was read here, if it was.
func claim(path string) (fd int, err error) {
	for range claimTries {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(claimPause)
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return -1, holding.ErrBusy
	case err != nil:
		return -1, fmt.Errorf("opening it: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0); err != nil {
		return -1, errors.Join(fmt.Errorf("dropping what is cached of it: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// Number implements storage.
func (h *linux) Number(device string) (major, minor uint32, err error) {
	d, err := h.devices.Find(device)
	return d.Major, d.Minor, err
}
