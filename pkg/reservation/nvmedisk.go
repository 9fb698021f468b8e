package reservation

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation/nvme"
)

// nvmeDisk is an NVMe namespace. Its registrations are per host, not per path.
type nvmeDisk struct {
	name      string
	wwid      string
	transport nvme.Transport
}

func (d *nvmeDisk) Name() string { return d.name }

func (d *nvmeDisk) ReadStatus(ctx context.Context) (Status, error) {
	r, err := nvme.ReadReport(ctx, d.transport)
	if err != nil {
		return Status{}, nvmeError(err)
	}
	st := Status{Enforced: true, PTPL: r.Persists, Generation: r.Generation, Holder: Key(r.Holder)}
	for _, k := range r.Keys {
		st.Keys = append(st.Keys, Key(k))
	}
	if r.Holder != 0 {
		st.Type = typeOfNVMe(r.Type)
	}
	return st, nil
}

// typeOfNVMe translates the types of NVMe into those of SPC-4.
func typeOfNVMe(t byte) Type {
	known := [...]Type{0, 1, 3, 5, 6, 7, 8}
	if int(t) < len(known) {
		return known[t]
	}
	return Type(t)
}

func nvmeError(err error) error {
	switch {
	case errors.Is(err, nvme.ErrConflict):
		return fmt.Errorf("%w (%w)", ErrConflict, err)
	case errors.Is(err, nvme.ErrAgain):
		return fmt.Errorf("%w (%w)", ErrAttention, err)
	case errors.Is(err, nvme.ErrUnsupported):
		return fmt.Errorf("%w (%w)", ErrUnsupported, err)
	case errors.Is(err, nvme.ErrPath), errors.Is(err, bounded.ErrHung):
		return fmt.Errorf("%w: %w", ErrPath, err)
	default:
		return err
	}
}

func (d *nvmeDisk) send(ctx context.Context, c nvme.Command) error {
	return nvmeError(nvme.Send(ctx, d.transport, c))
}

func (d *nvmeDisk) Register(ctx context.Context, old, key Key) error {
	switch {
	case key == 0:
		return d.send(ctx, nvme.Unregister(uint64(old)))
	case old == 0:
		return d.send(ctx, nvme.Register(uint64(key)))
	default:
		return d.send(ctx, nvme.Replace(uint64(old), uint64(key)))
	}
}

func (d *nvmeDisk) RegisterIgnore(ctx context.Context, key Key) error {
	err := d.send(ctx, nvme.RegisterIgnore(uint64(key)))
	if errors.Is(err, ErrConflict) {
		return d.send(ctx, nvme.ReplaceIgnore(uint64(key)))
	}
	return err
}

func (d *nvmeDisk) Reserve(ctx context.Context, key Key) error {
	return d.send(ctx, nvme.Reserve(uint64(key)))
}

func (d *nvmeDisk) Release(ctx context.Context, key Key) error {
	return d.send(ctx, nvme.Release(uint64(key)))
}

func (d *nvmeDisk) PreemptAbort(ctx context.Context, key, victim Key) error {
	return d.send(ctx, nvme.PreemptAbort(uint64(key), uint64(victim)))
}

func (d *nvmeDisk) Clear(ctx context.Context, key Key) error {
	return d.send(ctx, nvme.Clear(uint64(key)))
}

// LUNReset fails: NVMe can abort the commands of registered hosts only. Acquire then takes the disk without proof (O19).
func (d *nvmeDisk) LUNReset(context.Context) error {
	return fmt.Errorf("%w: NVMe has no reset of a namespace", ErrUnsupported)
}

// Identity is what the kernel has read. It looks again whenever the controller reports a change, and gives a namespace up whose
// identity has changed.
func (d *nvmeDisk) Identity(context.Context) (string, error) {
	if d.wwid == "" {
		return "", errors.New("the namespace has no name of its own")
	}
	return d.wwid, nil
}
