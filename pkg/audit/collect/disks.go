package collect

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
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

// Read reads the reservations of all disks of the cluster's groups, side by side. A path that hangs keeps nobody waiting for longer
// than 2 s.
func (d *Disks) Read(ctx context.Context, o *snapshot.Objects) ([]audit.Disk, []audit.Unseen) {
	byName := map[string]*v1alpha1.Resource{}
	for _, r := range o.Resources {
		if name := snapshot.Disk(r); name != "" {
			byName[name] = r
		}
	}
	var (
		mu     sync.Mutex
		disks  []audit.Disk
		unseen []audit.Unseen
		all    sync.WaitGroup
	)
	for name, r := range byName {
		all.Go(func() {
			status, err := bounded.Do(ctx, "audit of "+name, diskPatience, func() (reservation.Status, error) { return d.status(ctx, name, r) })
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

func (d *Disks) status(ctx context.Context, name string, r *v1alpha1.Resource) (reservation.Status, error) {
	var device reservation.Device
	var err error
	if r.Spec.PhysicalDisk != nil {
		device, err = reservation.OpenDisk(name)
	} else {
		device, err = reservation.OpenFile(filepath.Join("/", d.Root, name), d.From)
	}
	if err != nil {
		return reservation.Status{}, err
	}
	return device.ReadStatus(ctx)
}
