package physicaldisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// Online makes the device usable, which Reserve has acquired: right identity, checked, mounted, with the lease and the reservation
// looked at before each step that writes.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	p, _, err := load(inst)
	if err != nil {
		return err
	}
	if err := t.clear(ctx, inst, p); err != nil {
		return err
	}
	_, r, err := load(inst)
	if err != nil {
		return err
	}
	if len(r.Disks) == 0 {
		return errNotReserved
	}
	if err := t.device(ctx, inst, p, &r); err != nil {
		return err
	}
	if p.MountPath != "" {
		if err := t.mount(ctx, inst, p, &r); err != nil {
			return errors.Join(err, t.Terminate(ctx, inst))
		}
	}
	if err := inst.MayStart(); err != nil {
		return errors.Join(fmt.Errorf("mounting %s: %w", p.Device, err), t.Terminate(ctx, inst))
	}
	r.Online = true
	if err := inst.Save(r); err != nil {
		return errors.Join(err, t.Terminate(ctx, inst))
	}
	return nil
}

// device finds the device to be used, which may have to be activated, and saves it before anything uses it.
func (t *Type) device(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.PhysicalDisk, r *record) error {
	if err := t.mayWrite(ctx, inst); err != nil {
		return err
	}
	r.MountPath = p.MountPath
	if r.Volume != nil {
		if err := inst.Save(*r); err != nil {
			return err
		}
		inst.Report("activating %s", r.Volume)
		device, err := t.host.Activate(ctx, *r.Volume, owner(inst))
		if err != nil {
			return err
		}
		r.Device = device
	} else {
		l, err := t.host.Layout(ctx, p)
		if err != nil {
			return err
		}
		r.Device = l.Device
	}
	var err error
	if r.Major, r.Minor, err = t.host.Number(r.Device); err != nil {
		return err
	}
	return inst.Save(*r)
}

// mount checks the file system and mounts it.
func (t *Type) mount(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.PhysicalDisk, r *record) error {
	fs, err := filesystem.Of(p.FSType)
	if err != nil {
		return err
	}
	release, err := t.host.Claim(r.Device)
	if err != nil {
		return err
	}
	found, err := look(ctx, r.Device)
	release()
	switch {
	case err != nil:
		return err
	case found.Blank:
		return fmt.Errorf("%s is blank: make the file system by hand (mkfs.%s), a PhysicalDisk is never formatted", p.Device, p.FSType)
	case found.Name == "":
		return fmt.Errorf("%s has no file system that is known: it is not touched", p.Device)
	case found.Name != p.FSType:
		return fmt.Errorf("%s has a file system of type %s, not %s: it is not touched", p.Device, found.Name, p.FSType)
	case r.FileSystem != "" && r.FileSystem != found.UUID:
		return fmt.Errorf("%s has another file system than before (UUID %s, it was %s): if that is meant, delete the Resource and make it again",
			p.Device, found.UUID, r.FileSystem)
	}
	r.FileSystem = found.UUID
	if err := inst.Save(*r); err != nil {
		return err
	}
	if err := fs.Check(ctx, filesystem.Checking{
		Policy: p.Fsck, Found: found, Device: r.Device, Name: r.Device, MountPath: p.MountPath, Options: p.Options, Report: inst.Report,
	}); err != nil {
		return err
	}
	if err := t.mayWrite(ctx, inst); err != nil {
		return err
	}
	return fs.Mount(r.Device, r.Device, p.MountPath, p.Options)
}

// lookLimit is how long the first read of a disk may take.
const lookLimit = 20 * time.Second

func look(ctx context.Context, device string) (filesystem.Finding, error) {
	return bounded.Do(ctx, device, lookLimit, func() (filesystem.Finding, error) {
		file, err := os.Open(device)
		if err != nil {
			return filesystem.Finding{}, err
		}
		defer func() { _ = file.Close() }()
		return filesystem.Look(file)
	})
}

// clear removes what an interrupted start has left, and refuses anybody else's mount.
func (t *Type) clear(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.PhysicalDisk) error {
	if err := t.Terminate(ctx, inst); err != nil || p.MountPath == "" {
		return err
	}
	return filesystem.Vacant(p.MountPath)
}

// mayWrite is the check before each write: that the disk still is ours, then the lease (O8).
func (t *Type) mayWrite(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.Verify(ctx, inst); err != nil {
		return err
	}
	return inst.MayStart()
}

// Offline unmounts, flushes what is cached and leaves the reservation parked (O15).
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	p, r, err := load(inst)
	if err != nil || r.Device == "" && r.Volume == nil {
		return err
	}
	if r.MountPath != "" && r.serves() {
		inst.Report("unmounting %s", r.MountPath)
		if err := filesystem.Unmount(ctx, r.MountPath); err != nil {
			return err
		}
	}
	if r.Device != "" {
		if err := flush(ctx, r.Device); err != nil {
			return fmt.Errorf("flushing %s: %w", p.Device, err)
		}
	}
	if r.Volume != nil {
		if err := t.host.Deactivate(ctx, *r.Volume); err != nil {
			return err
		}
	} else if r.Device != "" {
		release, err := t.host.Claim(r.Device)
		if errors.Is(err, holding.ErrBusy) {
			err = t.place(p, r).Kept(err)
		}
		if err != nil {
			return err
		}
		release()
	}
	r.Online, r.MountPath, r.Device, r.Major, r.Minor = false, "", "", 0, 0
	return inst.Save(r)
}

// flushLimit is how long a disk may take to write what is cached.
const flushLimit = time.Minute

// flush waits until the disk has what was written to the device. A device that is gone has nothing in its cache.
func flush(ctx context.Context, device string) error {
	_, err := bounded.Do(ctx, device, flushLimit, func() (struct{}, error) {
		fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENXIO) {
			return struct{}{}, nil
		}
		if err != nil {
			return struct{}{}, err
		}
		defer func() { _ = unix.Close(fd) }()
		return struct{}{}, unix.Fsync(fd)
	})
	return err
}

// Terminate shuts the file system down, so that nothing more reaches the disk, and takes it from the name space. Processes that use
// it get errors. A volume that they keep from being deactivated can no longer be written through the file system; it is deactivated
// when the disk is reserved the next time.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	p, r, err := load(inst)
	if err != nil {
		return err
	}
	if r.MountPath != "" && r.Device != "" {
		if err := t.place(p, r).TakeAway(ctx); err != nil {
			return err
		}
	}
	if r.Volume == nil {
		return nil
	}
	if err := t.host.Deactivate(ctx, *r.Volume); err != nil {
		if r.MountPath == "" {
			return err
		}
		inst.Log.Info("A volume stays active for now", "volume", r.Volume.String(), "error", err.Error())
	}
	return nil
}

// LooksAlive says that the disk is mounted, takes writes by its own word, and is still reserved for this node.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.isMounted(inst); err != nil {
		return err
	}
	return t.Verify(ctx, inst)
}

func (t *Type) isMounted(inst *resourcetype.Instance) error {
	p, r, err := load(inst)
	if err != nil || p.MountPath == "" {
		return err
	}
	place := t.place(p, r)
	place.Path = p.MountPath
	return place.Mounted()
}

// Watch sees a file system that has gone read-only, or away, within a second. A lost reservation is LooksAlive's to find.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	return filesystem.Watch(ctx, func() error { return t.isMounted(inst) }), nil
}

// IsAlive writes to the file system and waits until that is on the disk; without a file system it reads the device.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := t.LooksAlive(ctx, inst); err != nil {
		return err
	}
	p, r, err := load(inst)
	if err != nil {
		return err
	}
	if p.MountPath == "" {
		return readable(ctx, r.Device)
	}
	err = t.place(p, r).Alive(ctx)
	if errors.Is(err, filesystem.ErrFull) {
		return nil // Maintain tells
	}
	return err
}

// readable reads the beginning of the device past every cache.
func readable(ctx context.Context, device string) error {
	_, err := bounded.Do(ctx, device, lookLimit, func() (int, error) {
		fd, err := unix.Open(device, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		defer func() { _ = unix.Close(fd) }()
		const page = 4096 // aligned, as O_DIRECT wants it
		buf, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return 0, err
		}
		defer func() { _ = unix.Munmap(buf) }()
		return unix.Pread(fd, buf, 0)
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", device, err)
	}
	return nil
}

// Adopt looks at the mount and at who holds the reservation, and sends no command.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	_, r, err := load(inst)
	if err != nil {
		return err
	}
	if !r.Online || len(r.Disks) == 0 {
		return errors.New("the disk was not online")
	}
	major, minor, err := t.host.Number(r.Device)
	if err != nil {
		return err
	}
	if major != r.Major || minor != r.Minor {
		return fmt.Errorf("%s is another device than before", r.Device)
	}
	if err := t.isMounted(inst); err != nil {
		return err
	}
	return t.disks.Adopt(ctx, inst, r.Disks, holding.Earlier{Epoch: r.Epoch, Result: r.Result})
}
