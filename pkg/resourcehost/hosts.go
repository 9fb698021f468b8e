package resourcehost

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// again is how long a watch waits before it begins anew in a new process; longer each time, so that a type that always dies costs little.
const again, longest = 200 * time.Millisecond, 30 * time.Second

// Hosts are the monitor processes of this host, one for each resource that has its own.
type Hosts struct {
	command func() *exec.Cmd
	log     logr.Logger

	mu        sync.Mutex
	processes map[string]*process
	closed    bool
}

// New returns the hosts, none of which runs yet. The command is one that calls Serve on its standard input.
func New(command func() *exec.Cmd, log logr.Logger) *Hosts {
	return &Hosts{command: command, log: log, processes: map[string]*process{}}
}

// Type is the type, carried out in the process of the resource with that uid, which is started when it is needed. It watches if t does. A
// Reserver may not be hosted: its reservation is the agent's.
func (h *Hosts) Type(t resourcetype.Type, uid string) resourcetype.Type {
	r := remote{hosts: h, uid: uid}
	if _, ok := t.(resourcetype.Watcher); ok {
		return watcher{r}
	}
	return r
}

// Release ends the process of a resource that is offline.
func (h *Hosts) Release(uid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.processes[uid]; p != nil {
		p.stop()
		delete(h.processes, uid)
	}
}

// Close ends all processes, and leaves what runs running.
func (h *Hosts) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, p := range h.processes {
		p.stop()
	}
	clear(h.processes)
}

// PID is the process of a resource; 0 when none runs.
func (h *Hosts) PID(uid string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.processes[uid]; p != nil && p.alive() {
		return p.pid
	}
	return 0
}

func (h *Hosts) process(uid string) (*process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errEnded
	}
	if p := h.processes[uid]; p != nil && p.alive() {
		return p, nil
	}
	p, err := start(h.command, h.log)
	if err != nil {
		return nil, err
	}
	h.log.Info("Monitor process started", "pid", p.pid, "resource", uid)
	h.processes[uid] = p
	return p, nil
}

// remote is a type in another process.
type remote struct {
	hosts *Hosts
	uid   string
}

func (r remote) call(ctx context.Context, op string, inst *resourcetype.Instance) error {
	p, err := r.hosts.process(r.uid)
	if err != nil {
		return err
	}
	return p.call(ctx, op, inst)
}

// harmless repeats a call once when the process has ended under it: that says nothing of the resource.
func (r remote) harmless(ctx context.Context, op string, inst *resourcetype.Instance) error {
	err := r.call(ctx, op, inst)
	if errors.Is(err, errEnded) && ctx.Err() == nil {
		err = r.call(ctx, op, inst)
	}
	return err
}

func (r remote) Online(ctx context.Context, inst *resourcetype.Instance) error {
	return r.call(ctx, opOnline, inst)
}

func (r remote) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	return r.call(ctx, opOffline, inst)
}

func (r remote) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	return r.harmless(ctx, opTerminate, inst)
}

func (r remote) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	return r.harmless(ctx, opLooksAlive, inst)
}

func (r remote) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	return r.harmless(ctx, opIsAlive, inst)
}

func (r remote) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	return r.harmless(ctx, opAdopt, inst)
}

// watcher is one that also watches.
type watcher struct{ remote }

// Watch begins anew when the process ends: that a resource's monitor is gone is no failure of the resource.
func (w watcher) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	failures := make(chan error, 1)
	go func() {
		defer close(failures)
		for wait := again; ; wait = min(2*wait, longest) {
			err := w.call(ctx, opWatch, inst)
			if ctx.Err() != nil {
				return
			}
			if !errors.Is(err, errEnded) {
				failures <- err
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}()
	return failures, nil
}
