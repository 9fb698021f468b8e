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
	// again is the pause between two looks at a unit that is being killed, and so what its ExecStopPost= starts; it grows to rarely, so that
	// the questions do not keep systemd from its work.
	again, rarely = 5 * time.Millisecond, 100 * time.Millisecond
	// asking is how long systemd may take to say how the unit fares, when all that is known to be of it is dead; it may be reading its units
	// again. Where time is short, as the guardian's, it is a third of what is left.
	asking = 10 * time.Second
)

// bounded bounds a question to systemd in the middle of a kill.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	patience := asking
	if end, limited := ctx.Deadline(); limited {
		patience = min(patience, time.Until(end)/3)
	}
	return context.WithTimeout(ctx, patience)
}

// Terminate kills everything in the unit's control group, at once and without systemd's help, and sees that nothing runs in it any more. That
// systemd does not start the unit again is the drop-in's doing, which was in force before the unit was started.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil || !s.record.Begun {
		return err
	}
	told, err := s.end(ctx)
	if err != nil {
		return err
	}
	if told {
		if err := s.remove(); err != nil {
			return err
		}
		// A unit that has failed stays loaded, with the drop-in, until somebody says that it may be forgotten. This can wait for the next start.
		asked, cancel := bounded(ctx)
		defer cancel()
		_ = s.units.ResetFailed(asked, s.unit)
	}
	return s.forget()
}

// end kills until nothing of the unit is left and systemd says so (told), or does not answer.
func (s *subject) end(ctx context.Context) (told bool, err error) {
	own := cgroup.At(s.record.Cgroup)
	for pause := again; ; pause = min(2*pause, rarely) {
		if err := own.KillProcesses(ctx); err != nil {
			return false, fmt.Errorf("killing %s: %w", s.unit, err)
		}
		left, told, err := s.left(ctx)
		switch {
		case err != nil:
			return told, fmt.Errorf("killing %s: %w", s.unit, err)
		case !told:
			return false, s.endAlone(ctx, own, left)
		case left == "":
			return true, nil
		}
		select {
		case <-ctx.Done():
			return told, fmt.Errorf("killing %s: %w: %s", s.unit, ctx.Err(), left)
		case <-time.After(pause):
		}
	}
}

// endAlone ends a unit while systemd does not answer, and may still act. Without its control group nothing more of the unit can be started:
// systemd makes one only for a unit that starts, and the drop-in, which stays, keeps it from starting this one again. (Freezing the control group
// would be simpler, and hang a systemd that starts something in it.)
func (s *subject) endAlone(ctx context.Context, own *cgroup.Cgroup, why string) error {
	s.inst.Log.Info("Ending a unit without systemd", "unit", s.unit, "reason", why)
	for {
		err := own.Kill(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("killing %s: %w", s.unit, err)
		}
	}
	if !s.record.Started {
		return fmt.Errorf("%s was being started, and may still be: %s", s.unit, why)
	}
	return nil
}

// left says what is left of the unit; told is whether systemd has said how it fares. What it is still to do is called off.
func (s *subject) left(ctx context.Context) (what string, told bool, err error) {
	asked, cancel := bounded(ctx)
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
