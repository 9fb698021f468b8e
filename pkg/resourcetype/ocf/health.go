package ocf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/ocf"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
)

// run has the agent carry out an action, with the parameters of the start and its output in the resource's log.
func (s *subject) run(ctx context.Context, action string, dir *os.File) error {
	out, err := outlog.Open(outlog.Path(s.inst))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	parameters := s.record.Parameters
	if parameters == nil {
		parameters = s.given()
	}
	c := &ocf.Call{
		Agent: s.agent, Action: action, Instance: s.inst.Resource.Namespace + "." + s.inst.Resource.Name, Parameters: parameters, Cgroup: dir, Output: out,
		Env: s.inst.Environment(),
	}
	if s.spec.PendingTimeout != nil {
		c.Timeout = s.spec.PendingTimeout.Duration
	}
	return c.Run(ctx)
}

// monitor asks the agent whether the resource runs.
func (s *subject) monitor(ctx context.Context) error {
	err := s.run(ctx, "monitor", nil)
	if failure, told := errors.AsType[*ocf.Error](err); told && failure.Code == ocf.RunningPromoted {
		return nil
	}
	return err
}

// LooksAlive sees whether what the agent has started runs; an agent that has started no process is asked.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if populated, err := s.cgroup.Populated(); err == nil && populated {
		return nil
	}
	return s.monitor(ctx)
}

// IsAlive asks the agent. It keeps the log from growing for ever.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if err := outlog.Bound(outlog.Path(inst)); err != nil {
		inst.Log.Info("Bounding the agent's log", "resource", inst.Resource.String(), "reason", err.Error())
	}
	return s.monitor(ctx)
}

// Adopt takes over what the agent says is running.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if !s.record.Begun {
		return errors.New("it was not started here")
	}
	return s.monitor(ctx)
}

// Watch sees at once that a main process of the agent ends, and asks the agent what that means.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	s, err := t.subject(inst)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	watch, stop := context.WithCancel(ctx)
	// They are found before this returns: of a process that ends right afterwards only its children would be found.
	ends, err := s.mains(watch)
	go func() {
		defer close(failed)
		defer func() { stop() }()
		for err == nil { // else there is nothing to watch: the polls see the rest
			var ended int
			select {
			case ended = <-ends:
			case <-ctx.Done():
				return
			}
			stop()
			reaped(ctx, ended)
			if err := s.monitor(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("process %d ended: %w", ended, err)
				return
			}
			watch, stop = context.WithCancel(ctx)
			ends, err = s.mains(watch)
		}
	}()
	return failed, nil
}

// reapTime is how long the host's init may take to put an ended process away.
const reapTime = 2 * time.Second

// reaped waits until an ended process is no longer in the process table: agents look there with signal 0, for which it is still running.
func reaped(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(ctx, reapTime)
	defer cancel()
	for unix.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var errNothing = errors.New("the agent has started no process that stays")

// mains tells the end of each of the main processes, those whose parent is not in the cgroup itself, until ctx ends.
func (s *subject) mains(ctx context.Context) (<-chan int, error) {
	pids, err := s.cgroup.Processes()
	if err != nil {
		return nil, err
	}
	in := make(map[int]bool, len(pids))
	for _, pid := range pids {
		in[pid] = true
	}
	ends, watched := make(chan int, len(pids)), 0
	for _, pid := range pids {
		parent, err := pidfd.Parent(pid)
		if err != nil || in[parent] {
			continue
		}
		p, err := pidfd.Open(pid)
		if err != nil {
			continue // it has just ended; if it mattered, the agent says so at the next poll
		}
		watched++
		go func() {
			defer p.Close()
			if p.Wait(ctx) == nil {
				ends <- p.PID
			}
		}()
	}
	if watched == 0 {
		return nil, errNothing
	}
	return ends, nil
}

// Check implements resourcetype.Checker: the agent must be installed on this host, and take the parameters.
func (t *Type) Check(ctx context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	s, err := t.subject(&resourcetype.Instance{Spec: spec, CgroupRoot: "/", Resource: resourcetype.Identity{UID: "none"}})
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	if _, err := ocf.Find(t.root, s.agent.Provider, s.agent.Name); err != nil {
		reason := resourcetype.ReasonInvalidSpec
		if errors.Is(err, ocf.ErrNotFound) {
			reason = resourcetype.ReasonToolMissing
		}
		return []resourcetype.Problem{{Reason: reason, Object: s.agent.Path(), Message: err.Error()}}
	}
	meta, err := t.known.of(ctx, s.agent)
	if err != nil {
		return []resourcetype.Problem{{Reason: "AgentUnusable", Object: s.agent.Path(), Message: err.Error()}}
	}
	var found []resourcetype.Problem
	for _, err := range meta.CheckParameters(s.given()) {
		found = append(found, resourcetype.Problem{Reason: resourcetype.ReasonInvalidSpec, Object: s.agent.String(), Message: err.Error()})
	}
	return found
}

// interface guards.
var (
	_ resourcetype.Type    = (*Type)(nil)
	_ resourcetype.Watcher = (*Type)(nil)
	_ resourcetype.Checker = (*Type)(nil)
)
