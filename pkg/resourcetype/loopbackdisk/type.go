package loopbackdisk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeLoopbackDisk)

// Type is the resource type LoopbackDisk.
type Type struct {
	open opener

	mu   sync.Mutex
	held map[string]*holding
}

// opener finds the reservation of a file; tests bring their own.
type opener func(file, nexus string) (reservation.Device, error)

// holding is a disk that this process has reserved. The lock keeps a check from seeing half of a change of the epoch.
type holding struct {
	sync.Mutex
	epoch model.Epoch
}

// New returns the type.
func New() *Type { return &Type{open: reservation.OpenFile, held: map[string]*holding{}} }

var (
	_ resourcetype.Type     = (*Type)(nil)
	_ resourcetype.Reserver = (*Type)(nil)
	_ resourcetype.Watcher  = (*Type)(nil)
	_ resourcetype.Checker  = (*Type)(nil)
	_ resourcetype.Cleaner  = (*Type)(nil)
)

// record is what the run state keeps of an instance.
type record struct {
	// Epoch for which the disk was reserved last, and how.
	Epoch  model.Epoch                `json:"epoch,omitempty"`
	Result resourcetype.ReserveResult `json:"result"`
	// MountPath is saved before anything is mounted there, and Loop before it is attached.
	MountPath string `json:"mountPath,omitempty"`
	Loop      string `json:"loop,omitempty"`
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

// holding returns what this process knows of the instance's disk.
func (t *Type) holding(inst *resourcetype.Instance) *holding {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[inst.Resource.UID]
	if h == nil {
		h = &holding{}
		t.held[inst.Resource.UID] = h
	}
	return h
}

func key(inst *resourcetype.Instance, epoch model.Epoch) (reservation.Key, error) {
	cluster, err := reservation.ClusterNumber(inst.ClusterID)
	if err != nil {
		return 0, err
	}
	return reservation.NewKey(cluster, inst.Node, epoch)
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
	me, err := key(inst, inst.Epoch)
	if err != nil {
		return none, err
	}
	if r.Online && r.Epoch > 0 && r.Epoch <= inst.Epoch {
		if found, _, err := findMount(r.MountPath); err == nil && found.isLoop(r.Loop) {
			return t.advance(ctx, inst, p, r, me)
		}
	}
	h := t.holding(inst)
	h.Lock()
	defer h.Unlock()
	file, err := openIdle(inst, p, true)
	if err != nil {
		return none, err
	}
	// The lock is held until the disk is reserved, so that nothing on this host begins to use it meanwhile.
	defer func() { _ = file.Close() }()
	dev, err := t.open(p.File, nexus(inst.Node))
	if err != nil {
		return none, err
	}
	result, err := reservation.Acquire(ctx, dev, me, inst.MayAct)
	if err != nil {
		return result, err
	}
	if result.Held && r.Epoch == inst.Epoch {
		// Taken once more at the same epoch, after a failure on this node: how it was taken the first time is what counts.
		result.Preempted, result.EpochFound = r.Result.Preempted, max(result.EpochFound, r.Result.EpochFound)
	}
	r.Epoch, r.Result = inst.Epoch, result
	if err := inst.Save(r); err != nil {
		return result, err
	}
	h.epoch = inst.Epoch
	return result, nil
}

// advance changes the epoch of a disk that is in use.
func (t *Type) advance(
	ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.LoopbackDisk, r record, me reservation.Key,
) (resourcetype.ReserveResult, error) {
	h := t.holding(inst)
	h.Lock()
	defer h.Unlock()
	old, err := key(inst, r.Epoch)
	if err != nil {
		return r.Result, err
	}
	dev, err := t.open(p.File, nexus(inst.Node))
	if err != nil {
		return r.Result, err
	}
	if err := inst.MayStart(); err != nil {
		return r.Result, fmt.Errorf("changing the epoch on %s: %w", p.File, err)
	}
	if err := reservation.Advance(ctx, dev, old, me); err != nil {
		return r.Result, err
	}
	// This node has held it all the time, so nobody else could write.
	r.Result.EpochFound = max(r.Result.EpochFound, r.Epoch)
	r.Result.Preempted = true
	r.Epoch, h.epoch = inst.Epoch, inst.Epoch
	return r.Result, inst.Save(r)
}

// Verify implements resourcetype.Reserver.
func (t *Type) Verify(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	h := t.holding(inst)
	h.Lock()
	defer h.Unlock()
	// A check may have been given its instance before the epoch changed in place.
	me, err := key(inst, max(inst.Epoch, h.epoch))
	if err != nil {
		return err
	}
	dev, err := t.open(p.File, nexus(inst.Node))
	if err != nil {
		return err
	}
	return reservation.Verify(ctx, dev, me)
}

// Depart removes this node's registration from the disk, unless it holds it: then it stays parked (O15).
func (t *Type) Depart(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	cluster, err := reservation.ClusterNumber(inst.ClusterID)
	if err != nil {
		return err
	}
	dev, err := t.open(p.File, nexus(inst.Node))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return reservation.Depart(ctx, dev, cluster, inst.Node)
}

// Check implements resourcetype.Checker.
func (t *Type) Check(_ context.Context, spec json.RawMessage) []resourcetype.Problem {
	var problems []resourcetype.Problem
	if _, err := os.Stat(loopControl); err != nil {
		problems = append(problems, resourcetype.Problem{
			Reason: "DeviceMissing", Object: loopControl, Message: "loop devices are not available: load the kernel module loop: " + err.Error(),
		})
	}
	tools := []string{"mkfs.ext4", "e2fsck"}
	if spec != nil {
		p, err := params(&resourcetype.Instance{Spec: spec})
		if err != nil {
			return append(problems, resourcetype.Problem{Reason: "InvalidSpec", Message: err.Error()})
		}
		fs, err := fileSystemOf(p.FSType)
		if err != nil {
			return append(problems, resourcetype.Problem{Reason: "Unsupported", Object: p.FSType, Message: err.Error()})
		}
		tools = []string{fs.mkfs[0], fs.fsck[0]}
		if _, err := os.Stat(p.File); err != nil && p.Size == nil {
			problems = append(problems, resourcetype.Problem{Reason: "DeviceMissing", Object: p.File, Message: "the backing file cannot be seen: " + err.Error()})
		}
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			problems = append(problems, resourcetype.Problem{Reason: "ToolMissing", Object: tool, Message: tool + " is not installed: " + err.Error()})
		}
	}
	return problems
}
