package genericapplication

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// errNotRunning says that the recorded process is gone.
var errNotRunning = errors.New("the process is not running")

// openProcess finds the process of a record. The start time tells it from a later one with the same id, the cgroup from one that
// was not ours; it is not looked at when it is nil.
func openProcess(cg *cgroup.Cgroup, r record) (*pidfd.Process, error) {
	if r.PID == 0 {
		return nil, fmt.Errorf("%w: none was recorded", errNotRunning)
	}
	p, err := pidfd.Open(r.PID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRunning, err)
	}
	if p.StartTime != r.StartTime {
		err = fmt.Errorf("process %d is another one by now", r.PID)
	}
	if err == nil && cg != nil {
		var in bool
		if in, err = cg.Has(r.PID); err == nil && !in && !p.Ended() {
			err = fmt.Errorf("process %d is not in the cgroup %s", r.PID, cg.Path())
		}
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("%w: %w", errNotRunning, err)
	}
	return p, nil
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

// forked says what to do about a program that has ended and left others of its cgroup behind: it has put itself into the background, where nobody can
// tell whether it is well. What is left ends with the resource.
func forked(inst *resourcetype.Instance) string {
	cg, _, err := cgroupOf(inst)
	if err != nil {
		return ""
	}
	left, err := cg.Processes()
	if err != nil || len(left) == 0 {
		return ""
	}
	return fmt.Sprintf(" and has left %d processes behind: a Daemon stays in the foreground, most programs have an option for that", len(left))
}

// missing says what to do about a program that is not there, or about its directory: the kernel's word is the same.
func missing(err error, dir string) string {
	if !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Sprintf(": genericApplication.workingDir %s is not there on this host; if it is on a disk, depend on that", dir)
	}
	return ": install it, or the interpreter that its first line names, on this host, or correct genericApplication.command"
}
