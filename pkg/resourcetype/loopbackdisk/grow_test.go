package loopbackdisk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/filesystem"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// sizeOf is the size of the mounted file system, in MiB.
func sizeOf(t *testing.T, d *disk) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(d.mount, &st))
	return int64(st.Blocks) * st.Bsize >> 20
}

// respec is the instance with other parameters, as the monitor tunes it.
func respec(d *disk, inst *resourcetype.Instance, more ...string) *resourcetype.Instance {
	tuned := *inst
	tuned.Spec = d.instance(inst.Node, inst.Epoch, more...).Spec
	return &tuned
}

// mayGrow skips the rest where this process may not have an ext4 grow, which must be said and nothing else.
func mayGrow(t *testing.T, fsType string, err error) error {
	t.Helper()
	var have [2]unix.CapUserData
	must(t, unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]))
	if fsType != "ext4" || have[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return err
	}
	if err == nil || !strings.Contains(err.Error(), "the agent needs CAP_SYS_RESOURCE") {
		t.Fatalf("without the right to: %v", err)
	}
	t.Skip("an ext4 grows only by CAP_SYS_RESOURCE, which this process has not; the guest has it")
	return nil
}

// TestGrow: a size that is raised grows the file and the file system under open files; nothing shrinks; and the next host has it all.
func TestGrow(t *testing.T) {
	for fsType, size := range fileSystems() {
		t.Run(fsType, func(t *testing.T) {
			d := newDiskFor(t, fsType)
			host, inst := d.host(), d.instance(1, 1, size)
			online(t, host, inst)
			file, err := os.Create(filepath.Join(d.mount, "open"))
			must(t, err)
			_, err = file.WriteString("before")
			must(t, err)
			must(t, host.Maintain(t.Context(), inst))
			before := sizeOf(t, d)
			larger := respec(d, inst, `"size":"500Mi","fsType":"`+fsType+`"`)
			must(t, host.Maintain(t.Context(), respec(d, larger, `"size":"500Mi","resize":"None","fsType":"`+fsType+`"`)))
			if got := sizeOf(t, d); got != before {
				t.Errorf("with resize None it has %d MiB after %d", got, before)
			}
			must(t, mayGrow(t, fsType, host.Maintain(t.Context(), larger)))
			after := sizeOf(t, d)
			if after < 420 || after <= before {
				t.Errorf("the file system has %d MiB after %d", after, before)
			}
			commands := len(d.fake.Log)
			must(t, host.Maintain(t.Context(), larger))
			if got := d.fake.Log[commands:]; len(got) > 0 {
				t.Errorf("with nothing to do it sent %v", got)
			}
			must(t, host.Maintain(t.Context(), respec(d, inst, size)))
			if got := sizeOf(t, d); got != after {
				t.Errorf("a size that was lowered leaves %d MiB after %d", got, after)
			}
			_, err = file.WriteString(" and after")
			must(t, errors.Join(err, file.Close()))
			must(t, host.IsAlive(t.Context(), larger))
			must(t, host.Offline(t.Context(), larger))
			d.idle(t)
			next := d.instance(2, 2, size, `"fsck":"Force"`)
			online(t, d.host(), next)
			if got, err := os.ReadFile(filepath.Join(d.mount, "open")); err != nil || string(got) != "before and after" || sizeOf(t, d) != after {
				t.Errorf("the next host has %q and %d MiB, %v", got, sizeOf(t, d), err)
			}
			must(t, d.host().Offline(t.Context(), next))
		})
	}
}

// TestGrowNot: a disk that is lost, or a node without a lease, writes nothing.
func TestGrowNot(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks func(d *disk, inst *resourcetype.Instance)
		want   string
	}{
		"no lease": {func(_ *disk, inst *resourcetype.Instance) {
			inst.MayAct = func() error { return errors.New("no quorum") }
		}, "no quorum"},
		"lost": {func(d *disk, _ *resourcetype.Instance) {
			_, err := reservation.Acquire(t.Context(), d.fake.Host("node-9"), mustKey(9, 9), nil)
			must(t, err)
		}, "lost"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t)
			host, inst := d.host(), d.instance(1, 1, sized)
			online(t, host, inst)
			larger := respec(d, inst, `"size":"500Mi"`)
			tc.breaks(d, larger)
			if err := host.Maintain(t.Context(), larger); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Maintain() = %v, want %q in it", err, tc.want)
			}
			if st, err := os.Stat(d.file); err != nil || st.Size() != diskSize {
				t.Errorf("the file has %v, %v", st.Size(), err)
			}
			must(t, host.Terminate(t.Context(), inst))
		})
	}
}

// TestFullIsTold: a disk that is full says so, and what to do, until there is room again.
func TestFullIsTold(t *testing.T) {
	d := newDisk(t)
	host, inst := d.host(), d.instance(1, 1, sized)
	online(t, host, inst)
	must(t, host.Maintain(t.Context(), inst))
	fill(t, filepath.Join(d.mount, "fill"))
	if err := host.Maintain(t.Context(), inst); !errors.Is(err, filesystem.ErrFull) || !strings.Contains(err.Error(), "make the disk larger") {
		t.Errorf("Maintain() of a full disk = %v", err)
	}
	must(t, host.IsAlive(t.Context(), inst))
	must(t, os.Truncate(filepath.Join(d.mount, "fill"), 0))
	must(t, host.Maintain(t.Context(), inst))
	must(t, host.Offline(t.Context(), inst))
}
