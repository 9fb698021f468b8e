package physicaldisk

import (
	"context"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Maintain implements resourcetype.Maintainer: the file system grows with its device, if the spec says so, and one that is full is told.
func (t *Type) Maintain(ctx context.Context, inst *resourcetype.Instance) error {
	p, r, err := load(inst)
	if err != nil || !r.Online || r.MountPath == "" {
		return err
	}
	place := t.place(p, r)
	if p.Resize == v1alpha1.ResizeGrow && !place.ReadOnly {
		fs, err := filesystem.Of(p.FSType)
		if err != nil {
			return err
		}
		grown, err := fs.Grow(ctx, place, func() error { return t.mayWrite(ctx, inst) }, inst.Report)
		if err != nil {
			return err
		}
		if grown.To > grown.From {
			inst.Log.Info("The file system has grown", "mountPath", place.Path, "fromBytes", grown.From, "toBytes", grown.To)
		}
	}
	return place.Room()
}
