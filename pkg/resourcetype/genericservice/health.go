package genericservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/systemd"
)

// serves judges a unit's state; nil means that it serves. A unit that is being stopped or restarted by hand (systemctl) is let do so: a kill in
// the middle would do harm, and its own time limits bound it. One that leaves by itself has failed.
func serves(s systemd.State) error {
	switch s.Active {
	case "active", "reloading", "refreshing":
		return nil
	case "activating", "deactivating":
		if s.Job != 0 {
			return nil
		}
	}
	return fmt.Errorf("it is %s (%s)", s.Active, s.Sub)
}

// LooksAlive asks systemd for the unit's state.
func (t *Type) LooksAlive(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	state, err := s.units.State(ctx, s.unit)
	if err != nil {
		return s.withoutSystemd(err)
	}
	if err := serves(state); err != nil {
		return fmt.Errorf("%s does not run: %w", s.unit, err)
	}
	return nil
}

// withoutSystemd judges by the unit's processes when systemd does not answer: it may be busy, or be replacing itself (daemon-reexec).
func (s *subject) withoutSystemd(why error) error {
	if !s.record.Begun {
		return why
	}
	if populated, err := cgroup.At(s.record.Cgroup).Populated(); err != nil || !populated {
		return errors.Join(why, err)
	}
	s.inst.Log.Info("A unit is judged by its processes", "unit", s.unit, "reason", why.Error())
	return nil
}

// IsAlive asks how the unit fares, says how it ended, and looks whether systemd would start it again by itself.
func (t *Type) IsAlive(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	u, err := s.units.Unit(ctx, s.unit)
	if err != nil {
		return s.withoutSystemd(err)
	}
	return s.healthy(u)
}

func (s *subject) healthy(u *systemd.Unit) error {
	if serves(u.State) != nil {
		return fmt.Errorf("%s does not run: %s", s.unit, ended(u))
	}
	if u.Restart != "no" {
		return fmt.Errorf("systemd would start %s again by itself (Restart=%s): what keeps it from that, %s, was taken away", s.unit, u.Restart, s.record.DropIn)
	}
	return nil
}

// Adopt takes over a unit that this resource has started, that runs, and over which the cluster still has charge.
func (t *Type) Adopt(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if !s.record.Begun {
		return errors.New("it was not started here")
	}
	if _, err := os.Stat(s.record.DropIn); err != nil {
		return fmt.Errorf("%s may have been started by somebody else: %w", s.unit, err)
	}
	return t.IsAlive(ctx, inst)
}

// Watch sees that the unit ends as soon as systemd does.
func (t *Type) Watch(ctx context.Context, inst *resourcetype.Instance) (<-chan error, error) {
	s, err := t.subject(inst)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	changes, err := s.units.Changes(ctx, s.unit)
	if err != nil {
		inst.Log.Info("A unit is not watched, only asked for", "unit", s.unit, "reason", err.Error())
		context.AfterFunc(ctx, func() { close(failed) })
		return failed, nil
	}
	go func() {
		defer close(failed)
		for {
			// The first look is for what has changed before anybody watched.
			if state, err := s.units.State(ctx, s.unit); err == nil && state.Job == 0 && serves(state) != nil {
				failed <- s.why(ctx, state)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changes:
			}
		}
	}()
	return failed, nil
}

// why says how a unit that does not run any more ended.
func (s *subject) why(ctx context.Context, state systemd.State) error {
	u, err := s.units.Unit(ctx, s.unit)
	if err != nil || serves(u.State) == nil {
		return fmt.Errorf("%s does not run: it is %s (%s)", s.unit, state.Active, state.Sub)
	}
	return fmt.Errorf("%s does not run: %s", s.unit, ended(u))
}

// Check implements resourcetype.Checker: the unit must be there, and start when the cluster says so and at no other time.
func (t *Type) Check(ctx context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	s, err := t.subject(&resourcetype.Instance{Spec: spec})
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	_, err = s.fit(ctx)
	var unfit *unfitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unfit):
		return []resourcetype.Problem{{Reason: unfit.reason, Object: s.unit, Message: unfit.message}}
	default:
		return []resourcetype.Problem{{Reason: resourcetype.ReasonToolMissing, Object: s.unit, Message: err.Error()}}
	}
}
