package loopbackdisk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeLoopbackDisk)

// Type is the resource type LoopbackDisk.
type Type struct{ disks *holding.Set }

// New returns the type.
func New() *Type {
	return &Type{disks: holding.New(func(file string, node model.NodeID) (reservation.Device, error) {
		return reservation.OpenFile(file, nexus(node))
	})}
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
	// Epoch for which the disk was reserved last, and how.
	Epoch  model.Epoch                `json:"epoch,omitempty"`
	Result resourcetype.ReserveResult `json:"result"`
	// MountPath is saved before anything is mounted there, and Loop before it is attached.
	MountPath string `json:"mountPath,omitempty"`
	Loop      string `json:"loop,omitempty"`
	// Formatting is saved before the disk is formatted, and taken away when that is complete.
	Formatting *formatting `json:"formatting,omitempty"`
	// Online says that the mount is complete.
	Online bool `json:"online,omitempty"`
}

func params(inst *resourcetype.Instance) (*v1alpha1.LoopbackDisk, error) {
	var spec v1alpha1.ResourceSpec
	if err := json.Unmarshal(inst.Spec, &spec); err != nil {
		return nil, fmt.Errorf("reading the spec of %s: %w", inst.Resource, err)
	}
	p := spec.LoopbackDisk
	if p == nil || !filepath.IsAbs(p.File) || !filepath.IsAbs(p.MountPath) {
		return nil, fmt.Errorf("the spec of %s has no loopbackDisk with an absolute file and mountPath", inst.Resource)
	}
	p.File, p.MountPath = filepath.Clean(p.File), filepath.Clean(p.MountPath)
	if p.FSType == "" {
		p.FSType = "ext4"
	}
	return p, nil
}

func load(inst *resourcetype.Instance) (record, error) {
	var r record
	_, err := inst.LoadData(&r)
	return r, err
}

func nexus(node model.NodeID) string { return fmt.Sprintf("node-%d", node) }

// Device implements resourcetype.Reserver.
func (t *Type) Device(inst *resourcetype.Instance) (string, error) {
	p, err := params(inst)
	if err != nil {
		return "", err
	}
	return p.File, nil
}

// place is where the disk is, or was, mounted.
func (r record) place(p *v1alpha1.LoopbackDisk, runDir string) filesystem.Place {
	return filesystem.Place{
		Path: r.MountPath, Device: r.Loop, Major: loopMajor, Minor: uint32(max(loopNumber(r.Loop), 0)), ReadOnly: filesystem.ReadOnly(p.Options),
		Ours: func() bool { return r.Loop != "" && backedBy(r.Loop, p.File, runDir) == nil },
	}
}

// Reserve implements resourcetype.Reserver: the disk must be idle on this host (O17), unless it is online here at an older epoch,
// which is then changed in place (O9).
func (t *Type) Reserve(ctx context.Context, inst *resourcetype.Instance) (resourcetype.ReserveResult, error) {
	none := resourcetype.ReserveResult{}
	p, err := params(inst)
	if err != nil {
		return none, err
	}
	r, err := load(inst)
	if err != nil {
		return none, err
	}
	earlier := holding.Earlier{Epoch: r.Epoch, Result: r.Result}
	if r.Online && r.Epoch > 0 && r.Epoch <= inst.Epoch && r.mounted(p) {
		if r.Result, err = t.disks.Advance(ctx, inst, []string{p.File}, earlier); err != nil {
			return r.Result, err
		}
		r.Epoch = inst.Epoch
		return r.Result, inst.Save(r)
	}
	result, err := t.disks.Reserve(ctx, inst, []string{p.File}, earlier, idle(inst, p, true))
	if errors.Is(err, holding.ErrBusy) {
		err = r.place(p, inst.RunDir).Kept(err)
	}
	if err != nil {
		return result, err
	}
	if !r.keptFor(inst.Epoch, result.EpochFound) {
		r.Formatting = nil
	}
	r.Epoch, r.Result = inst.Epoch, result
	return result, inst.Save(r)
}

// idle keeps the disk's lock until it is released, so that nothing on this host begins to use it meanwhile.
func idle(inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, create bool) func(string) (func(), error) {
	return func(string) (func(), error) {
		file, err := openIdle(inst, p, create)
		return func() { _ = file.Close() }, err
	}
}

// ClearForeign implements resourcetype.ForeignClearer.
func (t *Type) ClearForeign(ctx context.Context, inst *resourcetype.Instance, keys []reservation.Key) ([]reservation.Key, error) {
	p, err := params(inst)
	if err != nil {
		return nil, err
	}
	return t.disks.ClearForeign(ctx, inst, []string{p.File}, keys, idle(inst, p, false))
}

// mounted reports whether the disk is mounted, well or ill.
func (r record) mounted(p *v1alpha1.LoopbackDisk) bool {
	place := r.place(p, "")
	m, _, err := filesystem.FindMount(place.Path)
	return err == nil && m.Is(place.Major, place.Minor)
}

// Verify implements resourcetype.Reserver.
func (t *Type) Verify(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	return t.disks.Verify(ctx, inst, []string{p.File})
}

// Depart removes this node's registration from the disk, unless it holds it: then it stays parked (O15).
func (t *Type) Depart(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	if err := t.disks.Depart(ctx, inst, []string{p.File}); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Check implements resourcetype.Checker.
func (t *Type) Check(_ context.Context, spec json.RawMessage) []resourcetype.Problem {
	var problems []resourcetype.Problem
	if _, err := os.Stat(loopControl); err != nil {
		problems = append(problems, resourcetype.Problem{
			Reason: resourcetype.ReasonDeviceMissing, Object: loopControl, Message: "loop devices are not available: load the kernel module loop: " + err.Error(),
		})
	}
	tools := []string{"mkfs.ext4", "e2fsck"}
	if spec != nil {
		p, err := params(&resourcetype.Instance{Spec: spec})
		if err != nil {
			return append(problems, resourcetype.Problem{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()})
		}
		fs, err := filesystem.Of(p.FSType)
		if err != nil {
			return append(problems, resourcetype.Problem{Reason: "Unsupported", Object: p.FSType, Message: err.Error()})
		}
		tools = fs.Tools(true, grows(p))
		if _, err := os.Stat(p.File); err != nil && p.Size == nil {
			problems = append(problems, resourcetype.Problem{Reason: resourcetype.ReasonDeviceMissing, Object: p.File, Message: "the backing file cannot be seen: " + err.Error()})
		}
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			problems = append(problems, resourcetype.Problem{Reason: resourcetype.ReasonToolMissing, Object: tool, Message: tool + " is not installed: " + err.Error()})
		}
	}
	return problems
}
