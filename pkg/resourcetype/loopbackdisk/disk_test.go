package loopbackdisk

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
)

func mustKey(node model.NodeID, epoch model.Epoch) reservation.Key {
	k, err := reservation.NewKey(0xabcdef, node, epoch)
	if err != nil {
		panic(err)
	}
	return k
}

// TestAdvisory uses the sidecar, and makes the file that is missing.
func TestAdvisory(t *testing.T) {
	d := newDisk(t)
	must(t, os.Remove(d.file))
	host, inst := New(), d.instance(1, 1, sized)
	if r := online(t, host, inst); r.Enforced || r.Proof() {
		t.Errorf("a plain file gives %+v, want Advisory, which is no proof", r)
	}
	must(t, host.IsAlive(t.Context(), inst))
	must(t, host.Offline(t.Context(), inst))
	next, moved := New(), d.instance(2, 2, sized)
	if r := online(t, next, moved); !r.Preempted || r.Proof() {
		t.Errorf("a plain file that was parked gives %+v", r)
	}
	must(t, next.Offline(t.Context(), moved))
	missing := d.instance(1, 3)
	must(t, os.Remove(d.file))
	if _, err := New().Reserve(t.Context(), missing); err == nil {
		t.Error("a file that is missing and has no size was reserved")
	}
}

// TestReadOnly mounts and checks a disk whose options say so.
func TestReadOnly(t *testing.T) {
	d := newDisk(t)
	first := d.instance(1, 1, sized)
	online(t, d.host(), first)
	must(t, d.host().Offline(t.Context(), first))
	inst := d.instance(1, 2, sized, `"options":["ro","noatime"]`)
	online(t, d.host(), inst)
	must(t, d.host().IsAlive(t.Context(), inst))
	must(t, d.host().Offline(t.Context(), inst))
}

// TestAttachLeavesNothing: an agent that dies before the mount leaves no loop device.
func TestAttachLeavesNothing(t *testing.T) {
	d := newDisk(t)
	file, err := openIdle(d.instance(1, 1), mustParams(t, d), false)
	must(t, err)
	dev, err := attach(file, d.run)
	must(t, err)
	must(t, backedBy(dev.Name(), d.file, d.run))
	must(t, file.Close())
	if _, err := openIdle(d.instance(1, 1), mustParams(t, d), false); err == nil {
		t.Error("a disk with a loop device counts as idle")
	}
	must(t, dev.Close())
	d.idle(t)
}

func TestCheck(t *testing.T) {
	if got := New().Check(t.Context(), nil); len(got) > 0 {
		t.Errorf("Check(nil) = %v", got)
	}
	t.Setenv("PATH", t.TempDir())
	var reasons []string
	for _, p := range New().Check(t.Context(), json.RawMessage(`{"loopbackDisk":{"file":"/no/file","mountPath":"/mnt/x"}}`)) {
		reasons = append(reasons, p.Reason+" "+p.Object)
	}
	if diff := cmp.Diff([]string{"DeviceMissing /no/file", "ToolMissing mkfs.ext4", "ToolMissing e2fsck", "ToolMissing resize2fs"}, reasons); diff != "" {
		t.Errorf("Check() (-want +got):\n%s", diff)
	}
}

func mustParams(t *testing.T, d *disk) *v1alpha1.LoopbackDisk {
	t.Helper()
	p, err := params(d.instance(1, 1))
	must(t, err)
	return p
}
