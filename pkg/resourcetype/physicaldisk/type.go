package physicaldisk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypePhysicalDisk)

// Type is the resource type PhysicalDisk.
type Type struct {
	disks *holding.Set
	host  storage
}

// storage is what a host knows of its disks; tests bring their own.
type storage interface {
	// Layout finds the disks below a resource's device. It reads only.
	Layout(ctx context.Context, p *v1alpha1.PhysicalDisk) (layout, error)
	// Activate makes a logical volume usable, on this node alone, and returns its device.
	Activate(ctx context.Context, v volume, owner string) (device string, err error)
	// Deactivate undoes that; a volume that is not active is no error.
	Deactivate(ctx context.Context, v volume) error
	// Claim opens a device so that nothing else of this host can use it until the release, and drops what is cached of it. ErrBusy says
	// that something uses it.
	Claim(device string) (release func(), err error)
	// Number of a device.
	Number(device string) (major, minor uint32, err error)
}

// layout is what lies below a resource.
type layout struct {
	// Disks are the whole disks, in the order in which they are reserved (O12).
	Disks []string
	// Device is what is mounted; empty for a logical volume, which is known only when it is active.
	Device string
	Volume *volume
}

// New returns the type.
func New() *Type {
	return &Type{
		disks: holding.New(func(disk string, _ model.NodeID) (reservation.Device, error) { return reservation.OpenDisk(disk) }),
		host:  &linux{devices: blockdev.Host(), lvm: lvm{run: runTool}},
	}
}

var (
	_ resourcetype.Type     = (*Type)(nil)
	_ resourcetype.Reserver = (*Type)(nil)
	_ resourcetype.Watcher  = (*Type)(nil)

	_ resourcetype.Maintainer = (*Type)(nil)

	_ resourcetype.Checker = (*Type)(nil)
	_ resourcetype.Cleaner = (*Type)(nil)

	_ resourcetype.ForeignClearer = (*Type)(nil)
)

// record is what the run state keeps of an instance.
type record struct {
	// Epoch for which the disks were reserved last, and how.
	Epoch  model.Epoch                `json:"epoch,omitempty"`
	Result resourcetype.ReserveResult `json:"result"`
	// Disks below the resource, and by what names they call themselves, in the same order.
	Disks    []string `json:"disks,omitempty"`
	Identity []string `json:"identity,omitempty"`
	// FileSystem is the file system's UUID.
	FileSystem string `json:"fileSystem,omitempty"`
	// Volume is saved before it is activated; Device, with its number, and MountPath before anything is mounted.
	Volume    *volume `json:"volume,omitempty"`
	Device    string  `json:"device,omitempty"`
	Major     uint32  `json:"major,omitempty"`
	Minor     uint32  `json:"minor,omitempty"`
	MountPath string  `json:"mountPath,omitempty"`
	// Online says that it serves.
	Online bool `json:"online,omitempty"`
}

var errNotReserved = errors.New("the disk was not reserved")

func params(inst *resourcetype.Instance) (*v1alpha1.PhysicalDisk, error) {
	var spec v1alpha1.ResourceSpec
	if err := json.Unmarshal(inst.Spec, &spec); err != nil {
		return nil, fmt.Errorf("reading the spec of %s: %w", inst.Resource, err)
	}
	p := spec.PhysicalDisk
	switch {
	case p == nil || !filepath.IsAbs(p.Device):
		return nil, fmt.Errorf("the spec of %s has no physicalDisk with an absolute device", inst.Resource)
	case p.MountPath != "" && !filepath.IsAbs(p.MountPath):
		return nil, fmt.Errorf("the spec of %s: mountPath %s is not absolute", inst.Resource, p.MountPath)
	case p.MountPath != "" && p.FSType == "":
		return nil, fmt.Errorf("the spec of %s has a mountPath without fsType", inst.Resource)
	}
	p.Device = filepath.Clean(p.Device)
	if p.MountPath != "" {
		p.MountPath = filepath.Clean(p.MountPath)
	}
	return p, nil
}

func load(inst *resourcetype.Instance) (*v1alpha1.PhysicalDisk, record, error) {
	var r record
	p, err := params(inst)
	if err == nil {
		_, err = inst.LoadData(&r)
	}
	return p, r, err
}

func (r record) earlier() holding.Earlier { return holding.Earlier{Epoch: r.Epoch, Result: r.Result} }

// place is where the device is, or was, mounted.
func (t *Type) place(p *v1alpha1.PhysicalDisk, r record) filesystem.Place {
	return filesystem.Place{
		Path: r.MountPath, Device: r.Device, Major: r.Major, Minor: r.Minor, ReadOnly: filesystem.ReadOnly(p.Options),
		Ours: func() bool {
			major, minor, err := t.host.Number(r.Device)
			return err == nil && major == r.Major && minor == r.Minor
		},
	}
}

// Device implements resourcetype.Reserver.
func (t *Type) Device(inst *resourcetype.Instance) (string, error) {
	p, err := params(inst)
	if err != nil {
		return "", err
	}
	return p.Device, nil
}

// Reserve implements resourcetype.Reserver: every disk below must be idle on this host (O17), or held by another resource of the
// group at this very epoch; a resource that is online here at an older epoch has its epoch changed in place (O9).
func (t *Type) Reserve(ctx context.Context, inst *resourcetype.Instance) (resourcetype.ReserveResult, error) {
	none := resourcetype.ReserveResult{}
	p, r, err := load(inst)
	if err != nil {
		return none, err
	}
	if r.Online && r.Epoch > 0 && r.Epoch <= inst.Epoch && r.serves() {
		if r.Result, err = t.disks.Advance(ctx, inst, r.Disks, r.earlier()); err != nil {
			return r.Result, err
		}
		r.Epoch = inst.Epoch
		return r.Result, inst.Save(r)
	}
	// What an interrupted start has left, such as an active volume, keeps the disks busy.
	if err := t.Terminate(ctx, inst); err != nil {
		return none, err
	}
	l, err := t.host.Layout(ctx, p)
	if err != nil {
		return none, err
	}
	identity, err := t.identify(ctx, inst, p, r, l)
	if err != nil {
		return none, err
	}
	result, err := t.disks.Reserve(ctx, inst, l.Disks, r.earlier(), t.host.Claim)
	if err != nil {
		return result, err
	}
	r.Epoch, r.Result, r.Disks, r.Identity, r.Volume = inst.Epoch, result, l.Disks, identity, l.Volume
	return result, inst.Save(r)
}

// serves reports whether it is still there, well or ill.
func (r record) serves() bool {
	if r.MountPath == "" {
		return true
	}
	m, _, err := filesystem.FindMount(r.MountPath)
	return err == nil && m.Is(r.Major, r.Minor)
}

// identify asks the disks for their names, and refuses others than before, and another than the device's own name says.
func (t *Type) identify(
	ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.PhysicalDisk, r record, l layout,
) ([]string, error) {
	names, err := t.disks.Identify(ctx, inst, l.Disks)
	if err != nil {
		return nil, err
	}
	if want := blockdev.ParseID(p.Device).WWID; want != "" && !slices.ContainsFunc(names, func(n string) bool { return blockdev.Same(n, want) }) {
		return nil, fmt.Errorf("%s leads to the disk %s, which calls itself %v: the name is out of date; let udev make it anew "+
			"(udevadm trigger), or mend the device of the resource", p.Device, l.Disks, names)
	}
	if slices.Equal(r.Disks, l.Disks) && len(r.Identity) == len(names) && !slices.Equal(r.Identity, names) {
		return nil, fmt.Errorf("%s is another disk than before: it called itself %v and now %v; if that is meant, delete the Resource and make "+
			"it again", p.Device, r.Identity, names)
	}
	return names, nil
}

// Verify implements resourcetype.Reserver.
func (t *Type) Verify(ctx context.Context, inst *resourcetype.Instance) error {
	_, r, err := load(inst)
	if err != nil {
		return err
	}
	if len(r.Disks) == 0 {
		return errNotReserved
	}
	return t.disks.Verify(ctx, inst, r.Disks)
}

// Depart removes this node's registration from the disks, unless it holds them: then they stay parked (O15).
func (t *Type) Depart(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	l, err := t.host.Layout(ctx, p)
	if errors.Is(err, blockdev.ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.disks.Depart(ctx, inst, l.Disks)
}

// ClearForeign implements resourcetype.ForeignClearer.
func (t *Type) ClearForeign(ctx context.Context, inst *resourcetype.Instance, keys []reservation.Key) ([]reservation.Key, error) {
	p, err := params(inst)
	if err != nil {
		return nil, err
	}
	l, err := t.host.Layout(ctx, p)
	if err != nil {
		return nil, err
	}
	return t.disks.ClearForeign(ctx, inst, l.Disks, keys, t.host.Claim)
}
