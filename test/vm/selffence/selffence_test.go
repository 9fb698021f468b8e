package selffence

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/test/vm/machine"
)

const (
	// selfFence is that of the lease, and with it the device's timeout: an emulated machine is slow.
	selfFence = 10 * time.Second
	// forever is longer than any guest lives.
	forever = time.Hour
)

// guardian is what each script begins with: a guardian that feeds the device for a lease that an agent has left.
const guardian = `
mkdir -p /run/quorate/resources /run/quorate/groups
cp lease guard.json /run/quorate/
[ ! -e record.json ] || cp record.json /run/quorate/resources/stuck.json
chmod +x quorate-agent
./quorate-agent guardian --run-dir /run/quorate --cgroup-root /sys/fs/cgroup/quorate --sysrq-trigger "$trigger" 2>guardian.log &
guardian=$!
for i in $(seq 120); do
  grep -q '"watchdog":"/dev/watchdog0"' /run/quorate/guardian.json 2>/dev/null && break
  sleep 1
done
grep -q '"watchdog":"/dev/watchdog0"' /run/quorate/guardian.json || { echo "no watchdog is armed:"; cat guardian.log; exit 1; }
`

// fed waits for longer than the device's timeout: it must be fed.
const fed = "sleep 13; echo fed for longer than the timeout; "

// run starts a guest with the guardian and a lease that ends at the guest's time since boot, or skips the test where no guest is built.
func run(t *testing.T, lease time.Duration, spec machine.Spec, record *runstate.Resource) (machine.Result, string) {
	t.Helper()
	spec.Dir = os.Getenv("QUORATE_VM")
	if spec.Dir == "" {
		t.Skip("starts emulated machines: run make test-vm")
	}
	bin := os.Getenv("QUORATE_BIN")
	if bin == "" {
		t.Fatal("QUORATE_BIN is not set: run make test-vm")
	}
	t.Parallel()
	dir := t.TempDir()
	l, err := runstate.Lease{KeepingUntil: lease, Generation: 1, Active: true, SelfFence: selfFence}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(runstate.GuardConfig{WatchdogDevice: "/dev/watchdog0"})
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{"lease": l, "guard.json": config}
	if record != nil {
		if contents["record.json"], err = json.Marshal(record); err != nil {
			t.Fatal(err)
		}
	}
	spec.Files = map[string]string{"quorate-agent": filepath.Join(bin, "quorate-agent")}
	for name, content := range contents {
		spec.Files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(spec.Files[name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	spec.Output = &output
	result, err := machine.Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return result, output.String()
}

// ends wants the run to end so, after the words and no others.
func ends(t *testing.T, result machine.Result, output string, want machine.End, words string) {
	t.Helper()
	if result.End != want || strings.TrimSpace(output) != words {
		t.Errorf("the guest %s, want %s; it printed %q, want %q\n%v", result.End, want, output, words, result.Err())
	}
}

// TestGuardianHangs: the guardian is stopped while the lease lives. Nobody feeds softdog any more, and the kernel resets the host.
func TestGuardianHangs(t *testing.T) {
	result, output := run(t, forever, machine.Spec{
		Script: "trigger=''; modprobe softdog" + guardian + fed + "kill -STOP $guardian; sleep 300; echo still here",
	}, nil)
	ends(t, result, output, machine.Reset, "fed for longer than the timeout")
}

// TestKernelHangs: the kernel stops altogether, and the machine's own watchdog timer resets it.
func TestKernelHangs(t *testing.T) {
	result, output := run(t, forever, machine.Spec{
		WatchdogDevice: true,
		Script: "trigger=''; modprobe i6300esb" + guardian + fed +
			"echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 300; echo still here",
	}, nil)
	ends(t, result, output, machine.Watchdog, "fed for longer than the timeout")
}

// stuck is the record of something that no type can stop.
func stuck() *runstate.Resource {
	return &runstate.Resource{
		Version: 1, Type: "OfALaterVersion", Generation: 1,
		Resource: resourcetype.Identity{UID: "stuck", Namespace: "demo", Name: "stuck"},
		Group:    resourcetype.Identity{UID: "group", Namespace: "demo", Name: "group"},
		Machine:  lifecycle.SavedResource{Phase: lifecycle.PhaseOnline},
	}
}

// TestStuckResource: the lease is over and something cannot be stopped. The guardian has the kernel reset the host at once, without
// waiting for the device that it feeds no more.
func TestStuckResource(t *testing.T) {
	result, output := run(t, time.Second, machine.Spec{
		Script: "trigger=/proc/sysrq-trigger; modprobe softdog" + guardian + "sleep 300; echo still here",
	}, stuck())
	ends(t, result, output, machine.Reset, "")
	if !strings.Contains(result.Console, "quorate: resetting this host") {
		t.Errorf("the console does not say why:\n%s", result.Console)
	}
}
