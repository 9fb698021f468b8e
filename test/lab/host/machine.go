package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/enter"
)

// InitCommand is the hidden subcommand of the lab's binary that runs [Main].
const InitCommand = "internal-host-init"

// requestTimeout bounds how long a host may take to answer; a frozen one does not answer at all.
const requestTimeout = 3 * time.Second

// Machine is a running host, seen from the daemon.
type Machine struct {
	spec  Spec
	group cgroup.Group
	cmd   *exec.Cmd
	gone  chan struct{}

	mu      sync.Mutex
	control net.Conn
	in      *json.Decoder
	out     *json.Encoder
	lastID  int
	last    []ProcessStatus
}

// Start starts a host's first process and waits until its root file system is made. connect is called as soon as the network
// namespace exists, with the process id by which to find it. No daemon runs before [Machine.Boot].
func Start(ctx context.Context, spec Spec, group cgroup.Group, connect func(pid int) error) (*Machine, error) {
	initGroup := group.Sub(enter.InitGroup)
	if err := initGroup.Create(); err != nil {
		return nil, err
	}
	groupDir, err := initGroup.Open()
	if err != nil {
		return nil, err
	}
	defer groupDir.Close()
	spec.CgroupDir = group.Dir()
	if err := os.MkdirAll(spec.Staging, 0o755); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe", InitCommand)
	cmd.Args[0] = "quorate-lab"
	cmd.Env = []string{"PATH=" + enter.Path, "QUORATE_LAB_HOST=" + spec.Name}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Setsid:     true, UseCgroupFD: true, CgroupFD: int(groupDir.Fd()),
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start host %s: %w", spec.Name, err)
	}
	m := &Machine{
		spec: spec, group: group, cmd: cmd, gone: make(chan struct{}),
		control: ours, in: json.NewDecoder(ours), out: json.NewEncoder(ours),
	}
	go func() {
		_ = cmd.Wait()
		close(m.gone)
	}()
	if err := m.prepare(ctx, connect); err != nil {
		return nil, errors.Join(fmt.Errorf("start host %s: %w", spec.Name, err), m.Kill(ctx))
	}
	return m, nil
}

func (m *Machine) prepare(ctx context.Context, connect func(pid int) error) error {
	if err := connect(m.cmd.Process.Pid); err != nil {
		return err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(20 * time.Second)
	}
	_ = m.control.SetDeadline(deadline)
	if err := m.out.Encode(m.spec); err != nil {
		return err
	}
	var ready response
	if err := m.in.Decode(&ready); err != nil {
		return fmt.Errorf("its first process does not answer: %w", err)
	}
	if ready.Error != "" {
		return errors.New(ready.Error)
	}
	return nil
}

func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return conn, theirs, nil
}

// Boot starts the daemons that start by themselves.
func (m *Machine) Boot() error { return m.ask(request{Op: "boot"}) }

// StartProcess starts a daemon that does not run.
func (m *Machine) StartProcess(name string) error { return m.ask(request{Op: "start", Name: name}) }

// StopProcess asks a daemon to end with SIGTERM, and kills it if it has not when the context ends. It is not started again.
func (m *Machine) StopProcess(ctx context.Context, name string) error {
	if err := m.ask(request{Op: "stop", Name: name, Signal: int(unix.SIGTERM)}); err != nil {
		return err
	}
	for {
		if p := m.process(name); p.PID == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return m.ask(request{Op: "stop", Name: name, Signal: int(unix.SIGKILL)})
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// SignalProcess sends a daemon a signal. One that dies of it is started again if it is restarted at all.
func (m *Machine) SignalProcess(name string, s syscall.Signal) error {
	return m.ask(request{Op: "signal", Name: name, Signal: int(s)})
}

func (m *Machine) process(name string) ProcessStatus {
	for _, p := range m.Processes() {
		if p.Name == name {
			return p
		}
	}
	return ProcessStatus{}
}

// Processes tells how the daemons fare; for a frozen host, what was known last.
func (m *Machine) Processes() []ProcessStatus {
	if !m.Frozen() {
		_ = m.ask(request{Op: "status"}) // what is known stays when it does not answer
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// ask sends a request and waits for its answer; answers to earlier requests that came too late are skipped.
func (m *Machine) ask(r request) error {
	if m.Frozen() {
		return fmt.Errorf("host %s is frozen: thaw it first", m.spec.Name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastID++
	r.ID = m.lastID
	_ = m.control.SetDeadline(time.Now().Add(requestTimeout))
	if err := m.out.Encode(r); err != nil {
		return fmt.Errorf("host %s: %w", m.spec.Name, err)
	}
	for {
		var answer response
		if err := m.in.Decode(&answer); err != nil {
			m.in = json.NewDecoder(m.control) // a decoder remembers its first error
			return fmt.Errorf("host %s does not answer: %w", m.spec.Name, err)
		}
		if answer.ID != r.ID {
			continue
		}
		m.last = answer.Processes
		if answer.Error != "" {
			return fmt.Errorf("host %s: %s", m.spec.Name, answer.Error)
		}
		return nil
	}
}

// Freeze stops everything that runs on the host, or lets it go on. The host's kernel (addresses, timers of nftables) goes on.
func (m *Machine) Freeze(frozen bool) error { return m.group.Freeze(frozen) }

// Frozen says whether the host is frozen.
func (m *Machine) Frozen() bool { return m.group.Frozen() }

// Gone is closed when the host's last process has ended.
func (m *Machine) Gone() <-chan struct{} { return m.gone }

// Kill kills every process of the host at once and waits until the last has gone.
func (m *Machine) Kill(ctx context.Context) error {
	if err := m.group.Kill(); err != nil {
		return fmt.Errorf("kill host %s: %w", m.spec.Name, err)
	}
	select {
	case <-m.gone:
	case <-ctx.Done():
		return fmt.Errorf("kill host %s: processes are still there: %w", m.spec.Name, ctx.Err())
	}
	m.control.Close()
	return nil
}
