package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// End is how a run came to its end.
type End string

// The ends of a run.
const (
	// Exited: the program ended, Result.Code says how.
	Exited End = "exited"
	// Reset: the machine reset itself, as softdog or a reboot does.
	Reset End = "reset"
	// Watchdog: the machine's watchdog timer ran out and reset it.
	Watchdog End = "watchdog"
	// Panicked: the kernel panicked and then reset the machine.
	Panicked End = "panicked"
	// Broken: the machine switched itself off before the program ran to its end, or qemu died.
	Broken End = "broken"
	// TimedOut: the limit was reached; the machine was killed.
	TimedOut End = "timed out"
)

// Spec is one run of the guest.
type Spec struct {
	// Dir holds vmlinuz, initrd.gz and root.img; bin/vm after make vm.
	Dir string
	// Files are laid into /payload of the guest: name there to file here. Script is /payload/run, a shell script that is started there.
	Files  map[string]string
	Script string
	// Output gets what the script prints, while it prints it. Nil drops it.
	Output io.Writer
	// MemoryMB and CPUs size the machine; 0 is 1024 and 1. One processor is steadier: the emulation of several loses timers when the
	// host is overloaded.
	MemoryMB, CPUs int
	// UnderSystemd has systemd as the guest's first process, and Script as one of its services. Else the script is the only program there.
	UnderSystemd bool
	// WatchdogDevice gives the machine a watchdog timer (i6300esb) that resets it.
	WatchdogDevice bool
	// Limit ends the run; 0 is ten minutes.
	Limit time.Duration
}

// Result is how a run ended.
type Result struct {
	End  End
	Code int
	// Console has what the kernel and the guest's init said.
	Console string
}

// Err is nil when the program exited with code 0. Otherwise it says what happened, with the console's last lines where they help.
func (r Result) Err() error {
	switch {
	case r.End == Exited && r.Code == 0:
		return nil
	case r.End == Exited:
		return fmt.Errorf("the program exited with code %d", r.Code)
	case r.End == Panicked:
		return fmt.Errorf("the guest %s: %s; the last lines of its console:\n%s", r.End.phrase(), panicked.FindString(r.Console), tail(r.Console, 25))
	default:
		return fmt.Errorf("the guest %s; the last lines of its console:\n%s", r.End.phrase(), tail(r.Console, 25))
	}
}

func (e End) phrase() string {
	switch e {
	case Reset:
		return "reset itself"
	case Watchdog:
		return "was reset by its watchdog device"
	case Panicked:
		return "had a kernel panic"
	case TimedOut:
		return "did not end in time (hung, or the machine is overloaded) and was killed"
	default:
		return "ended before the program did"
	}
}

const qemu = "qemu-system-x86_64"

// Find returns the folder of the guest: bin/vm beside the binaries in dir. The error says what to do when it is not there.
func Find(dir string) (string, error) {
	vm := filepath.Join(dir, "vm")
	if _, err := os.Stat(filepath.Join(vm, "complete")); err != nil {
		return "", fmt.Errorf("the emulated guest is not built in %s: run make vm", vm)
	}
	return vm, nil
}

// Run starts the guest and waits until it ends; qemu never outlives it. The error says that the guest could not be started at all.
func Run(ctx context.Context, spec Spec) (Result, error) {
	limit := spec.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	payload, err := pack(spec)
	if err != nil {
		return Result{}, err
	}
	defer os.Remove(payload)
	runCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	m := &running{output: spec.Output, code: -1}
	// The parent's death must kill qemu; the kernel ties that to the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := m.run(runCtx, arguments(spec, payload)); err != nil {
		return Result{}, err
	}
	r := m.result(runCtx.Err() != nil)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	return r, nil
}

// arguments of qemu. Files 3, 4 and 5 are the three serial lines: console, output, report.
func arguments(spec Spec, payload string) []string {
	memory, cpus := spec.MemoryMB, spec.CPUs
	if memory == 0 {
		memory = 1024
	}
	if cpus == 0 {
		cpus = 1
	}
	args := append(base(spec.Dir, memory, cpus), "-display", "none", "-qmp", "stdio", "-drive", "if=virtio,format=raw,readonly=on,file="+payload)
	for fd := 3; fd <= 5; fd++ {
		args = append(args, "-serial", "file:/dev/fd/"+strconv.Itoa(fd))
	}
	if spec.WatchdogDevice {
		args = append(args, "-device", "i6300esb", "-action", "watchdog=reset")
	}
	return args
}

// base is what every guest has: plain emulation (other ways do not boot everywhere), a fixed set of devices, and an end instead of
// a reboot.
func base(dir string, memory, cpus int) []string {
	return []string{
		"-accel", "tcg,thread=multi", "-smp", strconv.Itoa(cpus), "-m", strconv.Itoa(memory), "-nodefaults", "-no-user-config", "-no-reboot",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd.gz"),
		"-append", "console=ttyS0 panic=-1 loglevel=5 random.trust_cpu=1 mitigations=off",
		"-drive", "if=virtio,format=raw,readonly=on,file=" + filepath.Join(dir, "root.img"),
	}
}

// Shell runs the guest on this terminal until its user leaves it.
func Shell(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, qemu, append(base(dir, 1024, 1), "-nographic", "-serial", "mon:stdio", "-serial", "null", "-serial", "null")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return explain(cmd.Run())
}

func explain(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed: run hack/setup.sh, or apt-get install qemu-system-x86", qemu)
	}
	return err
}

// running is one qemu.
type running struct {
	output io.Writer

	console bytes.Buffer
	report  bytes.Buffer
	events  events
	code    int
	stderr  bytes.Buffer
}

func (m *running) run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, qemu, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stderr = &m.stderr
	cmd.Stdout = &m.events
	control, err := cmd.StdinPipe() // stays open until qemu has ended: with it closed, no event is told
	if err != nil {
		return fmt.Errorf("making the control channel: %w", err)
	}
	sinks := []io.Writer{&m.console, m.output, &m.report}
	if m.output == nil {
		sinks[1] = io.Discard
	}
	var copying sync.WaitGroup
	var ours, theirs []*os.File
	defer func() {
		for _, f := range append(ours, theirs...) {
			f.Close()
		}
	}()
	for range sinks {
		r, w, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("making a serial line: %w", err)
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	cmd.ExtraFiles = theirs
	if err := cmd.Start(); err != nil {
		return explain(err)
	}
	_, _ = io.WriteString(control, `{"execute":"qmp_capabilities"}`+"\n") // a qemu that is gone shows below
	for i, sink := range sinks {
		theirs[i].Close()
		copying.Go(func() { _, _ = io.Copy(sink, ours[i]) })
	}
	_ = cmd.Wait() // how it ended is read from its events and from the report
	copying.Wait()
	if m.console.Len() == 0 && m.events.Len() == 0 && m.stderr.Len() > 0 {
		return fmt.Errorf("%s did not start: %s", qemu, strings.TrimSpace(m.stderr.String()))
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
