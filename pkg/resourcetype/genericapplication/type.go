package genericapplication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
	"github.com/quorate/quorate/pkg/resourcetype/probing"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeGenericApplication)

const (
	// settle is how long a process without a health check must live to count as online.
	settle = 20 * time.Millisecond
	// defaultStopTimeout is how long a process may take to end before it is killed.
	defaultStopTimeout = 10 * time.Second
	defaultStopSignal  = unix.SIGTERM
)

// Type is the resource type GenericApplication. It keeps how its own children ended, which nobody else can ask for.
type Type struct {
	exits exits
}

// New returns the type.
func New() *Type { return &Type{} }

// record is what the run state keeps of an instance.
type record struct {
	// Cgroup is saved before anything is started in it.
	Cgroup string `json:"cgroup"`
	// PID and StartTime (clock ticks since boot, as the kernel counts them) are the main process; 0 before it is started.
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
	// Done says that a OneShot has ended well.
	Done bool `json:"done,omitempty"`
}

func params(inst *resourcetype.Instance) (*v1alpha1.GenericApplication, error) {
	var spec struct { // the rest of a ResourceSpec is read by others; this is read in each health check
		GenericApplication *v1alpha1.GenericApplication `json:"genericApplication"`
	}
	if err := json.Unmarshal(inst.Spec, &spec); err != nil {
		return nil, fmt.Errorf("reading the spec of %s: %w", inst.Resource, err)
	}
	p := spec.GenericApplication
	if p == nil || len(p.Command) == 0 {
		return nil, fmt.Errorf("the spec of %s has no genericApplication.command", inst.Resource)
	}
	return p, nil
}

// cgroupOf returns the instance's cgroup: the recorded one, else the one that it would be given.
func cgroupOf(inst *resourcetype.Instance) (*cgroup.Cgroup, record, error) {
	var r record
	if _, err := inst.LoadData(&r); err != nil {
		return nil, r, err
	}
	if r.Cgroup == "" {
		if inst.CgroupRoot == "" || inst.Resource.UID == "" {
			return nil, r, fmt.Errorf("the cgroup of %s is not known: no cgroup root", inst.Resource)
		}
		r.Cgroup = filepath.Join(inst.CgroupRoot, "app-"+filepath.Base(inst.Resource.UID))
	}
	return cgroup.At(r.Cgroup), r, nil
}

// Online starts the process, and returns when it is ready: when its isAlive check (else looksAlive) passes, else when it has lived
// for a moment; a OneShot, when it has ended with 0.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	// What an interrupted start has left must go first: there is never more than one instance.
	if err := cg.Kill(ctx); err != nil {
		return fmt.Errorf("removing what is left of an earlier start: %w", err)
	}
	r.PID, r.StartTime, r.Done = 0, 0, false
	if err := inst.Save(r); err != nil {
		return err
	}
	proc, err := t.start(inst, p, cg)
	if err != nil {
		return errors.Join(err, cg.Kill(ctx))
	}
	defer proc.Close()
	r.PID, r.StartTime = proc.PID, proc.StartTime
	if err := inst.Save(r); err != nil {
		return errors.Join(err, cg.Kill(ctx))
	}
	inst.Report("process %d started", proc.PID)
	if p.Mode == v1alpha1.ApplicationOneShot {
		err = t.finish(ctx, inst, proc)
		r.Done = err == nil
	} else {
		err = t.ready(ctx, inst, p, proc)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w%s", err, outlog.Last(inst)), cg.Kill(context.WithoutCancel(ctx)))
	}
	if r.Done {
		return inst.Save(r)
	}
	return nil
}

// finish waits for a OneShot's end.
func (t *Type) finish(ctx context.Context, inst *resourcetype.Instance, proc *pidfd.Process) error {
	inst.Report("waiting for process %d to finish", proc.PID)
	if err := proc.Wait(ctx); err != nil {
		return err
	}
	status, known := t.exits.take(ctx, proc.PID)
	if !known || !status.Exited() || status.ExitStatus() != 0 {
		return fmt.Errorf("process %d %s", proc.PID, describe(status, known))
	}
	return nil
}

// ready waits until the process serves.
func (t *Type) ready(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, proc *pidfd.Process) error {
	ended, err, last := probing.Await(ctx, readiness(p.Health), settle, proc.Wait,
		func(ctx context.Context, check *v1alpha1.Probe) error { return t.probe(ctx, inst, p, check) })
	switch {
	case ended:
		status, known := t.exits.take(ctx, proc.PID)
		return fmt.Errorf("process %d %s before it was ready%s", proc.PID, describe(status, known), forked(inst))
	case err != nil:
		return errors.Join(fmt.Errorf("process %d is not ready: %w", proc.PID, err), last)
	}
	return nil
}

// Offline asks the process to end, and kills what is left after its timeout or its end.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	signal, timeout := defaultStopSignal, defaultStopTimeout
	if p, err := params(inst); err == nil && p.Stop != nil {
		if s := unix.SignalNum(p.Stop.Signal); s != 0 {
			signal = s
		}
		if p.Stop.Timeout != nil {
			timeout = p.Stop.Timeout.Duration
		}
	}
	graceful, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t.ask(graceful, inst, cg, r, signal)
	if err := cg.Kill(ctx); err != nil {
		return fmt.Errorf("ending %s: %w", inst.Resource, err)
	}
	return nil
}

// ask sends the signal to the main process and waits for its end; without one, to all. Whatever goes wrong here is made good by the
// kill that follows.
func (t *Type) ask(ctx context.Context, inst *resourcetype.Instance, cg *cgroup.Cgroup, r record, signal unix.Signal) {
	proc, err := openProcess(cg, r)
	if err != nil {
		if err := cg.Signal(signal); err == nil {
			_ = cg.WaitEmpty(ctx)
		}
		return
	}
	defer proc.Close()
	inst.Report("waiting for process %d to end after %s", proc.PID, unix.SignalName(signal))
	if err := proc.Signal(signal); err == nil {
		_ = proc.Wait(ctx)
	}
}

// Terminate kills the whole cgroup.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	cg, _, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	if err := cg.Kill(ctx); err != nil {
		return fmt.Errorf("killing %s: %w", inst.Resource, err)
	}
	return nil
}

// LooksAlive says that the process runs and that its quick check, if it has one, passes. That the process is still in its control group is left to
// IsAlive: with hundreds of groups, reading it every few seconds was most of what the agent did at rest.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	return t.check(ctx, inst, false, func(h *v1alpha1.Health) *v1alpha1.Probe { return h.LooksAlive })
}

// IsAlive says that the process runs and that its thorough check, if it has one, passes. It keeps the log from growing for ever.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := outlog.Bound(outlog.Path(inst)); err != nil {
		inst.Log.Info("Bounding the application's log", "resource", inst.Resource.String(), "reason", err.Error())
	}
	return t.check(ctx, inst, true, func(h *v1alpha1.Health) *v1alpha1.Probe { return h.IsAlive })
}

func (t *Type) check(ctx context.Context, inst *resourcetype.Instance, thorough bool, which func(*v1alpha1.Health) *v1alpha1.Probe) error {
	p, err := params(inst)
	if err != nil {
		return err
	}
	if err := t.running(ctx, inst, p, thorough); err != nil {
		return err
	}
	if p.Health == nil {
		return nil
	}
	if probe := which(p.Health); probe != nil {
		return t.probe(ctx, inst, p, probe)
	}
	return nil
}

func (t *Type) running(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, thorough bool) error {
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	if p.Mode == v1alpha1.ApplicationOneShot {
		if !r.Done {
			return errors.New("the command has not finished")
		}
		return nil
	}
	if !thorough {
		cg = nil
	}
	proc, err := openProcess(cg, r)
	if err != nil {
		status, known := t.exits.look(r.PID)
		if known {
			return fmt.Errorf("process %d %s", r.PID, describe(status, true))
		}
		return err
	}
	defer proc.Close()
	if proc.Ended() {
		status, known := t.exits.take(ctx, r.PID)
		return fmt.Errorf("process %d %s", r.PID, describe(status, known))
	}
	return nil
}

// Adopt takes over a process that runs, or a OneShot that has finished; its thorough check must pass once.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	return t.check(ctx, inst, true, readiness)
}

// Watch sees the end of the main process at once. An error says that it is gone already.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	p, err := params(inst)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	if p.Mode == v1alpha1.ApplicationOneShot {
		context.AfterFunc(ctx, func() { close(failed) })
		return failed, nil
	}
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return nil, err
	}
	proc, err := openProcess(cg, r)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(failed)
		defer proc.Close()
		if err := proc.Wait(ctx); err != nil {
			return
		}
		status, known := t.exits.take(ctx, r.PID)
		failed <- fmt.Errorf("process %d %s%s%s", r.PID, describe(status, known), forked(inst), outlog.Last(inst))
	}()
	return failed, nil
}

// SeesAll implements resourcetype.AllSeeing: without a quick check of its own, LooksAlive only looks whether the process has ended.
func (t *Type) SeesAll(inst *resourcetype.Instance) bool {
	p, err := params(inst)
	return err == nil && (p.Health == nil || p.Health.LooksAlive == nil)
}

// Check implements resourcetype.Checker.
func (t *Type) Check(_ context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	p, err := params(&resourcetype.Instance{Spec: spec})
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	if p.Command[0] == "" || !filepath.IsAbs(p.Command[0]) {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Object: p.Command[0], Message: "the command must begin with the program's absolute path"}}
	}
	// A program that is not there may be on a disk of the group that is not mounted yet, so that is told at the start.
	info, err := os.Stat(p.Command[0])
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		return []resourcetype.Problem{{Reason: "NotExecutable", Object: p.Command[0], Message: p.Command[0] + " is not an executable file"}}
	}
	return nil
}
