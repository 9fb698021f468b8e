package collect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/snapshot"
)

// diskPatience is how long a disk may take to say who holds it.
const diskPatience = 2 * time.Second

// Disks reads reservations as this host sees them.
type Disks struct {
	// From is the host's name. Root is before the paths of files that serve as disks; empty for this host's own.
	From, Root string
}

// Read reads the reservations of all disks of the cluster's groups, and of its witness, side by side. A path that hangs keeps nobody waiting for longer
// than 2 s.
func (d *Disks) Read(ctx context.Context, o *snapshot.Objects) ([]audit.Disk, []audit.Unseen) {
	names := map[string]bool{}
	for _, r := range o.Resources {
		if name := snapshot.Disk(r); name != "" {
			names[name] = true
		}
	}
	if o.Quorum != nil && o.Quorum.Spec.Witness != nil && o.Quorum.Spec.Witness.Disk != nil {
		names[o.Quorum.Spec.Witness.Disk.Device] = true
	}
	var (
		mu     sync.Mutex
		disks  []audit.Disk
		unseen []audit.Unseen
		all    sync.WaitGroup
	)
	for name := range names {
		all.Go(func() {
			status, err := bounded.Do(ctx, "audit of "+name, diskPatience, func() (reservation.Status, error) { return d.status(ctx, name) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unseen = append(unseen, audit.Unseen{Source: audit.SourceDisks, Object: name, Message: err.Error()})
				return
			}
			disks = append(disks, audit.Disk{Device: name, At: time.Now(), From: d.From, Status: status})
		})
	}
	all.Wait()
	return disks, unseen
}

// status asks a disk by what it is: a device, or a file that serves as one.
func (d *Disks) status(ctx context.Context, name string) (reservation.Status, error) {
	path := filepath.Join("/", d.Root, name)
	info, err := os.Stat(path)
	if err != nil {
		return reservation.Status{}, fmt.Errorf("finding the disk: %w", err)
	}
	var device reservation.Device
	if info.Mode()&os.ModeDevice != 0 {
		device, err = reservation.OpenDisk(path)
	} else {
		device, err = reservation.OpenFile(path, d.From)
	}
	if err != nil {
		return reservation.Status{}, err
	}
	return device.ReadStatus(ctx)
}
