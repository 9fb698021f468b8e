package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/enter"
)

// controlFD is the file descriptor of the host's first process on which the daemon speaks to it.
const controlFD = 3

// restartDelay is what systemd's Restart=always waits by default.
const restartDelay = 100 * time.Millisecond

// Main is the first process of a host; it returns only when the daemon is gone, or the host could not be made.
func Main() error {
	unix.CloseOnExec(controlFD)
	control := os.NewFile(controlFD, "control")
	defer control.Close()
	in, out := json.NewDecoder(control), json.NewEncoder(control)
	var spec Spec
	if err := in.Decode(&spec); err != nil {
		return fmt.Errorf("read the host's specification: %w", err)
	}
	// An init ignores what would end other processes; only the lab ends it.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	if err := buildRoot(&spec); err != nil {
		_ = out.Encode(response{Error: err.Error()})
		return err
	}
	s := newSupervisor(&spec)
	go s.reap()
	if err := out.Encode(response{}); err != nil {
		return err
	}
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		answer := response{ID: r.ID}
		if err := s.handle(r); err != nil {
			answer.Error = err.Error()
		}
		answer.Processes = s.status()
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

// supervisor runs the host's daemons.
type supervisor struct {
	mu     sync.Mutex
	all    []*daemon
	byPID  map[int]*daemon
	childs chan os.Signal
}

type daemon struct {
	Process
	status ProcessStatus
}

func newSupervisor(spec *Spec) *supervisor {
	s := &supervisor{byPID: map[int]*daemon{}, childs: make(chan os.Signal, 1)}
	for _, p := range spec.Processes {
		s.all = append(s.all, &daemon{Process: p, status: ProcessStatus{Name: p.Name}})
	}
	signal.Notify(s.childs, unix.SIGCHLD)
	return s
}

func (s *supervisor) handle(r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Op == "status" {
		return nil
	}
	if r.Op == "boot" {
		var errs []error
		for _, d := range s.all {
			if d.AutoStart {
				errs = append(errs, s.start(d))
			}
		}
		return errors.Join(errs...)
	}
	for _, d := range s.all {
		if d.Name != r.Name {
			continue
		}
		switch r.Op {
		case "start":
			return s.start(d)
		case "stop":
			d.status.Wanted = false
			return d.signal(syscall.Signal(r.Signal))
		case "signal":
			return d.signal(syscall.Signal(r.Signal))
		}
		return fmt.Errorf("unknown request %q", r.Op)
	}
	return fmt.Errorf("no process %q on this host", r.Name)
}

func (d *daemon) signal(s syscall.Signal) error {
	if d.status.PID == 0 {
		return nil
	}
	return syscall.Kill(d.status.PID, s)
}

// start starts a daemon that does not run. Caller holds the lock, so that reap cannot see the child before it is known.
func (s *supervisor) start(d *daemon) error {
	d.status.Wanted = true
	if d.status.PID != 0 {
		return nil
	}
	pid, err := spawn(&d.Process)
	if err != nil {
		return fmt.Errorf("start %s: %w", d.Name, err)
	}
	d.status.PID = pid
	d.status.Starts++
	s.byPID[pid] = d
	return nil
}

func spawn(p *Process) (int, error) {
	log, err := os.OpenFile(filepath.Join("/var/log", p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	dir := filepath.Join("/sys/fs/cgroup", p.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	group, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer group.Close()
	env := append([]string{"PATH=" + enter.Path, "HOME=/root", "LANG=C.UTF-8"}, p.Env...)
	return syscall.ForkExec(p.Args[0], p.Args, &syscall.ProcAttr{
		Dir: "/", Env: env, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())},
	})
}

func (s *supervisor) status() []ProcessStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ProcessStatus, 0, len(s.all))
	for _, d := range s.all {
		all = append(all, d.status)
	}
	return all
}

// reap collects ended processes: the host's daemons, which it restarts, and orphans.
func (s *supervisor) reap() {
	for range s.childs {
		for s.reapOne() {
		}
	}
}

func (s *supervisor) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err != nil || pid <= 0 {
		return errors.Is(err, syscall.EINTR)
	}
	d := s.byPID[pid]
	if d == nil {
		return true
	}
	delete(s.byPID, pid)
	d.status.PID = 0
	d.status.LastExit = fmt.Sprintf("exit code %d", status.ExitStatus())
	if status.Signaled() {
		d.status.LastExit = status.Signal().String()
	}
	if d.Restart && d.status.Wanted {
		time.AfterFunc(restartDelay, func() { s.restart(d) })
	}
	return true
}

func (s *supervisor) restart(d *daemon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.status.Wanted {
		return
	}
	if err := s.start(d); err != nil {
		d.status.LastExit = err.Error()
		time.AfterFunc(restartDelay, func() { s.restart(d) })
	}
}
