package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeContainer)

// DefaultSocket is where containerd listens.
const DefaultSocket = "/run/containerd/containerd.sock"

const (
	defaultStopSignal  = unix.SIGTERM
	defaultStopTimeout = 10 * time.Second
	// settle is how long a container without a health check must live to count as online.
	settle = 20 * time.Millisecond
	// tidyQuick is how long a forced stop waits for containerd once the container's processes are gone: a host that has lost its lease has
	// no time. tidyCalm is the same for a graceful one.
	tidyQuick = 250 * time.Millisecond
	tidyCalm  = 5 * time.Second
	// answerTime is how long containerd may take for what it does at once when it is well.
	answerTime = 2 * time.Second
	// engineTime is how long it may take to make or start a container, on a busy host.
	engineTime = time.Minute
)

// Type is the resource type Container.
type Type struct {
	engine engine
	// socket is for messages.
	socket string
	images images

	mu sync.Mutex
	// announcers stop the repeated announcements, by the resource's UID.
	announcers map[string]context.CancelFunc
	// busy are the ids of containers that are being made or removed: nothing else tidies those away.
	busy map[string]int
	// tidied is when it was last looked for what was left behind.
	tidied time.Time
	// silence is why containerd did not answer when it was asked last, at silentAt; nil when it did.
	silence  error
	silentAt time.Time
}

// New returns the type, for the containerd that listens on a socket. Nothing is asked of it before a container is.
func New(socket string) *Type {
	if socket == "" {
		socket = DefaultSocket
	}
	return newType(newContainerd(socket), socket)
}

func newType(e engine, socket string) *Type {
	t := &Type{engine: e, socket: socket, announcers: map[string]context.CancelFunc{}, busy: map[string]int{}}
	t.images.engine = e
	return t
}

// Exposed implements resourcetype.Exposer: a Bridged container's address is served by no kernel that guards it.
func (t *Type) Exposed(spec json.RawMessage) bool {
	var s v1alpha1.ResourceSpec
	return json.Unmarshal(spec, &s) == nil && s.Container != nil && s.Container.Network == v1alpha1.ContainerNetworkBridged
}

// hold keeps others in this process from tidying the container away until it is released.
func (t *Type) hold(id string) (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy[id]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.busy[id]--; t.busy[id] == 0 {
			delete(t.busy, id)
		}
	}
}

// Offline asks the container to end, and kills what is left after its timeout or its end.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	r, cg, err := recorded(inst)
	if err != nil {
		return err
	}
	defer t.hold(r.ID)()
	signal, timeout := defaultStopSignal, defaultStopTimeout
	if r.StopSignal != 0 {
		signal = r.StopSignal
	}
	if p, err := params(inst.Spec); err == nil && p.Stop != nil {
		if s := unix.SignalNum(p.Stop.Signal); s != 0 {
			signal = s
		}
		if p.Stop.Timeout != nil {
			timeout = p.Stop.Timeout.Duration
		}
	}
	if proc, err := hold(r); err == nil {
		inst.Report("waiting for the container to end after %s", unix.SignalName(signal))
		graceful, cancel := context.WithTimeout(ctx, timeout)
		if proc.Signal(signal) == nil {
			_ = proc.Wait(graceful) // what does not end is killed
		}
		cancel()
		proc.Close()
	}
	return t.end(ctx, inst, r, cg, tidyCalm)
}

// Terminate kills all processes of the container, from the record alone; containerd need not answer.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	r, cg, err := recorded(inst)
	if err != nil {
		return err
	}
	defer t.hold(r.ID)()
	return t.end(ctx, inst, r, cg, tidyQuick)
}

// end kills the container's processes and waits until they are gone. That is all that must succeed: what containerd keeps of a container
// without processes reaches no client and no disk, and is removed when it answers.
func (t *Type) end(ctx context.Context, inst *resourcetype.Instance, r record, cg *cgroup.Cgroup, tidy time.Duration) error {
	t.stopAnnouncing(inst)
	proc, err := hold(r)
	if err == nil {
		defer proc.Close()
		// The end of a process namespace's first process is the end of all in it, of those too that a health check started.
		if err := proc.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("killing %s: %w", inst.Resource, err)
		}
	}
	if err := cg.Kill(ctx); err != nil {
		return fmt.Errorf("killing %s: %w", inst.Resource, err)
	}
	if proc != nil {
		if err := proc.Wait(ctx); err != nil {
			return fmt.Errorf("process %d of %s does not end: %w", r.PID, inst.Resource, err)
		}
	}
	if err := unplug(r.Link); err != nil {
		return err
	}
	if r.PID == 0 && len(inst.Data) == 0 {
		return nil // nothing was ever made
	}
	limited, cancel := context.WithTimeout(ctx, tidy)
	defer cancel()
	if err := t.engine.Remove(limited, r.ID, inst.Resource.UID); err != nil && !errors.Is(err, errForeign) {
		inst.Log.Info("What is left of a stopped container is removed later", "resource", inst.Resource.String(), "container", r.ID, "reason", err.Error())
	}
	return nil
}

// hold opens the first process of a record, which the start time tells from a later one with its id.
func hold(r record) (*pidfd.Process, error) {
	if r.PID == 0 {
		return nil, errors.New("the container was not started")
	}
	p, err := pidfd.Open(r.PID)
	if err != nil {
		return nil, fmt.Errorf("the container does not run: %w", err)
	}
	if p.StartTime != r.StartTime {
		p.Close()
		return nil, fmt.Errorf("the container does not run: process %d is another one by now", r.PID)
	}
	return p, nil
}

// Adopt takes over a container that runs; its thorough check must pass once.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	r, cg, err := recorded(inst)
	if err != nil {
		return err
	}
	if !r.Started {
		return errors.New("the container was not started")
	}
	if in, err := cg.Has(r.PID); err != nil || !in {
		return errors.Join(err, fmt.Errorf("process %d is not in the cgroup %s", r.PID, cg.Path()))
	}
	return t.IsAlive(ctx, inst)
}

// Watch sees the end of the container at once.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	r, _, err := recorded(inst)
	if err != nil {
		return nil, err
	}
	proc, err := hold(r)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		defer proc.Close()
		if err := proc.Wait(ctx); err != nil {
			return
		}
		failed <- t.ended(ctx, inst, r)
	}()
	return failed, nil
}

// ended says how the container has ended, as far as anybody knows.
func (t *Type) ended(ctx context.Context, inst *resourcetype.Instance, r record) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	how := "ended"
	for {
		status, known, err := t.engine.Exit(ctx, r.ID)
		if known {
			how = describe(status)
		}
		if known || err != nil || ctx.Err() != nil {
			break
		}
		time.Sleep(5 * time.Millisecond) // the process is gone, and containerd is about to hear of it
	}
	return fmt.Errorf("the container %s%s", how, outlog.Last(inst))
}

// describe words an exit status as containerd gives it: 128 and the number of the signal that ended the process.
func describe(status uint32) string {
	if name := unix.SignalName(unix.Signal(status - 128)); status > 128 && name != "" {
		return fmt.Sprintf("exited with status %d, as one does that %s ends", status, name)
	}
	return fmt.Sprintf("exited with status %d", status)
}

func (t *Type) stopAnnouncing(inst *resourcetype.Instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel := t.announcers[inst.Resource.UID]; cancel != nil {
		cancel()
		delete(t.announcers, inst.Resource.UID)
	}
}

// interface guards.
var (
	_ resourcetype.Type    = (*Type)(nil)
	_ resourcetype.Watcher = (*Type)(nil)
	_ resourcetype.Checker = (*Type)(nil)
	_ resourcetype.Exposer = (*Type)(nil)
	_ resourcetype.Imager  = (*Type)(nil)
)
