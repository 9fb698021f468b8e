package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
	"github.com/quorate/quorate/pkg/resourcetype/probing"
)

// errNotTold says that containerd did not carry a check out, which says nothing of the container.
var errNotTold = errors.New("containerd did not run the health check")

// LooksAlive says that the container runs and that its quick check, if it has one, passes.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	return t.check(ctx, inst, func(p *v1alpha1.Container) *v1alpha1.Probe { return p.LooksAlive })
}

// IsAlive says that the container runs and that its thorough check, else the quick one, passes. It keeps the log from growing for ever.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	if err := outlog.Bound(outlog.Path(inst)); err != nil {
		inst.Log.Info("Bounding the container's log", "resource", inst.Resource.String(), "reason", err.Error())
	}
	return t.check(ctx, inst, func(p *v1alpha1.Container) *v1alpha1.Probe { return probing.Readiness(p.LooksAlive, p.IsAlive) })
}

// check looks at the process itself, so a containerd that is not there fails nothing that runs.
func (t *Type) check(ctx context.Context, inst *resourcetype.Instance, which func(*v1alpha1.Container) *v1alpha1.Probe) error {
	p, err := params(inst.Spec)
	if err != nil {
		return err
	}
	r, _, err := recorded(inst)
	if err != nil {
		return err
	}
	proc, err := hold(r)
	if err != nil {
		return err
	}
	defer proc.Close()
	if proc.Ended() {
		return t.ended(ctx, inst, r)
	}
	if r.Link != "" {
		if err := plugged(r.Link); err != nil {
			return err
		}
	}
	probe := which(p)
	if probe == nil {
		return nil
	}
	err = t.probe(ctx, p, r, probe)
	if errors.Is(err, errNotTold) {
		inst.Log.Info("A health check could not be carried out; the container runs", "resource", inst.Resource.String(), "reason", err.Error())
		return nil
	}
	return err
}

// probe runs one check; nil means healthy. errors.Is errNotTold.
func (t *Type) probe(ctx context.Context, p *v1alpha1.Container, r record, probe *v1alpha1.Probe) error {
	dial := probing.Host
	if p.Network == v1alpha1.ContainerNetworkBridged {
		dial = dialer(r.PID)
	}
	return probing.Run(ctx, probe, dial, func(ctx context.Context, e *v1alpha1.ExecProbe) error {
		var output probing.Output
		status, err := t.engine.Exec(ctx, r.ID, nextExec(), e.Command, &output)
		switch {
		case err != nil && t.silent():
			return fmt.Errorf("%w: %w", errNotTold, err)
		case err != nil:
			return fmt.Errorf("health check %s: %w: %s", e.Command[0], err, output.String())
		case status != 0:
			return fmt.Errorf("health check %s: exit status %d: %s", e.Command[0], status, output.String())
		}
		return nil
	})
}

// silent says that containerd does not answer at all. It has its own time: that of the check may have run out.
func (t *Type) silent() bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	return t.engine.Answers(ctx) != nil
}

var execs atomic.Uint64

// nextExec names a command in a container; an earlier agent's names may still be there.
func nextExec() string {
	return fmt.Sprintf("check-%d-%s", pid, strconv.FormatUint(execs.Add(1), 36))
}
