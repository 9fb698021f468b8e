package loopbackdisk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// Online mounts the disk, which Reserve has acquired: idle, right identity, checked, and with the lease and the reservation looked
// at before each step that writes.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	if err := t.clear(ctx, inst, p); err != nil {
		return err
	}
	file, err := openIdle(inst, p, false)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	found, err := filesystem.Look(file)
	if err != nil {
		return err
	}
	r, err := load(inst)
	if err != nil {
		return err
	}
	dev, err := attach(file, inst.RunDir)
	if err != nil {
		return err
	}
	// The mount keeps the device attached; without one it detaches itself at this close.
	defer func() { _ = dev.Close() }()
	r.Loop, r.MountPath, r.Online = dev.Name(), p.MountPath, false
	if err := inst.Save(r); err != nil {
		return err
	}
	if err := t.mayWrite(ctx, inst); err != nil {
		return err
	}
	if err := r.prepare(ctx, inst, p, found, file, dev.Name()); err != nil {
		return err
	}
	if err := t.mayWrite(ctx, inst); err != nil {
		return err
	}
	fs, err := filesystem.Of(p.FSType)
	if err != nil {
		return err
	}
	if err := fs.Mount(dev.Name(), p.File, p.MountPath, p.Options); err != nil {
		return fmt.Errorf("disk %s: %w", p.File, err)
	}
	if err := inst.MayStart(); err != nil {
		return errors.Join(fmt.Errorf("mounting %s: %w", p.File, err), r.place(p, inst.RunDir).TakeAway(ctx))
	}
	r.Online = true
	if err := inst.Save(r); err != nil {
		return errors.Join(err, r.place(p, inst.RunDir).TakeAway(ctx))
	}
	return nil
}

// clear removes what an interrupted start has left at the mount path, and refuses anybody else's mount.
func (t *Type) clear(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk) error {
	if err := t.Terminate(ctx, inst); err != nil {
		return err
	}
	return filesystem.Vacant(p.MountPath)
}

// mayWrite is the check before each write: the lease (O8), then that the disk still is ours.
func (t *Type) mayWrite(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.Verify(ctx, inst); err != nil {
		return err
	}
	return inst.MayStart()
}

// Offline unmounts the disk and leaves its reservation parked (O15).
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	r, err := load(inst)
	if err != nil {
		return err
	}
	if r.MountPath == "" {
		return nil
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	if r.mounted(p) {
		inst.Report("unmounting %s", r.MountPath)
		if err := filesystem.Unmount(ctx, r.MountPath); err != nil {
			return err
		}
	}
	if err := t.detached(inst); err != nil {
		return err
	}
	r.Online, r.MountPath, r.Loop = false, "", ""
	return inst.Save(r)
}

// detached waits until no loop device of this host uses the backing file any more: what was cached has reached the disk then.
func (t *Type) detached(inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(p.File, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("looking whether the disk is idle: %w", err)
	}
	err = errors.Join(lock(file), file.Close())
	if err == nil {
		return nil
	}
	err = fmt.Errorf("disk %s: %w", p.File, err)
	if r, loaded := load(inst); loaded == nil {
		err = r.place(p, inst.RunDir).Kept(err)
	}
	return err
}

// Terminate shuts the file system down, so that nothing more reaches the disk, and takes it from the name space. Processes that use
// it get errors. The loop device goes with the last of them.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	r, err := load(inst)
	if err != nil {
		return err
	}
	if r.MountPath == "" {
		return nil
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	return r.place(p, inst.RunDir).TakeAway(ctx)
}

// LooksAlive says that the disk is mounted, takes writes by its own word, and is still reserved for this node.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.isMounted(inst); err != nil {
		return err
	}
	return t.Verify(ctx, inst)
}

func (t *Type) isMounted(inst *resourcetype.Instance) error {
	r, err := load(inst)
	if err != nil {
		return err
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	place := r.place(p, inst.RunDir)
	place.Path = p.MountPath
	return place.Mounted()
}

// Watch sees a file system that has gone read-only, or away, within a second. A lost reservation is LooksAlive's to find.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	return filesystem.Watch(ctx, func() error { return t.isMounted(inst) }), nil
}

// IsAlive writes to the disk and waits until it is there. A disk that is full serves, as far as it can.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.LooksAlive(ctx, inst); err != nil {
		return err
	}
	r, err := load(inst)
	if err != nil {
		return err
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	err = r.place(p, inst.RunDir).Alive(ctx)
	if errors.Is(err, filesystem.ErrFull) {
		return nil // Maintain tells
	}
	return err
}

// Adopt looks at the mount, at what its loop device is attached to and at who holds the reservation, and sends no command.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	r, err := load(inst)
	if err != nil {
		return err
	}
	if !r.Online {
		return errors.New("the disk was not online")
	}
	if err := t.isMounted(inst); err != nil {
		return err
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	if err := backedBy(r.Loop, p.File, inst.RunDir); err != nil {
		return err
	}
	return t.disks.Adopt(ctx, inst, []string{p.File}, holding.Earlier{Epoch: r.Epoch, Result: r.Result})
}
