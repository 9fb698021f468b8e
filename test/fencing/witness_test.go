package fencing

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/disk"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
	"github.com/quorate/quorate/test/lab/array"
)

// newWitness makes an array with one blank disk. It opens the disk as a witness, for any number of hosts.
func newWitness(t *testing.T) (*array.Array, witnesstest.Open) {
	t.Helper()
	if !array.Enforcing {
		t.Skip("nothing is enforced in this build")
	}
	disks, err := array.New(filepath.Join(t.TempDir(), "backing"), 1, disk.MinSize)
	must(t, err)
	t.Cleanup(func() { _ = disks.Close() })
	mounts := map[model.NodeID]string{}
	return disks, func(t *testing.T, node model.NodeID) witness.Device {
		t.Helper()
		nexus := fmt.Sprint(node)
		if mounts[node] == "" {
			dir := filepath.Join(t.TempDir(), "array")
			m, err := disks.Port(nexus).Mount(dir)
			must(t, err)
			mounts[node] = dir
			t.Cleanup(func() {
				disks.Port(nexus).Cut()
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		d, err := disk.Open(t.Context(), disk.Options{
			Device: filepath.Join(mounts[node], array.DiskName(1)), Cluster: witnesstest.Cluster, Nexus: nexus,
		})
		must(t, err)
		return d
	}
}

// TestWitness: a disk whose target enforces reservations is a witness.
func TestWitness(t *testing.T) {
	witnesstest.Run(t, func(t *testing.T) witnesstest.Open {
		_, open := newWitness(t)
		return open
	})
}

// TestWitnessLateWrite: the target itself refuses a write of a holder that was preempted, however late it comes (R8h).
func TestWitnessLateWrite(t *testing.T) {
	disks, open := newWitness(t)
	a, b := open(t, 1), open(t, 2)
	keyA, keyB := witnesstest.Key(t, 1, 1), witnesstest.Key(t, 2, 1)
	must(t, a.Register(t.Context(), keyA))
	must(t, a.Take(t.Context(), keyA, 0))
	must(t, b.Register(t.Context(), keyB))
	must(t, b.Take(t.Context(), keyB, keyA))
	want := quorum.NewRecord(3, 2, []model.NodeID{2})
	must(t, b.Save(t.Context(), keyB, witness.Content{ClusterID: witnesstest.Cluster, Committed: want}))
	before := disks.State(1)
	late := witness.Content{ClusterID: witnesstest.Cluster, Committed: quorum.NewRecord(9, 1, []model.NodeID{1})}
	if err := a.Save(t.Context(), keyA, late); !errors.Is(err, witness.ErrConflict) {
		t.Errorf("a late save: %v, want a conflict", err)
	}
	got, err := b.Load(t.Context())
	must(t, err)
	if !got.Committed.Equal(want) || disks.State(1).Holder != before.Holder {
		t.Errorf("after a late save the witness has %v", got.Committed)
	}
}

// TestWitnessPath: a path that fails is told, one that hangs hangs nobody, and both are over when the path is healed.
func TestWitnessPath(t *testing.T) {
	disks, open := newWitness(t)
	a, me := open(t, 1), witnesstest.Key(t, 1, 1)
	async := witness.NewAsync(witness.NewGuard(1), a.Name(), func(context.Context) (witness.Device, error) { return a, nil })
	look := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		async.Do(ctx, func(ctx context.Context, d witness.Device) error {
			_, err := d.Look(ctx, me)
			return err
		}, func(err error) { done <- err })
		return <-done
	}
	must(t, a.Register(t.Context(), me))
	must(t, a.Take(t.Context(), me, 0))
	must(t, look())
	port := disks.Port("1")
	must(t, port.SetPath(0, array.PathFailed))
	if err := look(); !errors.Is(err, witness.ErrUnreachable) || async.Hung() {
		t.Errorf("over a failed path: %v, want %v", err, witness.ErrUnreachable)
	}
	must(t, port.SetPath(0, array.PathHung))
	if err := look(); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("over a path that hangs: %v, want %v", err, witness.ErrUnreachable)
	}
	if err := look(); !errors.Is(err, witness.ErrHung) {
		t.Errorf("while a call hangs: %v, want %v", err, witness.ErrHung)
	}
	must(t, port.SetPath(0, array.PathOK))
	for deadline := time.Now().Add(30 * time.Second); async.Hung() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	must(t, look())
}
