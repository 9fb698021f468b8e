package genericapplication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup"
)

// errNotRunning says that the recorded process is gone.
var errNotRunning = errors.New("the process is not running")

// process is a running process, held by a descriptor: its id cannot come to mean another one.
type process struct {
	pid       int
	startTime uint64
	pidfd     *os.File
}

// openProcess finds the process of a record. The start time tells it from a later one with the same id, the cgroup from one that
// was not ours.
func openProcess(cg *cgroup.Cgroup, r record) (*process, error) {
	if r.PID == 0 {
		return nil, fmt.Errorf("%w: none was recorded", errNotRunning)
	}
	fd, err := unix.PidfdOpen(r.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("%w: process %d: %w", errNotRunning, r.PID, err)
	}
	p := newProcess(r.PID, fd)
	started, err := startTime(r.PID)
	if err == nil && started != r.StartTime {
		err = fmt.Errorf("process %d is another one by now", r.PID)
	}
	if err == nil {
		var in bool
		if in, err = cg.Has(r.PID); err == nil && !in && !p.ended() {
			err = fmt.Errorf("process %d is not in the cgroup %s", r.PID, cg.Path())
		}
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("%w: %w", errNotRunning, err)
	}
	p.startTime = started
	return p, nil
}

// newProcess takes over a non-blocking descriptor.
func newProcess(pid, fd int) *process {
	return &process{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}
}

// Close gives the descriptor back.
func (p *process) Close() { _ = p.pidfd.Close() }

// ended reports whether the process has ended; a zombie has.
func (p *process) ended() bool {
	done := false
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return true
	}
	if err := conn.Control(func(fd uintptr) { done = readable(fd) }); err != nil {
		return true
	}
	return done
}

// wait returns nil when the process has ended. It waits without a thread.
func (p *process) wait(ctx context.Context) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.pid, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.pidfd.SetReadDeadline(time.Now()) })
	defer stop()
	err = conn.Read(readable)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.pid, err)
	}
	return nil
}

func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

func (p *process) signal(sig unix.Signal) error {
	var sent error
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	if err := conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	return sent
}

// startTime reads when a process was started, in clock ticks since boot: the 22nd field of /proc/PID/stat.
func startTime(pid int) (uint64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return parseStartTime(raw)
}

// parseStartTime copes with a program's name that has blanks and brackets in it.
func parseStartTime(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("process state %q has no name in it", stat)
	}
	// After the name come the fields 3 and up.
	fields := bytes.Fields(stat[end+1:])
	const index = 22 - 3
	if len(fields) <= index {
		return 0, fmt.Errorf("process state has only %d fields", len(fields)+2)
	}
	return strconv.ParseUint(string(fields[index]), 10, 64)
}

// exits keeps how this agent's own children ended. A process that an earlier agent started is nobody's child here.
type exits struct {
	mu       sync.Mutex
	children map[int]chan struct{}
	status   map[int]syscall.WaitStatus
}

// keepExits is how long the end of a process is remembered.
const keepExits = 10 * time.Minute

// watch reaps a child.
func (e *exits) watch(child *os.Process) {
	done := make(chan struct{})
	e.mu.Lock()
	if e.children == nil {
		e.children, e.status = map[int]chan struct{}{}, map[int]syscall.WaitStatus{}
	}
	e.children[child.Pid] = done
	delete(e.status, child.Pid)
	e.mu.Unlock()
	go func() {
		state, err := child.Wait()
		e.mu.Lock()
		if err == nil {
			if status, ok := state.Sys().(syscall.WaitStatus); ok {
				e.status[child.Pid] = status
			}
		}
		e.mu.Unlock()
		close(done)
		time.AfterFunc(keepExits, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.children[child.Pid] == done {
				delete(e.children, child.Pid)
				delete(e.status, child.Pid)
			}
		})
	}()
}

// take returns how a child that has ended did so; it waits for the reaping, which is under way.
func (e *exits) take(ctx context.Context, pid int) (syscall.WaitStatus, bool) {
	e.mu.Lock()
	done := e.children[pid]
	e.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	return e.look(pid)
}

func (e *exits) look(pid int) (syscall.WaitStatus, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	status, known := e.status[pid]
	return status, known
}

func describe(status syscall.WaitStatus, known bool) string {
	switch {
	case !known:
		return "ended"
	case status.Signaled():
		return fmt.Sprintf("was ended by %s", unix.SignalName(status.Signal()))
	default:
		return fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
}
