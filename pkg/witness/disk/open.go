package disk

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// Options of a disk witness.
type Options struct {
	// Device is the disk's path on this host: a block device, or a file that a file server with reservations keeps.
	Device string
	// Cluster is the cluster's id.
	Cluster uint64
	// Reserve opens the disk's reservation.
	Reserve func(path string) (reservation.Device, error)
}

// Open returns the witness on a disk.
func Open(ctx context.Context, o Options) (witness.Device, error) {
	data, err := openStorage(o.Device)
	if err != nil {
		return nil, err
	}
	pr, err := o.Reserve(o.Device)
	if err != nil {
		return nil, errors.Join(translateOpen(o.Device, err), data.Close())
	}
	d, err := New(ctx, o.Device, pr, data, o.Cluster)
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return d, nil
}

// unsupported says that the disk, or the kernel's driver for it, has no persistent reservations.
func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS)
}
