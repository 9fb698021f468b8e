package disks

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/reservation/nvme"
	"github.com/quorate/quorate/test/vm/guest"
)

// newNamespace makes a namespace of a real NVMe target in the guest's kernel, over TCP, and returns its device.
func newNamespace(t *testing.T, content []byte) string {
	t.Helper()
	guest.Modprobe(t, "nvmet-tcp", "nvme-tcp")
	file := filepath.Join(t.TempDir(), "namespace")
	must(t, os.WriteFile(file, content, 0o600))
	const name = "quorate-guest"
	subsystem := filepath.Join("/sys/kernel/config/nvmet/subsystems", name)
	port := "/sys/kernel/config/nvmet/ports/7"
	put := func(value string, path ...string) {
		must(t, os.WriteFile(filepath.Join(path...), []byte(value), 0o644))
	}
	must(t, os.Mkdir(subsystem, 0o755))
	put("1", subsystem, "attr_allow_any_host")
	must(t, os.Mkdir(filepath.Join(subsystem, "namespaces/1"), 0o755))
	put(file, subsystem, "namespaces/1/device_path")
	put("1", subsystem, "namespaces/1/buffered_io") // the file is in memory, which knows no direct I/O
	put("1", subsystem, "namespaces/1/enable")
	must(t, os.Mkdir(port, 0o755))
	for attribute, value := range map[string]string{"trtype": "tcp", "adrfam": "ipv4", "traddr": "127.0.0.1", "trsvcid": "4420"} {
		put(value, port, "addr_"+attribute)
	}
	must(t, os.Symlink(subsystem, filepath.Join(port, "subsystems", name)))
	connect, err := os.OpenFile("/dev/nvme-fabrics", os.O_RDWR, 0)
	must(t, err)
	_, err = connect.WriteString("transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=" + name)
	must(t, err)
	must(t, connect.Close())
	var device string
	guest.Eventually(t, "the namespace", func() bool {
		found, err := filepath.Glob("/dev/nvme[0-9]*n1")
		if err != nil || len(found) == 0 {
			return false
		}
		device = found[0]
		return true
	})
	return device
}

// TestGuestRefusedNVMe: a target without reservations is told from one that fails. The kernel of the guest has no target with
// reservations, so of the real thing only the way there is shown: a command goes out and its data and its status come back.
func TestGuestRefusedNVMe(t *testing.T) {
	guest.Require(t)
	content := bytes.Repeat([]byte("QUORATE!"), 1<<17)
	device := newNamespace(t, content)
	transport, err := nvme.Open(device)
	must(t, err)
	const read = 2 // of one block, from the first on
	status, data, err := transport.Do(t.Context(), nvme.Command{Opcode: read, In: 4096})
	if status != 0 || err != nil || !bytes.HasPrefix(data, []byte("QUORATE!")) {
		t.Errorf("a read through passthrough: status %#x, %q, %v", status, data[:min(len(data), 8)], err)
	}
	if _, err := open(t, device).ReadStatus(t.Context()); !errors.Is(err, reservation.ErrUnsupported) {
		t.Errorf("ReadStatus() of a namespace without reservations = %v", err)
	}
}
