package genericservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/systemd"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeGenericService)

// Units is what this type asks of systemd. systemd.Manager has it.
type Units interface {
	Unit(ctx context.Context, name string) (*systemd.Unit, error)
	State(ctx context.Context, name string) (systemd.State, error)
	Start(ctx context.Context, name string) (result string, err error)
	Stop(ctx context.Context, name string) (result string, err error)
	Cancel(ctx context.Context, name string) error
	Kill(ctx context.Context, name string, signal int32) error
	ResetFailed(ctx context.Context, name string) error
	Reload(ctx context.Context) error
	Changes(ctx context.Context, name string) (<-chan struct{}, error)
}

// Type is the resource type GenericService.
type Type struct {
	units Units
	// dropIns is where systemd looks for files that are gone after a reboot.
	dropIns string
	// mount finds where the control groups are that systemd makes.
	mount func(root string) (string, error)
}

// New returns the type, for the units of this host.
func New() *Type {
	return &Type{units: systemd.New(), dropIns: "/run/systemd/system", mount: cgroup.Mount}
}

// record is what the run state keeps of an instance.
type record struct {
	// Begun is saved before anything of the unit is changed or started, and taken back when it is as it was.
	Begun bool `json:"begun,omitempty"`
	// Unit that was started: the spec may name another one by now.
	Unit string `json:"unit,omitempty"`
	// Cgroup is the unit's control group, by its whole path. It is known before the start.
	Cgroup string `json:"cgroup,omitempty"`
	// Started says that the start has come to its end: systemd will not begin it any more.
	Started bool `json:"started,omitempty"`
	// DropIn is the file that was written.
	DropIn string `json:"dropIn,omitempty"`
}

// subject is an instance with all that is read from it.
type subject struct {
	*Type
	inst   *resourcetype.Instance
	spec   v1alpha1.ResourceSpec
	record record
	// unit is the name: the one that was started, else that of the spec.
	unit string
}

func (t *Type) subject(inst *resourcetype.Instance) (*subject, error) {
	s := &subject{Type: t, inst: inst}
	if err := json.Unmarshal(inst.Spec, &s.spec); err != nil {
		return nil, fmt.Errorf("reading the spec of %s: %w", inst.Resource, err)
	}
	if s.spec.GenericService == nil {
		return nil, fmt.Errorf("the spec of %s has no genericService", inst.Resource)
	}
	if _, err := inst.LoadData(&s.record); err != nil {
		return nil, err
	}
	s.unit = s.spec.GenericService.Unit
	if s.record.Begun {
		s.unit = s.record.Unit
	}
	return s, nil
}

// settle is how long a unit of type simple must run to count as online: systemd calls it started before its program has begun.
const settle = 20 * time.Millisecond

// Online starts the unit, and returns when systemd says that it has started. A unit that runs already, and was not started by this
// resource, is refused: it is outside the cluster's rules, and may run on another node at the same time.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if s.record.Begun { // an interrupted start of this instance
		if err := t.Terminate(ctx, inst); err != nil {
			return fmt.Errorf("removing what is left of an earlier start: %w", err)
		}
		s.record, s.unit = record{}, s.spec.GenericService.Unit
	}
	u, err := s.fit(ctx)
	if err != nil {
		return err
	}
	mount, err := s.mount(inst.CgroupRoot)
	if err != nil {
		return fmt.Errorf("the control group of %s is not known: %w", s.unit, err)
	}
	ours := s.wasOurs()
	if u.Runs() && !ours {
		return fmt.Errorf("%s is %s on this host already, and was not started by this resource: systemctl stop %s", s.unit, u.Active, s.unit)
	}
	s.record = record{Begun: true, Unit: s.unit, Cgroup: cgroupOf(mount, u), DropIn: s.dropInPath()}
	if err := inst.Save(s.record); err != nil {
		return err
	}
	if ours { // it was ended while systemd did not answer
		if _, err := s.end(ctx); err != nil {
			return fmt.Errorf("removing what is left of an earlier start: %w", err)
		}
	}
	if err := s.start(ctx, mount); err != nil {
		return errors.Join(err, t.Terminate(context.WithoutCancel(ctx), inst))
	}
	return nil
}

// cgroupOf is where systemd keeps, or will keep, the unit's processes: a directory for each part of the slice's name (systemd.slice(5)).
func cgroupOf(mount string, u *systemd.Unit) string {
	if u.ControlGroup != "" {
		return filepath.Join(mount, u.ControlGroup)
	}
	dir, slice := mount, strings.TrimSuffix(u.Slice, ".slice")
	for i := range slice {
		if i > 0 && slice[i] == '-' {
			dir = filepath.Join(dir, slice[:i]+".slice")
		}
	}
	if slice != "" && slice != "-" {
		dir = filepath.Join(dir, slice+".slice")
	}
	return filepath.Join(dir, u.Name)
}

func (s *subject) start(ctx context.Context, mount string) error {
	if err := s.takeCharge(ctx); err != nil {
		return err
	}
	// What failed before must not count against this start. A unit that is not loaded has nothing to forget.
	_ = s.units.ResetFailed(ctx, s.unit)
	if err := s.inst.MayStart(); err != nil {
		return fmt.Errorf("not starting %s: %w", s.unit, err)
	}
	goesOn := s.follow(ctx, "starts", func(u *systemd.Unit) time.Duration { return u.StartTimeout })
	result, err := s.units.Start(ctx, s.unit)
	goesOn()
	if err != nil {
		return err
	}
	u, err := s.units.Unit(ctx, s.unit)
	if err == nil && u.Active == "active" && (u.Type == "simple" || u.Type == "idle") {
		time.Sleep(settle)
		u, err = s.units.Unit(ctx, s.unit)
	}
	if err != nil {
		return err
	}
	if err := started(u, result); err != nil {
		return err
	}
	s.record.Started, s.record.Cgroup = true, cgroupOf(mount, u)
	return s.inst.Save(s.record)
}

// started judges a unit after its start.
func started(u *systemd.Unit, result string) error {
	switch {
	case serves(u.State) == nil:
		return nil
	case u.Active == "inactive" && !u.Condition && (u.Judged || u.Type != "oneshot"):
		return fmt.Errorf("%s was not started: a condition in its file is not met on this host (systemctl status %s says which)", u.Name, u.Name)
	case u.Active == "inactive" && u.Type == "oneshot" && (u.Result == "success" || u.Result == ""):
		return fmt.Errorf("%s has run and ended; nothing of it stays that could be watched: it needs RemainAfterExit=yes, or make it a GenericApplication of mode OneShot", u.Name)
	case result == "dependency":
		return fmt.Errorf("%s was not started: a unit that it requires has failed (systemctl list-dependencies %s)", u.Name, u.Name)
	}
	return fmt.Errorf("%s did not start: %s", u.Name, ended(u))
}

// ended says how a unit ended, and where to read on.
func ended(u *systemd.Unit) string {
	how := u.Active
	if u.Result != "" && u.Result != "success" {
		how += ", " + u.Result
	}
	if u.MainStatus != 0 {
		how += fmt.Sprintf(" (status %d)", u.MainStatus)
	}
	return fmt.Sprintf("it is %s; journalctl -u %s has what it said", how, u.Name)
}

const (
	// progressInterval is well below the shortest pendingTimeout that makes sense.
	progressInterval = 5 * time.Second
	// lookPause keeps the looks at a unit that changes often from keeping systemd from its work.
	lookPause = 200 * time.Millisecond
)

// follow reports how a unit starts or stops, which renews the pending timeout: whenever the unit's state or its own word for it changes,
// and for as long as systemd itself lets it take, unless the resource has a timeout of its own.
func (s *subject) follow(ctx context.Context, what string, allowed func(*systemd.Unit) time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changes, err := s.units.Changes(ctx, s.unit)
	if err != nil {
		return cancel // what is asked for next says so, too
	}
	go func() {
		tick, began, said := time.NewTicker(progressInterval), time.Now(), ""
		defer tick.Stop()
		for {
			ticked := false
			select {
			case <-ctx.Done():
				return
			case <-changes:
			case <-tick.C:
				ticked = true
			}
			u, err := s.units.Unit(ctx, s.unit)
			if err != nil {
				continue
			}
			now := fmt.Sprintf("%s %s: %s", s.unit, what, strings.TrimSpace(u.Sub+" "+u.StatusText))
			if now != said || ticked && s.spec.PendingTimeout == nil && time.Since(began) < allowed(u) {
				said = now
				s.inst.Report("%s", now)
			}
			select {
			case <-ctx.Done():
			case <-time.After(lookPause):
			}
		}
	}()
	return cancel
}

// Offline has systemd stop the unit, kills what a stop leaves behind, and takes the drop-in away.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil || !s.record.Begun {
		return err
	}
	goesOn := s.follow(ctx, "stops", func(u *systemd.Unit) time.Duration { return u.StopTimeout })
	_, err = s.units.Stop(ctx, s.unit)
	goesOn()
	if err != nil {
		return err
	}
	if _, err := s.end(ctx); err != nil {
		return err
	}
	if err := s.release(ctx); err != nil {
		return err
	}
	return s.forget()
}

// forget notes that nothing of the instance is left.
func (s *subject) forget() error {
	s.record = record{}
	return s.inst.Save(s.record)
}

// interface guards.
var (
	_ resourcetype.Type    = (*Type)(nil)
	_ resourcetype.Watcher = (*Type)(nil)
	_ resourcetype.Checker = (*Type)(nil)
	_ Units                = (*systemd.Manager)(nil)
)
