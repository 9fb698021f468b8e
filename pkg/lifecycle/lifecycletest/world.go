package lifecycletest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
)

// begin is the machine's clock at 0s of a scenario: zero has a meaning of its own.
const begin = time.Second

// World is a host with one group.
type World struct {
	m     *lifecycle.Machine
	now   time.Duration
	specs []lifecycle.Resource
	epoch model.Epoch
	// frozen is maintenance.
	frozen bool
	jobs   []*job
	// up is what is on the host and works, held what is reserved, checked what is being looked after; by name.
	up      map[string]bool
	held    map[string]bool
	checked map[string]uint64
	// behaviours say how calls go that do not simply succeed at once; by "Op name".
	behaviours map[string]*behaviour
	events     []string
	wrong      []string
}

type job struct {
	lifecycle.Action
	due time.Duration
	err string
}

// behaviour is how the next calls of one kind go.
type behaviour struct {
	takes time.Duration
	err   string
	// times is how many calls it is for; 0 for all.
	times int
}

// never is longer than any scenario.
const never = 1000000 * time.Hour

// New returns a host on which nothing runs.
func New() *World {
	return &World{
		m: lifecycle.New(0), now: begin, up: map[string]bool{}, held: map[string]bool{}, checked: map[string]uint64{}, behaviours: map[string]*behaviour{},
	}
}

// Do carries out one command.
func (w *World) Do(_ *testing.T, fields []string) ([]string, error) {
	c, ok := commands[fields[0]]
	if !ok {
		return nil, fmt.Errorf("there is no command %q", fields[0])
	}
	out, err := c(w, fields[1:])
	if len(w.wrong) > 0 {
		err = errors.Join(err, errors.New(strings.Join(w.wrong, "; ")))
	}
	return out, err
}

func (w *World) say(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf("%s %s", w.now-begin, fmt.Sprintf(format, args...)))
}

func (w *World) violate(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("at %s: ", w.now-begin)+fmt.Sprintf(format, args...))
}

// step hands in an input, and begins what the machine asks for.
func (w *World) step(in lifecycle.Input) {
	before := w.m.Report()
	for _, a := range w.m.Step(w.now, in) {
		w.act(a)
	}
	after := w.m.Report()
	if f := after.Failover; f != nil && before.Failover == nil {
		w.say("asks for a failover because of %s", f.Resource)
	}
	if after.Released > before.Released {
		w.say("released epoch %d %s", after.Released, after.ReleasedHow)
		for name, up := range w.up {
			if up {
				w.violate("O1: released, and %s is still there", name)
			}
		}
	}
}

var words = map[lifecycle.Op]string{
	lifecycle.OpReserve: "reserve", lifecycle.OpOnline: "start", lifecycle.OpOffline: "stop", lifecycle.OpTerminate: "kill", lifecycle.OpAdopt: "adopt",
}

func (w *World) act(a lifecycle.Action) {
	name := a.UID
	switch a.Op {
	case lifecycle.OpWatch:
		w.checked[name] = a.Serial
		return
	case lifecycle.OpUnwatch:
		delete(w.checked, name)
		return
	case lifecycle.OpCancel:
		for _, j := range w.jobs {
			if j.Serial == a.Serial {
				j.due, j.err = w.now, "cancelled"
			}
		}
		return
	case lifecycle.OpReserve, lifecycle.OpOnline, lifecycle.OpOffline, lifecycle.OpTerminate, lifecycle.OpAdopt:
	}
	w.say("%s %s", words[a.Op], name)
	w.check(a)
	j := &job{Action: a, due: w.now}
	if b := w.behaviours[words[a.Op]+" "+name]; b != nil {
		j.due, j.err = w.now+b.takes, b.err
		if b.times--; b.times == 0 {
			delete(w.behaviours, words[a.Op]+" "+name)
		}
	}
	w.jobs = append(w.jobs, j)
}

func (w *World) spec(name string) *lifecycle.Resource {
	for i := range w.specs {
		if w.specs[i].Name == name {
			return &w.specs[i]
		}
	}
	return nil
}

// check holds what the machine begins against what is on the host.
func (w *World) check(a lifecycle.Action) {
	switch a.Op {
	case lifecycle.OpOnline:
		if spec := w.spec(a.UID); spec != nil && !w.satisfied(spec, "") {
			w.violate("S6: %s is started without what it depends on", a.UID)
		}
		for i := range w.specs {
			if s := &w.specs[i]; s.Kind == lifecycle.KindDisk && s.Online && !w.held[s.Name] {
				w.violate("O12: %s is started and disk %s is not held", a.UID, s.Name)
			}
		}
	case lifecycle.OpOffline:
		for i := range w.specs {
			if user := &w.specs[i]; w.up[user.Name] && w.satisfied(user, "") && !w.satisfied(user, a.UID) {
				w.violate("S6: %s is stopped while %s uses it", a.UID, user.Name)
			}
		}
	case lifecycle.OpReserve, lifecycle.OpTerminate, lifecycle.OpAdopt, lifecycle.OpCancel, lifecycle.OpWatch, lifecycle.OpUnwatch:
	}
}

// satisfied says that of each of the resource's dependencies one is up, not counting the one that is left out.
func (w *World) satisfied(spec *lifecycle.Resource, without string) bool {
	return !slices.ContainsFunc(spec.DependsOn, func(d lifecycle.Dependency) bool {
		return !slices.ContainsFunc(d.AnyOf, func(name string) bool { return name != without && w.up[name] })
	})
}

// settle ends what is due now, and lets the machine look, until nothing happens any more.
func (w *World) settle() {
	for range 10000 {
		i := slices.IndexFunc(w.jobs, func(j *job) bool { return j.due <= w.now })
		if i < 0 {
			if at, ok := w.m.Deadline(); ok && at <= w.now {
				w.step(lifecycle.Tick{})
				continue
			}
			return
		}
		j := w.jobs[i]
		w.jobs = slices.Delete(w.jobs, i, i+1)
		w.finish(j)
	}
	w.violate("the machine does not come to rest")
}

func (w *World) finish(j *job) {
	r := lifecycle.Result{UID: j.UID, Serial: j.Serial, Err: j.err}
	if j.err != "" {
		w.say("%s %s fails: %s", words[j.Op], j.UID, j.err)
		w.step(r)
		return
	}
	switch j.Op {
	case lifecycle.OpReserve:
		w.held[j.UID] = true
		r.Reservation = lifecycle.Reservation{Enforced: true, Proof: true}
	case lifecycle.OpOnline:
		w.up[j.UID] = true
	case lifecycle.OpOffline, lifecycle.OpTerminate:
		w.up[j.UID] = false
	case lifecycle.OpAdopt, lifecycle.OpCancel, lifecycle.OpWatch, lifecycle.OpUnwatch:
	}
	w.step(r)
}

// pass lets time pass, stopping at everything that is due on the way.
func (w *World) pass(d time.Duration) {
	end := w.now + d
	for w.now < end && len(w.wrong) == 0 {
		next := end
		if at, ok := w.m.Deadline(); ok {
			next = min(next, max(at, w.now))
		}
		for _, j := range w.jobs {
			next = min(next, max(j.due, w.now))
		}
		w.now = next
		w.settle()
	}
}

// apply gives the machine the assignment as it is now.
func (w *World) apply(run bool) error {
	d := lifecycle.Desired{Run: run, Epoch: w.epoch, Resources: slices.Clone(w.specs), Frozen: w.frozen}
	if err := w.m.Refuses(d); err != nil {
		return err
	}
	w.step(lifecycle.Apply{Desired: d})
	w.settle()
	return nil
}
