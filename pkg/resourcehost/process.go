package resourcehost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// grace is how long a call may take to end after it was given up, before its process is killed.
const grace = 2 * time.Second

// errEnded says that a process ended in the middle of a call.
var errEnded = errors.New("the resource's monitor process has ended")

// process is one process, as the agent sees it.
type process struct {
	log  logr.Logger
	wire *wire
	pid  int
	kill func()

	mu    sync.Mutex
	next  uint64
	calls map[uint64]*calling
	ended chan struct{}
	cause error
	// data guards the Data of instances, which calls may save; a slow disk holds up no more than that.
	data sync.Mutex
}

// calling is a call under way.
type calling struct {
	inst   *resourcetype.Instance
	done   chan *frame
	denied error
}

// start runs the command with a socket as its standard input. The kernel kills it when the agent dies: what it was about to start would
// otherwise start without a lease (O8, O11).
func start(command func() *exec.Cmd, log logr.Logger) (*process, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket for a monitor process: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "monitor process")
	defer theirs.Close()
	mine := os.NewFile(uintptr(fds[0]), "agent")
	conn, err := net.FileConn(mine)
	_ = mine.Close() // the connection has a copy
	if err != nil {
		return nil, fmt.Errorf("making a socket for a monitor process: %w", err)
	}
	cmd := command()
	cmd.Stdin = theirs
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &process{log: log, wire: newWire(conn), calls: map[uint64]*calling{}, ended: make(chan struct{})}
	if err := p.launch(cmd, conn); err != nil {
		_ = conn.Close() // nobody is at its other end
		return nil, err
	}
	go p.read()
	return p, nil
}

// launch starts the command from a thread that lives as long as it does: the kernel takes the end of the thread for that of the parent.
func (p *process) launch(cmd *exec.Cmd, conn io.Closer) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err != nil {
			started <- fmt.Errorf("starting a monitor process: %w", err)
			return
		}
		p.pid, p.kill = cmd.Process.Pid, func() { _ = cmd.Process.Kill() } // it may have ended by itself
		started <- nil
		err = cmd.Wait()
		_ = conn.Close() // wakes the reader
		p.end(err)
	}()
	return <-started
}

func (p *process) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cause = errEnded
	if err != nil {
		p.cause = fmt.Errorf("%w: %w", errEnded, err)
	}
	close(p.ended)
}

// stop asks the process to end; what runs on the host stays.
func (p *process) stop() { _ = p.wire.rw.Close() }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// read takes what the process says until it has ended.
func (p *process) read() {
	for {
		f, err := p.wire.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && p.alive() && !errors.Is(err, net.ErrClosed) {
				p.log.Error(err, "A monitor process is killed for what it says", "pid", p.pid)
			}
			p.kill()
			return
		}
		p.mu.Lock()
		c := p.calls[f.ID]
		p.mu.Unlock()
		if c == nil {
			continue
		}
		switch f.Kind {
		case kindDone:
			c.done <- f
		case kindProgress:
			c.inst.Report("%s", f.Text)
		case kindSave, kindMayAct:
			go p.answer(f, c)
		}
	}
}

// answer runs beside the reader: a disk that is slow must not hold up what others say.
func (p *process) answer(f *frame, c *calling) {
	answer := &frame{ID: f.ID, Kind: kindAnswer}
	var err error
	if f.Kind == kindSave {
		p.data.Lock()
		err = c.inst.Save(f.Data)
		p.data.Unlock()
	} else if err = c.inst.MayStart(); err != nil {
		p.mu.Lock()
		c.denied = err
		p.mu.Unlock()
	}
	if err != nil {
		answer.Failed, answer.Text = true, err.Error()
	}
	if err := p.wire.send(answer); err != nil {
		p.log.V(1).Info("A monitor process is not answered", "pid", p.pid, "reason", err.Error())
	}
}

// call runs one call in the process. When ctx ends and the call does not, the process is killed.
func (p *process) call(ctx context.Context, op string, inst *resourcetype.Instance) error {
	c := &calling{inst: inst, done: make(chan *frame, 1)}
	p.data.Lock()
	copied := *inst
	p.data.Unlock()
	p.mu.Lock()
	p.next++
	f := &frame{ID: p.next, Kind: kindCall, Op: op, Instance: &copied}
	p.calls[f.ID] = c
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.calls, f.ID)
	}()
	if err := p.wire.send(f); err != nil {
		return errors.Join(errEnded, err)
	}
	select {
	case done := <-c.done:
		return p.outcome(done, c)
	case <-p.ended:
		return p.cause
	case <-ctx.Done():
	}
	if err := p.wire.send(&frame{ID: f.ID, Kind: kindCancel}); err != nil {
		p.kill()
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case done := <-c.done:
		return p.outcome(done, c)
	case <-p.ended:
		return p.cause
	case <-late.C:
	}
	p.log.Info("A call does not end; its monitor process is killed", "pid", p.pid, "op", op, "resource", inst.Resource.String())
	p.kill()
	return fmt.Errorf("%s did not end within %s after it was given up, its monitor process was killed: %w", op, grace, ctx.Err())
}

func (p *process) outcome(done *frame, c *calling) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !done.Failed:
		return nil
	case done.Denied && c.denied != nil:
		return fmt.Errorf("%s: %w", done.Text, c.denied)
	case done.Network != "":
		return &resourcetype.NetworkLostError{Network: done.Network, Message: done.Text}
	}
	return errors.New(done.Text)
}
