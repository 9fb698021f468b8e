package pidfd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process that is held (pidfd_open(2)). It may have ended.
type Process struct {
	// PID is its id; StartTime, in clock ticks since boot, tells it from a later process with the same id.
	PID       int
	StartTime uint64

	file *os.File
}

// Open holds the process that has the id now. A process that is gone is unix.ESRCH.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("holding process %d: %w", pid, err)
	}
	p := &Process{PID: pid, file: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}
	if p.StartTime, err = StartTime(pid); err != nil {
		p.Close()
		return nil, fmt.Errorf("holding process %d: %w", pid, err)
	}
	return p, nil
}

// Close gives the descriptor back.
func (p *Process) Close() { _ = p.file.Close() }

// Ended reports whether the process has ended; a zombie has.
func (p *Process) Ended() bool {
	done := false
	conn, err := p.file.SyscallConn()
	if err != nil {
		return true
	}
	if err := conn.Control(func(fd uintptr) { done = readable(fd) }); err != nil {
		return true
	}
	return done
}

// Wait returns nil when the process has ended. It waits without a thread. One goroutine at a time may wait.
func (p *Process) Wait(ctx context.Context) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil { // an earlier wait may have run out
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetReadDeadline(time.Now()) })
	defer stop()
	err = conn.Read(readable)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	return nil
}

func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Signal sends a signal to this process and to no other.
func (p *Process) Signal(sig unix.Signal) error {
	var sent error
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	if err := conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	return sent
}

// StartTime reads when a process was started, in clock ticks since boot: the 22nd field of /proc/PID/stat (proc(5)).
func StartTime(pid int) (uint64, error) {
	after, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return startTime(after)
}

// Parent reads the id of a process's parent: the 4th field of /proc/PID/stat.
func Parent(pid int) (int, error) {
	after, err := stat(pid)
	if err != nil {
		return 0, err
	}
	if len(after) < 2 {
		return 0, fmt.Errorf("process state has only %d fields", len(after)+2)
	}
	return strconv.Atoi(string(after[1]))
}

// stat returns the fields of a process's state from the 3rd on.
func stat(pid int) ([][]byte, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	return afterName(raw)
}

// afterName copes with a program's name that has blanks and brackets in it.
func afterName(stat []byte) ([][]byte, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return nil, fmt.Errorf("process state %q has no name in it", stat)
	}
	return bytes.Fields(stat[end+1:]), nil
}

func startTime(after [][]byte) (uint64, error) {
	const index = 22 - 3
	if len(after) <= index {
		return 0, fmt.Errorf("process state has only %d fields", len(after)+2)
	}
	return strconv.ParseUint(string(after[index]), 10, 64)
}
