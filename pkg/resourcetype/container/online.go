package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/pidfd"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/outlog"
	"github.com/quorate/quorate/pkg/resourcetype/probing"
)

// start is a container on its way online.
type start struct {
	t      *Type
	inst   *resourcetype.Instance
	p      *v1alpha1.Container
	record record
	cg     *cgroup.Cgroup
	plan   plan
	mounts []source
	cable  *cable // nil in the host's network
}

// Online makes the container and starts it, and returns when it is ready: when its isAlive check (else looksAlive) passes, else when it
// has lived for a moment.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	p, err := params(inst.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", inst.Resource, err)
	}
	s := &start{t: t, inst: inst, p: p}
	if s.record, s.cg, err = recorded(inst); err != nil {
		return err
	}
	defer t.hold(s.record.ID)()
	if err := s.clear(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() { closeAll(s.mounts) }()
	// From here on there may be something to remove.
	if err := inst.Save(s.record); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return errors.Join(err, t.end(context.WithoutCancel(ctx), inst, s.record, s.cg, tidyCalm))
	}
	return nil
}

// clear removes what an interrupted start, or an earlier life of this host, has left: there is never more than one instance.
func (s *start) clear(ctx context.Context) error {
	if err := s.t.end(ctx, s.inst, s.record, s.cg, tidyQuick); err != nil {
		return fmt.Errorf("removing what is left of an earlier start: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	if err := s.t.answers(limited); err != nil {
		return err
	}
	switch err := s.t.engine.Remove(limited, s.record.ID, s.inst.Resource.UID); {
	case errors.Is(err, errForeign):
		return fmt.Errorf("%w: remove it with `ctr -n %s tasks rm -f %s; ctr -n %s containers rm %s`", err, Namespace, s.record.ID, Namespace, s.record.ID)
	case err != nil:
		return fmt.Errorf("removing what is left of an earlier start: %w", err)
	}
	s.record = record{ID: s.record.ID, Cgroup: s.record.Cgroup}
	return nil
}

// answers says what to do when containerd does not.
func (t *Type) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := t.engine.Answers(ctx); err != nil {
		return fmt.Errorf("containerd does not answer on %s: install it, or start it (systemctl start containerd), or name its socket with the "+
			"agent's --containerd-socket: %w", t.socket, err)
	}
	return nil
}

// prepare finds all that the container needs, and makes nothing but missing directories.
func (s *start) prepare(ctx context.Context) (err error) {
	image, err := imageName(s.p.Image)
	if err != nil {
		return fmt.Errorf("%s: %w", s.inst.Resource, err)
	}
	if err := s.t.images.ensure(ctx, s.inst, image, s.p.PullPolicy); err != nil {
		return err
	}
	limits, err := limitsOf(s.p, s.cg)
	if err != nil {
		return fmt.Errorf("%s: %w", s.inst.Resource, err)
	}
	if s.p.Network == v1alpha1.ContainerNetworkBridged {
		if s.cable, err = planCable(ctx, s.inst.Resource.UID, s.p.Bridge, s.p.Address); err != nil {
			return fmt.Errorf("%s: %w", s.inst.Resource, err)
		}
		s.record.Link = s.cable.link
	}
	if s.mounts, err = sources(s.inst, s.p); err != nil {
		return err
	}
	// The image's own variables come before these.
	env, err := s.inst.EnvironmentWith(s.p.Env)
	if err != nil {
		return err
	}
	s.plan = plan{
		id: s.record.ID, image: image, labels: labelsOf(s.inst), user: s.p.User, command: s.p.Command, env: env, devices: s.p.Devices,
		ownNetwork: s.cable != nil, cgroup: runtimePath(s.cg.Path()), limits: limits, log: outlog.Path(s.inst),
	}
	if s.p.UseNetworkName {
		s.plan.hostName = s.inst.NetworkName
	}
	for _, m := range s.mounts {
		s.plan.mounts = append(s.plan.mounts, m.bind)
	}
	return nil
}

// run makes the container's first process, which waits; puts it where it belongs; and lets it become the command.
func (s *start) run(ctx context.Context) error {
	out, err := outlog.Open(s.plan.log)
	if err != nil {
		return err
	}
	_ = out.Close() // the engine opens it by its name; here it was made, with its rights and its bound
	if err := s.cg.Create(); err != nil {
		return err
	}
	if err := s.inst.MayStart(); err != nil {
		return fmt.Errorf("not making the container: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	made, err := s.t.engine.Prepare(limited, &s.plan)
	if err != nil {
		return fmt.Errorf("making the container of %s: %w", s.inst.Resource, err)
	}
	proc, err := pidfd.Open(made.pid)
	if err != nil {
		return fmt.Errorf("watching the container: %w", err)
	}
	defer proc.Close()
	s.record.PID, s.record.StartTime, s.record.StopSignal = proc.PID, proc.StartTime, made.stopSignal
	if err := s.place(proc.PID); err != nil {
		return err
	}
	if err := s.inst.Save(s.record); err != nil {
		return err
	}
	if err := s.inst.MayStart(); err != nil {
		return fmt.Errorf("not starting the container: %w", err)
	}
	if err := s.t.engine.Start(limited, s.record.ID); err != nil {
		return fmt.Errorf("starting the container of %s: %w", s.inst.Resource, err)
	}
	s.record.Started = true
	if err := s.inst.Save(s.record); err != nil {
		return err
	}
	s.inst.Report("container started, process %d", proc.PID)
	if err := s.announce(); err != nil {
		return err
	}
	return s.ready(ctx, proc)
}

// place does what must be true before anything of the image runs.
func (s *start) place(pid int) error {
	if err := enclose(s.cg, pid); err != nil {
		return err
	}
	if err := verifyMounts(pid, s.mounts); err != nil {
		return err
	}
	if s.cable == nil {
		return nil
	}
	return s.cable.connect(pid)
}

// announce tells the network who has the address of a Bridged container, now and a few times more.
func (s *start) announce() error {
	if s.cable == nil {
		return nil
	}
	a, err := s.cable.announcer(s.record.PID)
	if err != nil {
		return err
	}
	if err := a.Announce(); err != nil {
		a.Close()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.t.mu.Lock()
	s.t.announcers[s.inst.Resource.UID] = cancel
	s.t.mu.Unlock()
	go func() {
		defer cancel()
		defer a.Close()
		a.Repeat(ctx, s.inst.MayStart)
	}()
	return nil
}

// ready waits until the container serves.
func (s *start) ready(ctx context.Context, proc *pidfd.Process) error {
	ended, err, last := probing.Await(ctx, probing.Readiness(s.p.LooksAlive, s.p.IsAlive), settle, proc.Wait,
		func(ctx context.Context, check *v1alpha1.Probe) error { return s.t.probe(ctx, s.p, s.record, check) })
	switch {
	case ended:
		return fmt.Errorf("not ready: %w", s.t.ended(ctx, s.inst, s.record))
	case err != nil:
		return errors.Join(fmt.Errorf("the container is not ready: %w%s", err, outlog.Last(s.inst)), last)
	}
	return nil
}
