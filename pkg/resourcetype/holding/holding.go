package holding

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// ErrBusy says that something on this host still uses a disk, which therefore must not be registered anew (rule O17).
var ErrBusy = errors.New("it is still in use on this host")

// Opener finds the reservation of a disk for a node; tests bring their own.
type Opener func(disk string, node model.NodeID) (reservation.Device, error)

// Set is the disks of this process, by name.
type Set struct {
	open Opener

	mu    sync.Mutex
	disks map[string]*disk
}

// disk is one of them. The lock keeps a check from seeing half of a change of the epoch.
type disk struct {
	sync.Mutex
	name string
	// device is kept, since one with several paths remembers which of them are registered; nil after an error.
	device reservation.Device
	// epoch for which this process holds it, and how it was acquired; 0 when it does not.
	epoch  model.Epoch
	result reservation.Result
}

// New returns an empty set.
func New(open Opener) *Set { return &Set{open: open, disks: map[string]*disk{}} }

func (s *Set) disk(name string) *disk {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.disks[name]
	if d == nil {
		d = &disk{name: name}
		s.disks[name] = d
	}
	return d
}

// with runs f on the device. After an error the device is found anew the next time, since it may have come back under another number.
func (s *Set) with(d *disk, node model.NodeID, f func(reservation.Device) error) error {
	if d.device == nil {
		dev, err := s.open(d.name, node)
		if err != nil {
			return err
		}
		d.device = dev
	}
	err := f(d.device)
	if err != nil {
		d.device = nil
	}
	return err
}

// Key is the reservation key of an instance at an epoch.
func Key(inst *resourcetype.Instance, epoch model.Epoch) (reservation.Key, error) {
	cluster, err := reservation.ClusterNumber(inst.ClusterID)
	if err != nil {
		return 0, err
	}
	return reservation.NewKey(cluster, inst.Node, epoch)
}

// Earlier is how an instance had reserved its disks before, from its record.
type Earlier struct {
	Epoch  model.Epoch
	Result reservation.Result
}

// Reserve acquires the disks, in this order, for the instance's epoch. idle opens a disk so that nothing on this host begins to use
// it until release is called, or says ErrBusy: then the disk is fit only if another resource of this process holds it at this very
// epoch. The result is that of the disks together: all must be proven.
func (s *Set) Reserve(
	ctx context.Context, inst *resourcetype.Instance, disks []string, earlier Earlier, idle func(disk string) (release func(), err error),
) (reservation.Result, error) {
	total := reservation.Result{Enforced: true, Preempted: true, Held: true, PTPL: true}
	for _, name := range disks {
		result, err := s.reserve(ctx, inst, s.disk(name), earlier, idle)
		total.EpochFound = max(total.EpochFound, result.EpochFound)
		if err != nil {
			return reservation.Result{EpochFound: total.EpochFound}, err
		}
		total.Enforced, total.Preempted = total.Enforced && result.Enforced, total.Preempted && result.Preempted
		total.Held, total.PTPL = total.Held && result.Held, total.PTPL && result.PTPL
	}
	return total, nil
}

func (s *Set) reserve(
	ctx context.Context, inst *resourcetype.Instance, d *disk, earlier Earlier, idle func(string) (func(), error),
) (result reservation.Result, err error) {
	d.Lock()
	defer d.Unlock()
	me, err := Key(inst, inst.Epoch)
	if err != nil {
		return result, err
	}
	release, err := idle(d.name)
	if errors.Is(err, ErrBusy) && d.epoch == inst.Epoch {
		// A sibling uses it, at this epoch: nothing is sent but the question whether that still holds.
		return d.result, s.with(d, inst.Node, func(dev reservation.Device) error { return reservation.Verify(ctx, dev, me) })
	}
	if err != nil {
		return result, err
	}
	defer release()
	err = s.with(d, inst.Node, func(dev reservation.Device) (err error) {
		result, err = reservation.Acquire(ctx, dev, me, inst.MayAct)
		return err
	})
	if err != nil {
		return result, err
	}
	if result.Held {
		// Taken once more at the same epoch: how it was taken the first time is what counts.
		if d.epoch == inst.Epoch {
			earlier = Earlier{Epoch: d.epoch, Result: d.result}
		}
		if earlier.Epoch == inst.Epoch {
			result.Preempted, result.EpochFound = earlier.Result.Preempted, max(result.EpochFound, earlier.Result.EpochFound)
		}
	}
	d.epoch, d.result = inst.Epoch, result
	return result, nil
}

// Identify asks the disks for their own names; empty for one that has none.
func (s *Set) Identify(ctx context.Context, inst *resourcetype.Instance, disks []string) ([]string, error) {
	names := make([]string, 0, len(disks))
	for _, name := range disks {
		d := s.disk(name)
		d.Lock()
		var own string
		err := s.with(d, inst.Node, func(dev reservation.Device) (err error) {
			own, err = reservation.Identity(ctx, dev)
			return err
		})
		d.Unlock()
		if errors.Is(err, reservation.ErrPath) || errors.Is(err, context.Cause(ctx)) && ctx.Err() != nil {
			return nil, err
		}
		names = append(names, own)
	}
	return names, nil
}

// Advance changes the epoch of disks that are in use (O9, O17).
func (s *Set) Advance(ctx context.Context, inst *resourcetype.Instance, disks []string, from Earlier) (reservation.Result, error) {
	me, err := Key(inst, inst.Epoch)
	if err != nil {
		return from.Result, err
	}
	old, err := Key(inst, from.Epoch)
	if err != nil {
		return from.Result, err
	}
	for _, name := range disks {
		if err := inst.MayStart(); err != nil {
			return from.Result, fmt.Errorf("changing the epoch on %s: %w", name, err)
		}
		if err := s.advance(ctx, inst, s.disk(name), from, old, me); err != nil {
			return from.Result, err
		}
	}
	return advanced(from), nil
}

// advanced: this node has held the disk all the time, so nobody else could write.
func advanced(from Earlier) reservation.Result {
	r := from.Result
	r.EpochFound, r.Preempted = max(r.EpochFound, from.Epoch), true
	return r
}

func (s *Set) advance(ctx context.Context, inst *resourcetype.Instance, d *disk, from Earlier, old, me reservation.Key) error {
	d.Lock()
	defer d.Unlock()
	err := s.with(d, inst.Node, func(dev reservation.Device) error { return reservation.Advance(ctx, dev, old, me) })
	if err == nil {
		d.epoch, d.result = inst.Epoch, advanced(from)
	}
	return err
}

// Verify tells whether this node still holds the disks.
func (s *Set) Verify(ctx context.Context, inst *resourcetype.Instance, disks []string) error {
	for _, name := range disks {
		if err := s.verify(ctx, inst, s.disk(name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) verify(ctx context.Context, inst *resourcetype.Instance, d *disk) error {
	d.Lock()
	defer d.Unlock()
	// A check may have been given its instance before the epoch changed in place, by it or by a sibling.
	me, err := Key(inst, max(inst.Epoch, d.epoch))
	if err != nil {
		return err
	}
	return s.with(d, inst.Node, func(dev reservation.Device) error { return reservation.Verify(ctx, dev, me) })
}

// Depart removes this node's registration from disks that it does not hold; those that it holds stay parked (O15).
func (s *Set) Depart(ctx context.Context, inst *resourcetype.Instance, disks []string) error {
	cluster, err := reservation.ClusterNumber(inst.ClusterID)
	if err != nil {
		return err
	}
	for _, name := range disks {
		d := s.disk(name)
		d.Lock()
		err := s.with(d, inst.Node, func(dev reservation.Device) error { return reservation.Depart(ctx, dev, cluster, inst.Node) })
		d.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Adopt looks, without a command, whether this node holds the disks at the epoch of an earlier agent's record.
func (s *Set) Adopt(ctx context.Context, inst *resourcetype.Instance, disks []string, earlier Earlier) error {
	// The disk may have been taken to a new epoch that the group's record has, or has not, seen.
	me, err := Key(inst, earlier.Epoch)
	if err != nil {
		return err
	}
	for _, name := range disks {
		d := s.disk(name)
		d.Lock()
		err := s.with(d, inst.Node, func(dev reservation.Device) error { return reservation.Holds(ctx, dev, me) })
		if err == nil && earlier.Epoch > d.epoch {
			d.epoch, d.result = earlier.Epoch, earlier.Result
		}
		d.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// ClearForeign removes foreign keys from the disks by an operator's word (O20), and returns those that it found. No disk may be held
// here, or in use; idle is that of Reserve.
func (s *Set) ClearForeign(
	ctx context.Context, inst *resourcetype.Instance, disks []string, named []reservation.Key, idle func(disk string) (release func(), err error),
) ([]reservation.Key, error) {
	// The lowest epoch makes no other node stale, and whoever is assigned the group takes the disk from it like from any earlier owner.
	me, err := Key(inst, 1)
	if err != nil {
		return nil, err
	}
	var removed []reservation.Key
	for _, name := range disks {
		found, err := s.clearForeign(ctx, inst, s.disk(name), me, named, idle)
		removed = append(removed, found...)
		if err != nil {
			return removed, err
		}
	}
	slices.Sort(removed)
	return slices.Compact(removed), nil
}

func (s *Set) clearForeign(
	ctx context.Context, inst *resourcetype.Instance, d *disk, me reservation.Key, named []reservation.Key, idle func(string) (func(), error),
) (removed []reservation.Key, err error) {
	d.Lock()
	defer d.Unlock()
	release, err := idle(d.name)
	if err != nil {
		return nil, err
	}
	defer release()
	err = s.with(d, inst.Node, func(dev reservation.Device) (err error) {
		removed, err = reservation.ClearForeign(ctx, dev, me, named, inst.MayAct)
		return err
	})
	return removed, err
}
