package physicaldisk

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// checkLimit is how long a disk may take to answer whether it has reservations.
const checkLimit = 2 * time.Second

// Check implements resourcetype.Checker. A disk that is not there, or does not answer, is missing; one that is no disk with
// reservations is told of too, but a host that sees it well can do no better.
func (t *Type) Check(ctx context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	p, err := params(&resourcetype.Instance{Spec: spec})
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	var tools []string
	if p.MountPath != "" {
		fs, err := filesystem.Of(p.FSType)
		if err != nil {
			return []resourcetype.Problem{{Reason: "Unsupported", Object: p.FSType, Message: err.Error()}}
		}
		tools = fs.Tools(false, p.Resize == v1alpha1.ResizeGrow)
	}
	if p.LVM != nil {
		tools = append(tools, "lvm", "dmsetup")
	}
	var problems []resourcetype.Problem
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			problems = append(problems, resourcetype.Problem{Reason: resourcetype.ReasonToolMissing, Object: tool, Message: tool + " is not installed: " + err.Error()})
		}
	}
	if err := findDisk(ctx, p.Device); err != nil {
		reason := "Unsupported"
		if errors.Is(err, blockdev.ErrMissing) || errors.Is(err, reservation.ErrPath) {
			reason = resourcetype.ReasonDeviceMissing
		}
		problems = append(problems, resourcetype.Problem{Reason: reason, Object: p.Device, Message: err.Error()})
	}
	return problems
}

// findDisk asks the disks below the device whether they have reservations. Other volumes of an LVM group are looked at when it is
// reserved.
func findDisk(ctx context.Context, device string) error {
	host := blockdev.Host()
	d, err := host.Find(device)
	if err != nil {
		return err
	}
	disks, err := host.Disks(d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	for _, disk := range disks {
		dev, err := reservation.OpenDisk(disk.Path)
		if err != nil {
			return err
		}
		if _, err := dev.ReadStatus(ctx); err != nil && !errors.Is(err, reservation.ErrAttention) {
			return err
		}
	}
	return nil
}
