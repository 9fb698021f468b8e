package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// Options of a disk witness.
type Options struct {
	// Device is the disk's path on this host: a block device (SCSI, NVMe, or the device of a multipath disk), or a file of simulated
	// hosts, whose file server offers reservations.
	Device string
	// Cluster is the cluster's id.
	Cluster uint64
	// Nexus is this host's name towards a file's reservation.
	Nexus string
}

// Open returns the witness on a disk.
func Open(ctx context.Context, o Options) (witness.Device, error) {
	data, err := openStorage(o.Device)
	if err != nil {
		return nil, err
	}
	pr, err := reserve(o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", witness.ErrNoReservations, err), data.Close())
	}
	d, err := New(ctx, o.Device, pr, data, o.Cluster)
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return d, nil
}

func reserve(o Options) (reservation.Device, error) {
	info, err := os.Stat(o.Device)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return reservation.OpenFile(o.Device, o.Nexus)
	}
	return reservation.OpenDisk(o.Device)
}

// unsupported says that the disk, or the kernel's driver for it, has no persistent reservations.
func unsupported(err error) bool {
	return errors.Is(err, reservation.ErrUnsupported) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS)
}
