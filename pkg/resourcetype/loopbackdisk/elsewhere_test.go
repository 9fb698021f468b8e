package loopbackdisk

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/pkg/resourcetype/holding"
)

// keepMount starts a process with a mount namespace of its own, as a container has that was started while the disk was mounted.
func keepMount(t *testing.T, d *disk) (root string, end func()) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "root", d.mount), end
}

// TestLeftInAnotherNamespace: a mount that another mount namespace has kept neither loses what was written, nor writes on once the disk is
// taken away, nor keeps the disk from being released; and the message says who has it.
func TestLeftInAnotherNamespace(t *testing.T) {
	for fsType, size := range fileSystems() {
		t.Run(fsType, func(t *testing.T) {
			d := newDiskFor(t, fsType)
			host, inst := d.host(), d.instance(1, 1, size)
			online(t, host, inst)
			root, end := keepMount(t, d)
			must(t, os.WriteFile(filepath.Join(d.mount, "data"), []byte("not synced by its writer"), 0o600))
			err := host.Offline(t.Context(), inst)
			if !errors.Is(err, holding.ErrBusy) || !strings.Contains(err.Error(), "(sleep)") || !strings.Contains(err.Error(), "left mounted in the mount namespace") {
				t.Errorf("Offline() = %v, want that it is kept, and by whom", err)
			}
			late, err := os.Create(filepath.Join(root, "late"))
			must(t, err)
			must(t, host.Terminate(t.Context(), inst))
			must(t, host.Terminate(t.Context(), inst))
			_, err = late.WriteString("LATE")
			if err = errors.Join(err, late.Sync()); err == nil {
				t.Error("the other namespace still writes")
			}
			_ = late.Close()
			if _, err := d.host().Reserve(t.Context(), inst); !errors.Is(err, holding.ErrBusy) || !strings.Contains(err.Error(), "(sleep)") {
				t.Errorf("Reserve() = %v, want it busy, and by whom", err)
			}
			end()
			online(t, d.host(), inst)
			if got, err := os.ReadFile(filepath.Join(d.mount, "data")); err != nil || string(got) != "not synced by its writer" {
				t.Errorf("the data is %q, %v", got, err)
			}
			must(t, d.host().Offline(t.Context(), inst))
			d.idle(t)
		})
	}
}

// TestLeftNumberReused: a record of a loop device that has become another file's does that file no harm.
func TestLeftNumberReused(t *testing.T) {
	d, other := newDisk(t), newDisk(t)
	inst := d.instance(1, 1, sized)
	online(t, d.host(), inst)
	must(t, d.host().Terminate(t.Context(), inst))
	next := other.instance(1, 1, sized)
	online(t, other.host(), next)
	root, _ := keepMount(t, other)
	var mine, theirs record
	_, err := inst.LoadData(&mine)
	must(t, err)
	_, err = next.LoadData(&theirs)
	must(t, err)
	if mine.Loop != theirs.Loop {
		t.Skipf("the kernel gave %s after %s", theirs.Loop, mine.Loop)
	}
	must(t, d.host().Terminate(t.Context(), inst))
	must(t, os.WriteFile(filepath.Join(root, "fine"), nil, 0o600))
	must(t, other.host().IsAlive(t.Context(), next))
	must(t, other.host().Terminate(t.Context(), next))
}
