package machine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// start runs a script in a guest, or skips the test where none is built.
func start(t *testing.T, spec Spec) (Result, string) {
	t.Helper()
	spec.Dir = os.Getenv("QUORATE_VM")
	if spec.Dir == "" {
		t.Skip("starts emulated machines: run make test-vm")
	}
	t.Parallel()
	var output bytes.Buffer
	spec.Output = &output
	result, err := Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return result, output.String()
}

func wantEnd(t *testing.T, got Result, output string, want End) {
	t.Helper()
	if got.End != want {
		t.Fatalf("the guest %s (%v), want %s; it printed:\n%s\nand its console:\n%s", got.End, got.Err(), want, output, tail(got.Console, 40))
	}
}

// TestExit brings files in, output and exit code out.
func TestExit(t *testing.T) {
	file := t.TempDir() + "/greeting"
	if err := os.WriteFile(file, []byte("good morning\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	result, output := start(t, Spec{Files: map[string]string{"dir/greeting": file}, Script: "cat dir/greeting; echo complaint >&2; exit 42"})
	wantEnd(t, result, output, Exited)
	if result.Code != 42 || output != "good morning\ncomplaint\n" {
		t.Errorf("exit code %d and output %q, want 42 and both lines", result.Code, output)
	}
}

// TestPanic tells a kernel panic from an exit.
func TestPanic(t *testing.T) {
	result, output := start(t, Spec{Script: "echo c >/proc/sysrq-trigger; sleep 600"})
	wantEnd(t, result, output, Panicked)
	if err := result.Err(); err == nil || !strings.Contains(err.Error(), "Kernel panic") {
		t.Errorf("the error does not show the panic: %v", err)
	}
}

// feeding starts a program that feeds /dev/watchdog, and returns when it has done so for longer than the watchdog's margin. What
// follows in the script stops it.
const feeding = `
exec 3>/dev/watchdog
(while :; do echo >&3; sleep 1; done) &
feeder=$!
exec 3>&-
sleep 15
echo fed for longer than the margin
`

// TestSoftdog resets a machine whose user space hangs: what feeds the watchdog is stopped, as an agent and a guardian may be.
func TestSoftdog(t *testing.T) {
	result, output := start(t, Spec{Script: "modprobe softdog soft_margin=10" + feeding + "kill -STOP $feeder; sleep 600; echo still here"})
	wantEnd(t, result, output, Reset)
	fedFirst(t, output)
}

// TestSoftdogStarved resets a machine whose only processor is taken by a real-time program that spins: what feeds the watchdog is
// there and well, but never runs.
func TestSoftdogStarved(t *testing.T) {
	result, output := start(t, Spec{Script: "modprobe softdog soft_margin=10" + feeding +
		"echo -1 >/proc/sys/kernel/sched_rt_runtime_us; chrt -f 99 sh -c 'while :; do :; done'; echo still here"})
	wantEnd(t, result, output, Reset)
	fedFirst(t, output)
}

// TestHungKernel has the machine's own watchdog timer reset it when the kernel itself has stopped: a panic that does not reboot. No
// program runs any more then, and no timer of the kernel can be relied on.
func TestHungKernel(t *testing.T) {
	result, output := start(t, Spec{WatchdogDevice: true, Script: "modprobe i6300esb heartbeat=10" + feeding +
		"echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 600; echo still here"})
	wantEnd(t, result, output, Watchdog)
	fedFirst(t, output)
	if !strings.Contains(result.Console, "Kernel panic") {
		t.Errorf("the kernel did not hang:\n%s", tail(result.Console, 20))
	}
}

func fedFirst(t *testing.T, output string) {
	t.Helper()
	if output != "fed for longer than the margin\n" {
		t.Errorf("the guest printed %q: a watchdog that is fed must not fire, and nothing may go on after it fired", output)
	}
}

// TestHang kills a guest that does not end.
func TestHang(t *testing.T) {
	result, output := start(t, Spec{Script: "sleep 600", Limit: 10 * time.Second})
	wantEnd(t, result, output, TimedOut)
}

// TestMissingParts says what is missing.
func TestMissingParts(t *testing.T) {
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make vm") {
		t.Errorf("a guest that is not built: %v, want a word on make vm", err)
	}
	if _, err := Run(t.Context(), Spec{Files: map[string]string{"program": t.TempDir() + "/missing"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Run(t.Context(), Spec{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("no qemu: %v, want a word on how to install it", err)
	}
}

// TestBrokenStart tells qemu's own words when it does not start.
func TestBrokenStart(t *testing.T) {
	if os.Getenv("QUORATE_VM") == "" {
		t.Skip("starts qemu: run make test-vm")
	}
	_, err := Run(context.Background(), Spec{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "did not start") {
		t.Errorf("a folder without a guest: %v", err)
	}
}
