package ocf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/ocf"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// Name is the type's name in Resource.spec.type.
const Name = string(v1alpha1.TypeOCF)

// Type is the resource type OCF.
type Type struct {
	root  string
	known known
}

// New returns the type, for the agents of this host below ocf.DefaultRoot.
func New() *Type { return &Type{root: ocf.DefaultRoot} }

// record is what the run state keeps of an instance.
type record struct {
	// Begun is saved before the agent is asked to start anything, and taken back when it has stopped it.
	Begun  bool   `json:"begun,omitempty"`
	Cgroup string `json:"cgroup,omitempty"`
	// Parameters are those of the start: a stop has the same, whatever the spec says by now.
	Parameters map[string]string `json:"parameters,omitempty"`
}

// subject is an instance with all that is read from it.
type subject struct {
	inst   *resourcetype.Instance
	spec   v1alpha1.ResourceSpec
	agent  ocf.Agent
	record record
	cgroup *cgroup.Cgroup
}

func (t *Type) subject(inst *resourcetype.Instance) (*subject, error) {
	s := &subject{inst: inst}
	if err := json.Unmarshal(inst.Spec, &s.spec); err != nil {
		return nil, fmt.Errorf("reading the spec of %s: %w", inst.Resource, err)
	}
	if s.spec.OCF == nil {
		return nil, fmt.Errorf("the spec of %s has no ocf", inst.Resource)
	}
	s.agent = ocf.Agent{Root: t.root, Provider: s.spec.OCF.Provider, Name: s.spec.OCF.Agent}
	if _, err := inst.LoadData(&s.record); err != nil {
		return nil, err
	}
	if s.record.Cgroup == "" {
		if inst.CgroupRoot == "" || inst.Resource.UID == "" {
			return nil, fmt.Errorf("the cgroup of %s is not known: no cgroup root", inst.Resource)
		}
		s.record.Cgroup = filepath.Join(inst.CgroupRoot, "ocf-"+filepath.Base(inst.Resource.UID))
	}
	s.cgroup = cgroup.At(s.record.Cgroup)
	return s, nil
}

// given are the spec's parameters.
func (s *subject) given() map[string]string {
	all := make(map[string]string, len(s.spec.OCF.Parameters))
	for _, p := range s.spec.OCF.Parameters {
		all[p.Name] = p.Value
	}
	return all
}

// Online has the agent start the resource, and returns when it says that it serves. What runs already and was not started here is refused:
// it is outside the cluster's rules, and may be on another node at the same time.
func (t *Type) Online(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if s.record.Begun { // an interrupted start of this instance
		if err := t.Terminate(ctx, inst); err != nil {
			return fmt.Errorf("removing what is left of an earlier start: %w", err)
		}
	}
	if _, err := ocf.Find(t.root, s.agent.Provider, s.agent.Name); err != nil {
		return err
	}
	meta, err := t.known.of(ctx, s.agent)
	if err != nil {
		return err
	}
	if err := errors.Join(meta.CheckParameters(s.given())...); err != nil {
		return err
	}
	s.record = record{Cgroup: s.cgroup.Path(), Parameters: s.given()}
	if err := s.notRunning(ctx); err != nil {
		return err
	}
	s.record.Begun = true
	if err := inst.Save(s.record); err != nil {
		return err
	}
	if err := s.start(ctx, meta); err != nil {
		return errors.Join(err, t.Terminate(context.WithoutCancel(ctx), inst))
	}
	return nil
}

// notRunning asks the agent before the first start. What has half failed is stopped first.
func (s *subject) notRunning(ctx context.Context) error {
	err := s.run(ctx, "monitor", nil)
	failure, told := errors.AsType[*ocf.Error](err)
	switch {
	case err == nil || told && failure.Code == ocf.RunningPromoted:
		return fmt.Errorf("%s says that the resource runs on this host already, and not by this cluster: stop it, and keep it from being started at boot", s.agent)
	case told && failure.Code == ocf.NotRunning:
		return nil
	case told && (failure.Code == ocf.ErrGeneric || failure.Code == ocf.FailedPromoted):
		return s.run(ctx, "stop", nil)
	}
	return err
}

func (s *subject) start(ctx context.Context, meta *ocf.Metadata) error {
	if err := s.cgroup.Create(); err != nil {
		return err
	}
	dir, err := s.cgroup.Open()
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := s.inst.MayStart(); err != nil {
		return fmt.Errorf("not starting %s: %w", s.agent, err)
	}
	stop := s.goesOn("start", meta.Advised("start"))
	defer stop()
	return s.run(ctx, "start", dir)
}

// goesOn renews the pending timeout for as long as the agent advises for an action, unless the resource has a timeout of its own.
func (s *subject) goesOn(action string, advised time.Duration) (stop func()) {
	if s.spec.PendingTimeout != nil || advised <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		tick, end := time.NewTicker(progressInterval), time.NewTimer(advised)
		defer tick.Stop()
		defer end.Stop()
		for {
			select {
			case <-tick.C:
				s.inst.Report("%s %s goes on; the agent asks for up to %s", s.agent, action, advised)
			case <-end.C:
				return
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

const progressInterval = 5 * time.Second

// Offline has the agent stop the resource, and kills what is left of it.
func (t *Type) Offline(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if s.record.Begun {
		var advised time.Duration
		if meta, err := t.known.of(ctx, s.agent); err == nil {
			advised = meta.Advised("stop")
		}
		stop := s.goesOn("stop", advised)
		err := s.stopped(ctx, s.run(ctx, "stop", nil))
		stop()
		if err != nil {
			return err
		}
	}
	return s.gone(ctx)
}

// Terminate kills what the agent has started, and has the agent put away the rest. A stop that hangs is ended, and it counts when the agent
// then says that nothing runs.
func (t *Type) Terminate(ctx context.Context, inst *resourcetype.Instance) error {
	s, err := t.subject(inst)
	if err != nil {
		return err
	}
	if err := s.cgroup.Kill(ctx); err != nil {
		return fmt.Errorf("killing %s: %w", inst.Resource, err)
	}
	if s.record.Begun {
		limited, cancel := context.WithTimeout(ctx, s.forcedStop())
		defer cancel()
		if err := s.stopped(ctx, s.run(limited, "stop", nil)); err != nil {
			return err
		}
	}
	return s.gone(ctx)
}

const (
	// longestStop is how long a stop may take whose processes have been killed, unless the resource's pendingTimeout is shorter.
	longestStop = 20 * time.Second
	// longestAnswer is how long an agent may take to say whether something runs, after a stop that failed.
	longestAnswer = 20 * time.Second
)

func (s *subject) forcedStop() time.Duration {
	if s.spec.PendingTimeout != nil {
		return min(longestStop, s.spec.PendingTimeout.Duration)
	}
	return longestStop
}

// stopped judges the outcome of a stop: what the agent then says is not running has stopped.
func (s *subject) stopped(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	now := s.run(limited, "monitor", nil)
	if failure, told := errors.AsType[*ocf.Error](now); told && (failure.Code == ocf.NotRunning || failure.Code == ocf.ErrInstalled) {
		return nil
	}
	return err
}

// gone removes the cgroup with what may be left in it, and notes that nothing is.
func (s *subject) gone(ctx context.Context) error {
	if err := s.cgroup.Kill(ctx); err != nil {
		return fmt.Errorf("ending %s: %w", s.inst.Resource, err)
	}
	if !s.record.Begun {
		return nil
	}
	s.record.Begun = false
	return s.inst.Save(s.record)
}
