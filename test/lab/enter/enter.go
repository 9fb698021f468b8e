// Package enter runs commands inside a simulated host, as nsenter does, and in the host's control group, so that a frozen host
// freezes them and a power cut ends them.
package enter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/cgroup"
)

// Path is where commands are looked for inside hosts.
const Path = "/opt/quorate/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// InitGroup is the control group, below a host's, of its first process alone; ExecGroup that of commands that enter it.
const (
	InitGroup = "init"
	ExecGroup = "exec"
)

// Streams are the command's standard streams; nil ones are /dev/null.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// ExitError says that a command ran and ended badly.
type ExitError struct {
	// Code is the exit code as a shell tells it: 128 and the signal's number for a killed command.
	Code int
	Host string
	Args []string
	// NotFound says that there is no such command, which nothing else has told yet.
	NotFound bool
}

// Error tells the command and its exit code.
func (e *ExitError) Error() string {
	if e.NotFound {
		return fmt.Sprintf("%s: command not found", e.Args[0])
	}
	return fmt.Sprintf("on %s: %s: exit code %d", e.Host, strings.Join(e.Args, " "), e.Code)
}

// Host is a simulated host to enter.
type Host struct {
	Name string
	// Group is the host's control group.
	Group cgroup.Group
}

// Run runs a command in the host and waits for it. When the context ends the command gets SIGTERM, and 1 s
// later SIGKILL. A bad end is an [*ExitError].
func (h Host) Run(ctx context.Context, s Streams, args ...string) error {
	cmd, err := h.Start(ctx, s, args...)
	if err != nil {
		return err
	}
	return h.Wait(cmd)
}

// Wait waits for a command of [Host.Start].
func (h Host) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well; only something in the background still holds its streams
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return &ExitError{Code: code, Host: h.Name, Args: cmd.Args}
}

// open returns a descriptor of the host's first process, whose namespaces are the host's; the caller closes it.
func (h Host) open() (int, error) {
	pid, err := h.Group.Sub(InitGroup).First()
	if err != nil {
		return -1, fmt.Errorf("host %s is down: %w", h.Name, err)
	}
	target, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("host %s is down: %w", h.Name, err)
	}
	return target, nil
}

// Start starts a command in the host.
func (h Host) Start(ctx context.Context, s Streams, args ...string) (*exec.Cmd, error) {
	if len(args) == 0 {
		return nil, errors.New("no command given")
	}
	target, err := h.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(target)
	group := h.Group.Sub(ExecGroup)
	if err := group.Create(); err != nil {
		return nil, err
	}
	groupDir, err := group.Open()
	if err != nil {
		return nil, err
	}
	defer groupDir.Close()

	type result struct {
		cmd *exec.Cmd
		err error
	}
	started := make(chan result)
	go onThreadToLose(func() {
		cmd, err := startInside(ctx, target, groupDir, s, args)
		started <- result{cmd, err}
	})
	r := <-started
	if r.err != nil {
		return nil, fmt.Errorf("on %s: %w", h.Name, r.err)
	}
	return r.cmd, nil
}

// onThreadToLose runs do on a thread that ends with it, because it enters namespaces and must not come back. The process's first
// thread does not end, and it stands for the process in /proc, so it is not used.
func onThreadToLose(do func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		do()
		return // still locked: the thread ends
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThreadToLose(do) // on another thread, as this one is taken
	}()
	<-done
	runtime.UnlockOSThread()
}

func startInside(ctx context.Context, target int, group *os.File, s Streams, args []string) (*exec.Cmd, error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	all := unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := unix.Setns(target, all); err != nil {
		return nil, fmt.Errorf("enter the namespaces: %w", err)
	}
	path, err := find(args[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Args = args
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.In, s.Out, s.Err
	// A command that is told to end may tidy up, for a moment; and what it left in the background must not keep its caller waiting.
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	return cmd, cmd.Start()
}

func environment() []string {
	env := []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8"}
	if term := os.Getenv("TERM"); term != "" {
		env = append(env, "TERM="+term)
	}
	return env
}

// find looks a command up with the host's path and in its file system, which this thread is in.
func find(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(Path) {
		path := filepath.Join(dir, name)
		var stat unix.Stat_t
		if unix.Access(path, unix.X_OK) == nil && unix.Stat(path, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG {
			return path, nil
		}
	}
	return "", &ExitError{Code: 127, Args: []string{name}, NotFound: true}
}
