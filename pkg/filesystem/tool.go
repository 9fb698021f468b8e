package filesystem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reportInterval is how often a program at work is looked at.
const reportInterval = 500 * time.Millisecond

// run runs a program on the device, and returns its exit status and what it has printed. As long as it reads or writes, progress is
// reported: a check of a large disk may take hours, and one that hangs on a dead one ends with the resource's pendingTimeout.
func run(ctx context.Context, command []string, device string, report func(string, ...any)) (code int, said string, err error) {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], device)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// A tool must not go on writing when the agent that started it is dead and its successor gives the disk away.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	watch, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchWork(watch, cmd.Process.Pid, filepath.Base(command[0]), report)
	}()
	err = cmd.Wait()
	stop()
	<-watched
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return 0, "", fmt.Errorf("it was ended: %w", ctx.Err())
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), out.String(), nil
	case err != nil:
		return 0, "", fmt.Errorf("%w: %s", err, lastLine(out.String()))
	}
	return 0, out.String(), nil
}

// watchWork reports while the process reads and writes.
func watchWork(ctx context.Context, pid int, name string, report func(string, ...any)) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := transferred(pid); now != before {
			before = now
			report("%s is at work: %d MiB read and written so far", name, now>>20)
		}
	}
}

// transferred is how much a process has read and written, in bytes; see proc_pid_io(5).
func transferred(pid int) uint64 {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		return 0
	}
	var sum uint64
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name != "rchar" && name != "wchar" {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			sum += n
		}
	}
	return sum
}
