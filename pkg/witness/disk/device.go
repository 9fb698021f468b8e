package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// maxAttentions bounds the retries of a command that ended in UNIT ATTENTION, which a target tells a host once after each event.
const maxAttentions = 8

// Device is the witness on a disk. Commands that change the reservation are waited for to their end, whatever the caller's patience:
// the kernel aborts them after a time of its own. One that the caller believes to be over must not take the witness later. (Async
// does not keep the caller waiting.)
type Device struct {
	name    string
	cluster uint64
	// pr is the disk's reservation, on all its paths.
	pr   reservation.Device
	data Storage
	// id is the witness's identity; 0 until the disk has been made a witness.
	id uint64
	// marked has the marks that are known to be set.
	marked map[int]bool
	// unsettled is set while a preempt that was left behind in the kernel may still reach the disk.
	unsettled bool
}

var _ witness.Device = (*Device)(nil)

// New returns the witness of this cluster on a disk. It refuses a disk that is too small, holds something else, or has no enforced
// reservations. A blank disk is accepted; the first node that takes it makes it a witness. When it fails, data is left open.
func New(ctx context.Context, name string, pr reservation.Device, data Storage, cluster uint64) (*Device, error) {
	d := &Device{name: name, cluster: cluster, pr: pr, data: data, marked: map[int]bool{}}
	size, err := data.Size()
	if err != nil {
		return nil, d.unreachable("size", err)
	}
	if size < MinSize {
		return nil, fmt.Errorf("%w: %s has %d MiB, a witness needs %d", witness.ErrTooSmall, name, size>>20, MinSize>>20)
	}
	if err := d.lookAtHeader(); err != nil {
		return nil, err
	}
	if _, err := d.status(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// lookAtHeader learns the identity if it is not known yet. A blank disk is no error.
func (d *Device) lookAtHeader() error {
	if d.id != 0 {
		return nil
	}
	id, err := d.readHeader()
	if err == nil {
		d.id = id
	} else if !errors.Is(err, errBlank) {
		return err
	}
	return nil
}

// Name is the device's path.
func (d *Device) Name() string { return d.name }

// Close closes the disk.
func (d *Device) Close() error { return d.data.Close() }

// Look reads the reservation. The holder of a blank disk makes it a witness.
func (d *Device) Look(ctx context.Context, me reservation.Key) (witness.Status, error) {
	st, err := d.status(ctx)
	if err != nil {
		return witness.Status{}, err
	}
	if st.Holder == me {
		err = d.whileHeld(ctx, me, func() error { return d.ensureHeader(ctx) })
		if errors.Is(err, witness.ErrConflict) {
			return d.Look(ctx, me) // it was taken meanwhile
		}
	} else {
		err = d.lookAtHeader()
	}
	if err != nil {
		return witness.Status{}, err
	}
	st.ID = d.id
	return st, nil
}

// Register registers me on all paths.
func (d *Device) Register(ctx context.Context, me reservation.Key) error {
	if err := d.mine(me); err != nil {
		return err
	}
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if olderOf(st, me) != 0 {
		// First without a key: a holder that only changed its key would go on holding, without having waited (R8e).
		if err := d.send("unregister", func() error { return d.pr.RegisterIgnore(ctx, 0) }); err != nil {
			return err
		}
	}
	if err := d.send("register", func() error { return d.pr.RegisterIgnore(ctx, me) }); err != nil {
		return err
	}
	if olderOf(st, me) == 0 {
		return nil
	}
	// A path that is gone keeps its old key. One that holds is challenged like anybody's; another is cleaned up.
	if st, err = d.status(ctx); err != nil {
		return err
	}
	for old := olderOf(st, me); old != 0 && old != st.Holder; old = olderOf(st, me) {
		if err := d.send("preempt", func() error { return d.pr.PreemptAbort(ctx, me, old) }); err != nil && !errors.Is(err, witness.ErrConflict) {
			return err
		}
		if st, err = d.status(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle makes sure that no preempt of an earlier challenge can still arrive. It would take the witness with a registration that has
// not waited.
func (d *Device) settle(ctx context.Context) error {
	if !d.unsettled {
		return nil
	}
	if err := d.send("reset", func() error { return d.pr.LUNReset(context.WithoutCancel(ctx)) }); err != nil {
		return fmt.Errorf("an earlier preempt may still be under way, and cannot be aborted; restart the agent if this stays: %w", err)
	}
	d.unsettled = false
	return nil
}

// olderOf is a key of me's node that is not me; one that does not hold comes first. 0 if there is none.
func olderOf(st witness.Status, me reservation.Key) (older reservation.Key) {
	for _, k := range st.Keys {
		if k.Node() == me.Node() && k != me && (older == 0 || k != st.Holder) {
			older = k
		}
	}
	return older
}

// Remove preempts challengers' registrations.
func (d *Device) Remove(ctx context.Context, me reservation.Key, victims ...reservation.Key) error {
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	if st.Holder != me {
		return d.conflict(st, me)
	}
	for _, v := range victims {
		if v == me || v == 0 || !st.Registered(v) {
			continue
		}
		err := d.send("preempt", func() error { return d.pr.PreemptAbort(context.WithoutCancel(ctx), me, v) })
		if err == nil {
			continue
		}
		if !errors.Is(err, witness.ErrConflict) {
			return err
		}
		// Either this node was preempted, and must know; or the victim went by itself.
		if st, err = d.status(ctx); err != nil {
			return err
		}
		if st.Holder != me || st.Registered(v) {
			return d.conflict(st, me)
		}
	}
	return nil
}

// Take reserves a free disk, or preempts and aborts its holder. The first holder of a blank disk makes it a witness.
func (d *Device) Take(ctx context.Context, me, holder reservation.Key) error {
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	if st.Holder != me {
		if !st.Registered(me) || st.Holder != holder {
			return d.conflict(st, me)
		}
		if err := d.seize(ctx, me, holder); err != nil && !errors.Is(err, witness.ErrConflict) {
			return err
		}
		// What counts is what is read back: a first try whose answer was lost makes its repetition a conflict.
		if st, err = d.status(ctx); err != nil {
			return err
		}
		if st.Holder != me {
			return d.conflict(st, me)
		}
	}
	return d.whileHeld(ctx, me, func() error { return d.ensureHeader(ctx) })
}

func (d *Device) seize(ctx context.Context, me, holder reservation.Key) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if holder == 0 {
		err = d.send("reserve", func() error { return d.pr.Reserve(ctx, me) })
	} else {
		err = d.send("preempt", func() error { return d.pr.PreemptAbort(ctx, me, holder) })
	}
	d.unsettled = d.unsettled || errors.Is(err, bounded.ErrHung)
	return err
}

// Release releases the reservation, and keeps the registration.
func (d *Device) Release(ctx context.Context, me reservation.Key) error {
	st, err := d.status(ctx)
	if err != nil || st.Holder != me {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	release := func() error { return d.pr.Release(ctx, me) }
	if err := d.send("release", release); err != nil {
		return err
	}
	if st, err = d.status(ctx); err != nil || st.Holder != me {
		return err
	}
	// The reservation sits on a path that is gone, and only its own path may release it: it is moved to one that works. That takes
	// the registrations of the other paths, so they are registered anew.
	if err := d.send("preempt", func() error { return d.pr.PreemptAbort(ctx, me, me) }); err != nil {
		return err
	}
	if err := d.send("release", release); err != nil {
		return err
	}
	return d.send("register", func() error { return d.pr.RegisterIgnore(ctx, me) })
}

// Unregister removes me on all paths, which releases the reservation too.
func (d *Device) Unregister(ctx context.Context, me reservation.Key) error {
	st, err := d.status(ctx)
	if err != nil || !st.Registered(me) {
		return err
	}
	if err := d.Release(ctx, me); err != nil {
		return err
	}
	return d.send("unregister", func() error { return d.pr.Register(context.WithoutCancel(ctx), me, 0) })
}

// status reads the reservation, and refuses a disk that is not for this cluster's witness.
func (d *Device) status(ctx context.Context) (witness.Status, error) {
	var st reservation.Status
	err := d.send("reservation", func() (err error) {
		st, err = d.pr.ReadStatus(ctx)
		return err
	})
	if err != nil {
		return witness.Status{}, err
	}
	if !st.Enforced {
		return witness.Status{}, fmt.Errorf("%w: %s does not keep the writes of other hosts out", witness.ErrNoReservations, d.name)
	}
	out := witness.Status{Holder: st.Holder, Keys: slices.Clone(st.Keys)}
	slices.Sort(out.Keys)
	out.Keys = slices.Compact(out.Keys)
	if st.Holder != 0 && st.Type != reservation.WriteExclusiveRegistrantsOnly {
		return witness.Status{}, fmt.Errorf("%w: %s is reserved with type %d by key %s: another program uses it", witness.ErrInUse, d.name, st.Type, st.Holder)
	}
	for _, k := range append(slices.Clone(out.Keys), st.Holder) {
		if k != 0 && (k.Cluster() != clusterNumber(d.cluster) || k.Node() == 0 || k.Epoch() == 0) {
			return witness.Status{}, fmt.Errorf("%w: %s carries the reservation key %s: another cluster or program uses the disk; "+
				"take it from one of them, or clear the key there", witness.ErrForeign, d.name, k)
		}
	}
	return out, nil
}

// send sends a command, again while the target only has news to tell.
func (d *Device) send(doing string, command func() error) error {
	var err error
	for range maxAttentions {
		if err = command(); !errors.Is(err, reservation.ErrAttention) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, reservation.ErrConflict):
		return fmt.Errorf("%s of %s: %w", doing, d.name, witness.ErrConflict)
	case unsupported(err):
		return fmt.Errorf("%w: %s of %s: %w; use a disk that has them, or a file share or a Lease as the witness",
			witness.ErrNoReservations, doing, d.name, err)
	}
	return d.unreachable(doing, err)
}

func (d *Device) unreachable(doing string, err error) error {
	return fmt.Errorf("%w: %s of %s: %w", witness.ErrUnreachable, doing, d.name, err)
}

func (d *Device) conflict(st witness.Status, me reservation.Key) error {
	return fmt.Errorf("%w: witness %s: %s", witness.ErrConflict, d.name, witness.Describe(st, me))
}

func (d *Device) mine(me reservation.Key) error {
	if me.Cluster() != clusterNumber(d.cluster) || me.Node() == 0 || me.Epoch() == 0 {
		return fmt.Errorf("key %s is not one of cluster %s", me, clusterText(d.cluster))
	}
	return nil
}

func clusterNumber(id uint64) uint32 { return uint32(id >> 40) }
