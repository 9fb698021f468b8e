package loopbackdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
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
	found, err := look(file)
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
	if err := prepare(ctx, p, found, dev.Name(), inst.Report); err != nil {
		return err
	}
	if err := t.mayWrite(ctx, inst); err != nil {
		return err
	}
	if err := mount(dev.Name(), p); err != nil {
		return err
	}
	if err := inst.MayStart(); err != nil {
		return errors.Join(fmt.Errorf("mounting %s: %w", p.File, err), terminate(ctx, p.MountPath, r.Loop))
	}
	r.Online = true
	if err := inst.Save(r); err != nil {
		return errors.Join(err, terminate(ctx, p.MountPath, r.Loop))
	}
	return nil
}

// clear removes what an interrupted start has left at the mount path, and refuses anybody else's mount.
func (t *Type) clear(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk) error {
	if err := t.Terminate(ctx, inst); err != nil {
		return err
	}
	m, found, err := findMount(p.MountPath)
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%s is mounted on %s already: unmount it, or choose another mountPath", m.Source, p.MountPath)
	}
	return nil
}

// mayWrite is the check before each write: the lease (O8), then that the disk still is ours.
func (t *Type) mayWrite(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.Verify(ctx, inst); err != nil {
		return err
	}
	return inst.MayStart()
}

func mount(device string, p *v1alpha1.LoopbackDisk) error {
	fs, err := fileSystemOf(p.FSType)
	if err != nil {
		return err
	}
	if err := mountPoint(p.MountPath); err != nil {
		return err
	}
	flags, data := mountOptions(fs.options, p.Options)
	if err := unix.Mount(device, p.MountPath, p.FSType, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s with options %v: %w", p.File, p.MountPath, p.Options, err)
	}
	return nil
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
	m, found, err := findMount(r.MountPath)
	if err != nil {
		return err
	}
	if found && m.isLoop(r.Loop) {
		inst.Report("unmounting %s", r.MountPath)
		if err := unmount(ctx, r.MountPath); err != nil {
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
	err = lock(file)
	if err != nil {
		err = fmt.Errorf("disk %s: %w", p.File, err)
	}
	return errors.Join(err, file.Close())
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
	return terminate(ctx, r.MountPath, r.Loop)
}

// terminate is bounded by ctx: a mount whose disk hangs may not let itself be opened.
func terminate(ctx context.Context, path, loop string) error {
	done := make(chan error, 1)
	go func() { done <- terminateNow(path, loop) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("shutting %s down: the file system does not answer: %w", path, ctx.Err())
	}
}

func terminateNow(path, loop string) error {
	// Several mounts may lie on top of each other after failed attempts.
	for range 16 {
		all, err := findMounts(path)
		if err != nil {
			return err
		}
		ours := slices.ContainsFunc(all, func(m mounted) bool { return m.isLoop(loop) })
		if !ours {
			return nil
		}
		m := all[len(all)-1]
		if !m.isLoop(loop) {
			return fmt.Errorf("the disk on %s is covered by a mount of %s: unmount that first", path, m.Source)
		}
		// What could not be shut down is not detached: out of sight it would go on writing.
		if err := shutDown(path); err != nil && m.ill(false) == "" {
			return err
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("detaching %s: %w", path, err)
		}
	}
	return fmt.Errorf("detaching %s: it is mounted again and again", path)
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
	m, found, err := findMount(p.MountPath)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("nothing is mounted on %s", p.MountPath)
	case !m.isLoop(r.Loop):
		return fmt.Errorf("%s is mounted on %s instead of %s", m.Source, p.MountPath, r.Loop)
	}
	if why := m.ill(slices.Contains(p.Options, "ro")); why != "" {
		return fmt.Errorf("the file system on %s: %s", p.MountPath, why)
	}
	return nil
}

// aliveFile is what IsAlive writes to.
const aliveFile = ".quorate-alive"

// IsAlive writes to the disk and waits until it is there.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.LooksAlive(ctx, inst); err != nil {
		return err
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	if slices.Contains(p.Options, "ro") {
		_, err := os.ReadDir(p.MountPath)
		return err
	}
	done := make(chan error, 1)
	go func() { done <- writeAlive(filepath.Join(p.MountPath, aliveFile)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("writing to %s: %w", p.MountPath, ctx.Err())
	}
}

func writeAlive(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("writing to the disk: %w", err)
	}
	_, err = file.WriteAt([]byte(time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z\n")), 0)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing to the disk: %w", err)
	}
	return nil
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
	// The disk may have been taken to a new epoch that the group's record has, or has not, seen.
	me, err := key(inst, r.Epoch)
	if err != nil {
		return err
	}
	dev, err := t.open(p.File, nexus(inst.Node))
	if err != nil {
		return err
	}
	if err := reservation.Holds(ctx, dev, me); err != nil {
		return err
	}
	h := t.holding(inst)
	h.Lock()
	defer h.Unlock()
	h.epoch = max(h.epoch, r.Epoch)
	return nil
}
