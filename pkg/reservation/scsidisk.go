package reservation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation/scsi"
)

// ErrUnsupported says that the disk has no persistent reservations of the type that is needed.
var ErrUnsupported = errors.New("the disk has no persistent reservations that Quorate can use")

// ErrPath says that the disk does not answer on this path, or not in time. A command that was sent may still have its effect.
var ErrPath = errors.New("the path to the disk fails")

const (
	// busyTries and busyPause are the patience with a disk that says it is busy: about two seconds in all.
	busyTries = 20
	busyPause = 100 * time.Millisecond
	// snapshotTries is how often keys and holder are read until both are of one generation.
	snapshotTries = 5
)

// scsiDisk is one path to a SCSI disk.
type scsiDisk struct {
	name      string
	transport scsi.Transport
}

func (d *scsiDisk) Name() string { return d.name }

// ReadStatus reads keys and reservation of one PRgeneration, and whether the disk remembers them.
func (d *scsiDisk) ReadStatus(ctx context.Context) (Status, error) {
	var capabilities scsi.Capabilities
	err := d.patiently(ctx, func() (err error) {
		capabilities, err = scsi.ReportCapabilities(ctx, d.transport)
		return err
	})
	// A disk that does not tell is taken for one that forgets (O19).
	if err != nil && !errors.Is(err, ErrUnsupported) {
		return Status{}, err
	}
	if !capabilities.Supports() {
		return Status{}, fmt.Errorf("%w: not the type Write Exclusive - Registrants Only", ErrUnsupported)
	}
	for range snapshotTries {
		var keys scsi.Keys
		var held scsi.Reservation
		err := d.patiently(ctx, func() (err error) {
			if keys, err = scsi.ReadKeys(ctx, d.transport); err != nil {
				return err
			}
			held, err = scsi.ReadReservation(ctx, d.transport)
			return err
		})
		if err != nil {
			return Status{}, err
		}
		if keys.Generation != held.Generation {
			continue
		}
		st := Status{Enforced: true, PTPL: capabilities.PTPLCapable && capabilities.PTPLActive, Generation: keys.Generation}
		for _, k := range keys.Keys {
			st.Keys = append(st.Keys, Key(k))
		}
		if held.Held {
			st.Holder, st.Type = Key(held.Holder), Type(held.Type)
		}
		return st, nil
	}
	return Status{}, fmt.Errorf("%w: its registrations change all the time", ErrAttention)
}

// patiently repeats a command that found the disk busy, and translates its error. What was busy has not carried it out.
func (d *scsiDisk) patiently(ctx context.Context, f func() error) error {
	var err error
	for range busyTries {
		if err = f(); !errors.Is(err, scsi.ErrBusy) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(busyPause):
		}
	}
	switch {
	case errors.Is(err, scsi.ErrConflict):
		return fmt.Errorf("%w (%w)", ErrConflict, err)
	case errors.Is(err, scsi.ErrAgain):
		return fmt.Errorf("%w (%w)", ErrAttention, err)
	case errors.Is(err, scsi.ErrUnsupported):
		return fmt.Errorf("%w (%w)", ErrUnsupported, err)
	case errors.Is(err, scsi.ErrPath), errors.Is(err, scsi.ErrNotReady), errors.Is(err, bounded.ErrHung):
		return fmt.Errorf("%w: %w", ErrPath, err)
	default:
		return err
	}
}

func (d *scsiDisk) out(ctx context.Context, action scsi.Action, key, serviceKey Key, aptpl bool) error {
	kind := byte(0)
	if action != scsi.Register && action != scsi.RegisterIgnore && action != scsi.Clear {
		kind = byte(WriteExclusiveRegistrantsOnly)
	}
	return d.patiently(ctx, func() error {
		return scsi.Send(ctx, d.transport, scsi.PersistentReserveOut(action, kind, uint64(key), uint64(serviceKey), aptpl))
	})
}

// register asks the disk to remember through a power loss. One that refuses that is registered with all the same: REPORT
// CAPABILITIES says then that it forgets, and it proves nothing (O19).
func (d *scsiDisk) register(ctx context.Context, action scsi.Action, old, key Key) error {
	err := d.out(ctx, action, old, key, true)
	if errors.Is(err, ErrUnsupported) {
		return d.out(ctx, action, old, key, false)
	}
	return err
}

func (d *scsiDisk) Register(ctx context.Context, old, key Key) error {
	return d.register(ctx, scsi.Register, old, key)
}

func (d *scsiDisk) RegisterIgnore(ctx context.Context, key Key) error {
	return d.register(ctx, scsi.RegisterIgnore, 0, key)
}

func (d *scsiDisk) Reserve(ctx context.Context, key Key) error {
	return d.out(ctx, scsi.Reserve, key, 0, false)
}

func (d *scsiDisk) Release(ctx context.Context, key Key) error {
	return d.out(ctx, scsi.Release, key, 0, false)
}

func (d *scsiDisk) PreemptAbort(ctx context.Context, key, victim Key) error {
	return d.out(ctx, scsi.PreemptAbort, key, victim, false)
}

func (d *scsiDisk) Clear(ctx context.Context, key Key) error {
	return d.out(ctx, scsi.Clear, key, 0, false)
}

func (d *scsiDisk) LUNReset(ctx context.Context) error {
	return d.patiently(ctx, func() error { return d.transport.Reset(ctx) })
}

// Identity asks the disk for its name, see Identified.
func (d *scsiDisk) Identity(ctx context.Context) (name string, err error) {
	for range maxAttentions + 1 {
		err = d.patiently(ctx, func() error {
			name, err = scsi.Identify(ctx, d.transport)
			return err
		})
		if !errors.Is(err, ErrAttention) {
			break
		}
	}
	return name, err
}
