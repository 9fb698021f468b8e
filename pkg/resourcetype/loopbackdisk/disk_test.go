package loopbackdisk

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/filesystem"
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

// TestPowerCut mounts the copy of a disk that was cut off in the middle of its work: the journal is replayed.
func TestPowerCut(t *testing.T) {
	d := newDisk(t)
	inst := d.instance(1, 1, sized)
	online(t, d.host(), inst)
	path := filepath.Join(d.mount, "data")
	file, err := os.Create(path)
	must(t, err)
	_, err = file.WriteString("synced")
	must(t, err)
	must(t, file.Sync())
	raw, err := os.ReadFile(d.file)
	must(t, err)
	must(t, file.Close())
	must(t, d.host().Terminate(t.Context(), inst))
	d.idle(t)
	must(t, os.WriteFile(d.file, raw, 0o600))
	cut, err := os.Open(d.file)
	must(t, err)
	if found, err := filesystem.Look(cut); err != nil || found.Name != "ext4" || found.Damaged {
		t.Errorf("the disk is found as %+v, %v, want a sound ext4", found, err)
	}
	must(t, cut.Close())
	after := d.instance(2, 2, sized)
	online(t, d.host(), after)
	if got, err := os.ReadFile(path); err != nil || string(got) != "synced" {
		t.Errorf("the data is %q, %v", got, err)
	}
	must(t, d.host().Offline(t.Context(), after))
}

// TestDamaged repairs a file system that asks for it, before it is mounted; and one that cannot be repaired is not mounted.
func TestDamaged(t *testing.T) {
	const state = 1024 + 0x3a
	for name, tc := range map[string]struct {
		damage   func(t *testing.T, file string)
		more     string
		wantErr  string
		wantFlag byte
	}{
		"asks for a check":   {damage: setErrors, wantFlag: 1},
		"is not to be":       {damage: setErrors, more: `,"fsck":"Skip"`, wantFlag: 3},
		"in full":            {damage: func(*testing.T, string) {}, more: `,"fsck":"Force"`, wantFlag: 1},
		"cannot be helped":   {damage: func(t *testing.T, f string) { write(t, f, state, "\x03"); write(t, f, 1024+0x64, "\xff\xff\xff\xff") }, wantErr: "e2fsck"},
		"beyond mount's aid": {damage: func(t *testing.T, f string) { write(t, f, 1024+0x60, "\xff\xff\xff\xff") }, wantErr: "mounting"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			inst := d.instance(1, 1, sized+tc.more)
			online(t, d.host(), inst)
			must(t, d.host().Offline(t.Context(), inst))
			tc.damage(t, d.file)
			host := d.host()
			_, err := host.Reserve(t.Context(), inst)
			must(t, err)
			err = host.Online(t.Context(), inst)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("Online() = %v, want %q in it", err, tc.wantErr)
				}
				d.idle(t)
				return
			}
			must(t, err)
			must(t, host.Offline(t.Context(), inst))
			raw, err := os.ReadFile(d.file)
			must(t, err)
			if raw[state] != tc.wantFlag {
				t.Errorf("the file system's state is %d afterwards, want %d", raw[state], tc.wantFlag)
			}
		})
	}
}

// setErrors marks the file system as one that has met errors.
func setErrors(t *testing.T, file string) {
	t.Helper()
	if out, err := exec.Command("debugfs", "-w", "-R", "set_super_value state 3", file).CombinedOutput(); err != nil {
		t.Fatalf("debugfs: %v: %s", err, out)
	}
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
	if diff := cmp.Diff([]string{"DeviceMissing /no/file", "ToolMissing mkfs.ext4", "ToolMissing e2fsck"}, reasons); diff != "" {
		t.Errorf("Check() (-want +got):\n%s", diff)
	}
}

func mustParams(t *testing.T, d *disk) *v1alpha1.LoopbackDisk {
	t.Helper()
	p, err := params(d.instance(1, 1))
	must(t, err)
	return p
}
