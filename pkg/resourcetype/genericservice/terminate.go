package genericservice

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	// again is the pause between two looks at a unit that is being killed: what its ExecStopPost= starts is killed, too.
	again = 5 * time.Millisecond
	// quiet is how long nothing may have been started in the control group of a unit of which systemd says nothing.
	quiet = 50 * time.Millisecond
	// asking is how long systemd may take to say how the unit fares, when all that is known to be of it is dead.
	asking = 500 * time.Millisecond
)

// Terminate kills everything in the unit's control group, at once and without systemd's help, and sees that nothing is started in it any
// more. That systemd does not start the unit again is the drop-in's doing, which was in force before the unit was started.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil || !s.record.Begun {
		return err
	}
	if err := s.end(ctx); err != nil {
		return err
	}
	if err := s.remove(); err != nil {
		return err
	}
	// A unit that has failed stays loaded, with the drop-in, until somebody says that it may be forgotten. This can wait for the next start.
	asked, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	_ = s.units.ResetFailed(asked, s.unit)
	return s.forget()
}

// end kills until nothing of the unit is left, and systemd says so; or has said nothing, and nothing was started for a while.
func (s *subject) end(ctx context.Context) error {
	own := cgroup.At(s.record.Cgroup)
	for {
		if err := own.KillProcesses(ctx); err != nil {
			return fmt.Errorf("killing %s: %w", s.unit, err)
		}
		left, told, err := s.left(ctx)
		if err != nil {
			return fmt.Errorf("killing %s: %w", s.unit, err)
		}
		if left == "" {
			return nil
		}
		if !told {
			return s.staysQuiet(ctx, own)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("killing %s: %w: %s", s.unit, ctx.Err(), left)
		case <-time.After(again):
		}
	}
}

// left says what is left of the unit; told is whether systemd has said how it fares. What it is still to do is called off.
func (s *subject) left(ctx context.Context) (what string, told bool, err error) {
	asked, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	u, err := s.units.Unit(asked, s.unit)
	if err != nil {
		return "systemd does not answer: " + err.Error(), false, nil
	}
	if u.Job != 0 {
		// A start that waits for something must not come after the kill.
		_ = s.units.Cancel(asked, s.unit)
		return fmt.Sprintf("systemd has a job for it (it is %s)", u.Active), true, nil
	}
	if u.ControlGroup != "" {
		mount, err := s.mount(s.inst.CgroupRoot)
		if err != nil {
			return "", true, err
		}
		if err := cgroup.At(filepath.Join(mount, u.ControlGroup)).KillProcesses(ctx); err != nil {
			return "", true, err
		}
	}
	if u.Runs() {
		_ = s.units.Kill(asked, s.unit, int32(unix.SIGKILL))
		return "systemd says that it is " + u.Active + ", " + u.Sub, true, nil
	}
	populated, err := cgroup.At(s.record.Cgroup).Populated()
	if err != nil || !populated {
		return "", true, err
	}
	return "something was started in its control group", true, nil
}

// staysQuiet sees that nothing is started in the control group for a while.
func (s *subject) staysQuiet(ctx context.Context, own *cgroup.Cgroup) error {
	for since := time.Now(); time.Since(since) < quiet && ctx.Err() == nil; time.Sleep(again) {
		populated, err := own.Populated()
		if err != nil {
			return fmt.Errorf("killing %s: %w", s.unit, err)
		}
		if !populated {
			continue
		}
		since = time.Now()
		if err := own.KillProcesses(ctx); err != nil {
			return fmt.Errorf("killing %s: %w", s.unit, err)
		}
	}
	return nil
}
