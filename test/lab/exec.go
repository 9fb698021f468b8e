package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate/test/lab/cgroup"
	"github.com/quorate/quorate/test/lab/enter"
	"github.com/quorate/quorate/test/lab/probe"
)

// Streams are a command's standard streams.
type Streams = enter.Streams

// ExitError says that a command on a host ended badly, and with which exit code.
type ExitError = enter.ExitError

func (l *Lab) enter(host string) (enter.Host, error) {
	root, err := cgroup.Root()
	if err != nil {
		return enter.Host{}, err
	}
	return enter.Host{Name: host, Group: root.Sub(l.layout.CgroupName()).Sub(host)}, nil
}

// PID is the first process of a host, as the machine sees it: its namespaces are the host's. A host without power has none.
func (l *Lab) PID(host string) (int, error) {
	h, err := l.enter(host)
	if err != nil {
		return 0, err
	}
	pid, err := h.Group.Sub(enter.InitGroup).First()
	if err != nil {
		return 0, fmt.Errorf("host %s is down: %w", host, err)
	}
	return pid, nil
}

// ExecStreams runs a command on a host with the given streams and waits for it. A bad end is an [*ExitError].
func (l *Lab) ExecStreams(ctx context.Context, s Streams, host string, command ...string) error {
	h, err := l.enter(host)
	if err != nil {
		return err
	}
	return h.Run(ctx, s, command...)
}

// Exec runs a command on a host and returns what it wrote to its standard output. What it wrote to standard error is in the error.
func (l *Lab) Exec(ctx context.Context, host string, command ...string) (string, error) {
	var out, problems bytes.Buffer
	err := l.ExecStreams(ctx, Streams{Out: &out, Err: &problems}, host, command...)
	if err != nil && problems.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	return out.String(), err
}

// ProbeOptions say how to probe.
type ProbeOptions = probe.Options

// ProbeReport is what a probe found.
type ProbeReport = probe.Report

// ProbeEvent is what a probe tells while it runs.
type ProbeEvent = probe.Event

// Outage is a time without answers.
type Outage = probe.Outage

// Probe is a probe that runs on the client host.
type Probe struct {
	cmd    *exec.Cmd
	host   enter.Host
	stdin  io.Closer
	events chan ProbeEvent

	mu     sync.Mutex
	report *ProbeReport
	done   chan struct{}
	err    error
}

// Probe starts to ask a URL from the client host every few milliseconds. Stop it to get the report.
func (l *Lab) Probe(ctx context.Context, o ProbeOptions) (*Probe, error) {
	h, err := l.enter(Client)
	if err != nil {
		return nil, err
	}
	args := []string{
		"quorate-lab", probe.Command, o.URL, "--interval", o.Interval.String(), "--timeout", o.Timeout.String(), "--for", o.For.String(),
	}
	if o.UntilOutage {
		args = append(args, "--until-outage")
	}
	// The probe ends with its standard input, so with this process at the latest. A file, because waiting for the probe would else
	// wait for the other end too.
	stdin, keepOpen, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer stdin.Close()
	read, write := io.Pipe()
	var problems bytes.Buffer
	cmd, err := h.Start(ctx, Streams{In: stdin, Out: write, Err: &problems}, args...)
	if err != nil {
		keepOpen.Close()
		return nil, err
	}
	p := &Probe{cmd: cmd, host: h, stdin: keepOpen, events: make(chan ProbeEvent, 1024), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer close(p.events)
		p.read(read)
	}()
	go func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err = h.Wait(cmd); p.err != nil {
			p.err = fmt.Errorf("probe: %w: %s", p.err, strings.TrimSpace(problems.String()))
		}
		write.Close()
	}()
	return p, nil
}

func (p *Probe) read(from io.Reader) {
	for decoder := json.NewDecoder(from); ; {
		var e ProbeEvent
		if decoder.Decode(&e) != nil {
			return
		}
		if e.Report != nil {
			p.report = e.Report
		}
		select {
		case p.events <- e:
		default: // no one listens: the report has it all
		}
	}
}

// Events are the first good answer, each outage that ended, and the report; the channel is closed at the end. They need not be read.
func (p *Probe) Events() <-chan ProbeEvent { return p.events }

// Answered waits for the first good answer.
func (p *Probe) Answered(ctx context.Context) error {
	for {
		select {
		case e, ok := <-p.events:
			if e.FirstAnswer {
				return nil
			}
			if !ok {
				return errors.New("probe: it ended before the first good answer")
			}
		case <-ctx.Done():
			return fmt.Errorf("probe: no good answer: %w", ctx.Err())
		}
	}
}

// Done is closed when the probe has ended by itself.
func (p *Probe) Done() <-chan struct{} { return p.done }

// Stop ends the probe, waits for requests under way (at most their timeout) and returns the report.
func (p *Probe) Stop() (*ProbeReport, error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.report == nil {
		return nil, errors.Join(errors.New("probe: it ended without a report"), p.err)
	}
	return p.report, nil
}
