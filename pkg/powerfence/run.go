package powerfence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Dirs are where fence agents are looked for.
var Dirs = []string{"/usr/sbin", "/usr/local/sbin", "/opt/quorate/fence"}

// maxOutput is how much of what an agent prints is kept.
const maxOutput = maxMetadata + 1

// output is how a run of an agent ended.
type output struct {
	// code is its exit code; -1 when it was killed.
	code           int
	stdout, stderr string
}

// runner runs an agent; the error says that it could not be run, or was killed at the end of ctx.
type runner func(ctx context.Context, path string, input []byte) (output, error)

// find returns the path of a driver: a program in one of the directories that only root can change.
func find(dirs []string, driver string) (string, error) {
	if err := ValidDriver(driver); err != nil {
		return "", err
	}
	for _, dir := range dirs {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, driver))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("driver %s: %w", driver, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("driver %s: %w", driver, err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		switch mode := info.Mode(); {
		case !mode.IsRegular() || mode.Perm()&0o111 == 0:
			return "", fmt.Errorf("driver %s: %s is no program", driver, path)
		case !ok || owner.Uid != 0 || mode.Perm()&0o022 != 0:
			return "", fmt.Errorf("driver %s: %s can be changed by others than root; it is not run", driver, path)
		}
		return filepath.Join(dir, driver), nil // its own name may tell it which of several agents it is
	}
	return "", fmt.Errorf("driver %s is not installed on this host: it is in none of %s (Debian: package fence-agents)", driver, strings.Join(dirs, ", "))
}

// execute is the real runner. The agent gets a process group of its own, all of which is killed when ctx ends.
func execute(ctx context.Context, path string, input []byte) (output, error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/"}
	cmd.Stdin = bytes.NewReader(input)
	stdout, stderr := &bounded{}, &bounded{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a grandchild that has left the group may hold the pipes
	err := cmd.Run()
	out := output{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("killed: %w", context.Cause(ctx))
	case errors.As(err, &exit) && exit.Exited():
		return out, nil
	case err != nil:
		return out, fmt.Errorf("running %s: %w", path, err)
	}
	return out, nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ b bytes.Buffer }

func (w *bounded) Write(p []byte) (int, error) {
	if room := maxOutput - w.b.Len(); room > 0 {
		w.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (w *bounded) String() string { return w.b.String() }
