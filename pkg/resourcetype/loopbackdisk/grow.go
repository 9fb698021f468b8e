package loopbackdisk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/resourcetype"
)

func grows(p *v1alpha1.LoopbackDisk) bool { return p.Resize != v1alpha1.ResizeNone }

// Maintain implements resourcetype.Maintainer: the file grows to its size, the file system with it, and one that is full is told.
func (t *Type) Maintain(ctx context.Context, inst *resourcetype.Instance) error {
	r, err := load(inst)
	if err != nil || !r.Online {
		return err
	}
	p, err := params(inst)
	if err != nil {
		return err
	}
	place := r.place(p, inst.RunDir)
	if grows(p) && !place.ReadOnly {
		if err := t.grow(ctx, inst, p, place); err != nil {
			return fmt.Errorf("disk %s: %w", p.File, err)
		}
	}
	return place.Room()
}

func (t *Type) grow(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, place filesystem.Place) error {
	fs, err := filesystem.Of(p.FSType)
	if err != nil {
		return err
	}
	may := func() error { return t.mayWrite(ctx, inst) }
	if err := enlarge(inst, p, place.Device, may); err != nil {
		return err
	}
	grown, err := fs.Grow(ctx, place, may, inst.Report)
	if err == nil && grown.To > grown.From {
		inst.Log.Info("The file system has grown", "mountPath", place.Path, "fromBytes", grown.From, "toBytes", grown.To)
	}
	return err
}

// enlarge makes the backing file as large as the spec says, and the loop device as large as its file. Neither ever becomes smaller.
func enlarge(inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, device string, may func() error) error {
	file, err := os.OpenFile(p.File, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening the backing file: %w", err)
	}
	defer func() { _ = file.Close() }()
	st, err := file.Stat()
	if err != nil {
		return fmt.Errorf("looking at the backing file: %w", err)
	}
	size := st.Size()
	if p.Size != nil && p.Size.Value() > size {
		if err := may(); err != nil {
			return err
		}
		if err := errors.Join(file.Truncate(p.Size.Value()), file.Sync()); err != nil {
			return fmt.Errorf("making the file larger, to %s: %w", p.Size, err)
		}
		inst.Log.Info("The backing file has grown", "file", p.File, "fromBytes", size, "toBytes", p.Size.Value())
		size = p.Size.Value()
	}
	now, err := filesystem.DeviceSize(device)
	if err != nil {
		return err
	}
	const sector = 512
	if now >= size/sector*sector {
		return nil
	}
	dev, err := openLoop(loopNumber(device), inst.RunDir)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }()
	if err := unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("having %s see the size of its file: %w", device, err)
	}
	return nil
}
