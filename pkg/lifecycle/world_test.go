package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// job is an op that the world carries out.
type job struct {
	action    Action
	epoch     model.Epoch
	due       time.Duration
	err       string
	cancelled bool
}

// world carries out a machine's actions and remembers what is on the host, independently of what the machine believes.
type world struct {
	t       *testing.T
	m       *Machine
	now     time.Duration
	jobs    []*job
	present map[string]bool        // something of it is on the host
	held    map[string]model.Epoch // reserved disks
	watched map[string]uint64
	trace   []string
	// outcome decides how long an op takes and whether it fails; nil is 1 ms and success.
	outcome func(Action) (time.Duration, string)
	answer  func(Action, *Result) // changes what comes of it
	reserve Reservation
	specs   map[string]Resource
	// urgent relaxes the order of stops: after a lost reservation, or when the time of a burn is up.
	urgent bool
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, m: New(0), now: time.Second, present: map[string]bool{}, held: map[string]model.Epoch{}, watched: map[string]uint64{},
		reserve: Reservation{Enforced: true, Proof: true}, specs: map[string]Resource{},
	}
}

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%8s ", w.now.Round(time.Microsecond))+fmt.Sprintf(format, args...))
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.trace[max(0, len(w.trace)-60):] {
		w.t.Log(line)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) step(in Input) {
	w.t.Helper()
	if a, ok := in.(Apply); ok {
		w.logf("apply run=%v epoch=%d resources=%d refused=%v", a.Desired.Run, a.Desired.Epoch, len(a.Desired.Resources), w.m.Refuses(a.Desired))
		if w.m.Refuses(a.Desired) == nil {
			for _, r := range a.Desired.Resources {
				w.specs[r.UID] = r
			}
		}
	}
	for _, a := range w.m.Step(w.now, in) {
		w.act(a)
	}
	w.check()
}

func (w *world) act(a Action) {
	w.t.Helper()
	w.logf("  %s %s #%d", a.Op, a.UID, a.Serial)
	switch a.Op {
	case OpCancel:
		for _, j := range w.jobs {
			if j.action.Serial == a.Serial {
				j.cancelled = true
				if j.err == "hang" {
					j.due = w.now + 100*time.Millisecond
				}
			}
		}
		return
	case OpWatch:
		if serial, ok := w.watched[a.UID]; ok {
			w.failf("%s is watched twice, #%d and #%d", a.UID, serial, a.Serial)
		}
		w.watched[a.UID] = a.Serial
		return
	case OpUnwatch:
		delete(w.watched, a.UID)
		return
	case OpReserve, OpOnline, OpOffline, OpTerminate, OpAdopt:
	}
	if _, ok := w.watched[a.UID]; ok && (a.Op == OpOffline || a.Op == OpTerminate) {
		w.failf("%s of %s begins while it is watched", a.Op, a.UID)
	}
	for _, j := range w.jobs {
		if j.action.UID == a.UID && !j.cancelled {
			w.failf("%s of %s begins while %s goes on", a.Op, a.UID, j.action.Op)
		}
		if j.action.UID == a.UID && (a.Op == OpOnline || a.Op == OpReserve) {
			w.failf("%s of %s begins while a cancelled %s has not returned", a.Op, a.UID, j.action.Op)
		}
	}
	j := &job{action: a, epoch: w.m.epoch(), due: w.now + time.Millisecond}
	if w.outcome != nil {
		var d time.Duration
		d, j.err = w.outcome(a)
		j.due = w.now + d
	}
	w.order(a)
	if a.Op == OpOnline {
		w.present[a.UID] = true
	}
	w.jobs = append(w.jobs, j)
}

// order holds S6 and O12 against what is on the host.
func (w *world) order(a Action) {
	w.t.Helper()
	spec := w.specs[a.UID]
	switch a.Op {
	case OpOnline:
		if !w.m.running() || w.m.epoch() == 0 {
			w.failf("%s is started by a group that is not to run", a.UID)
		}
		for _, d := range spec.DependsOn {
			if !slices.ContainsFunc(d.AnyOf, func(n string) bool { return w.stateOf(n) == model.ResourceOnline }) {
				w.failf("S6: %s is started without %v", a.UID, d.AnyOf)
			}
		}
		for _, r := range w.m.resources {
			if r.inSpec && r.spec.Kind == KindDisk && r.spec.Online && w.held[r.spec.UID] != w.m.epoch() {
				w.failf("O12: %s is started and disk %s is held at epoch %d, not %d", a.UID, r.spec.UID, w.held[r.spec.UID], w.m.epoch())
			}
		}
	case OpReserve:
		for _, r := range w.m.resources {
			if r.inSpec && r.spec.Kind == KindDisk && r.spec.Online && r.spec.Device < spec.Device && w.held[r.spec.UID] != w.m.epoch() {
				w.failf("O12: disk %s is reserved before %s", a.UID, r.spec.UID)
			}
		}
	case OpOffline, OpTerminate:
		if r := w.m.find(a.UID); w.urgent || r.urgent {
			return
		}
		for _, user := range w.m.resources {
			if user.spec.UID == a.UID || !w.present[user.spec.UID] || user.Phase == PhaseIdle {
				continue
			}
			for _, d := range user.spec.DependsOn {
				if slices.Contains(d.AnyOf, spec.Name) && !slices.ContainsFunc(d.AnyOf, func(n string) bool {
					return n != spec.Name && w.stateOf(n) == model.ResourceOnline
				}) {
					w.failf("S6: %s of %s while %s uses it (%s)", a.Op, a.UID, user.spec.UID, user.Phase)
				}
			}
		}
	case OpAdopt, OpCancel, OpWatch, OpUnwatch:
	}
}

func (w *world) stateOf(name string) model.ResourceState {
	for _, r := range w.m.resources {
		if r.spec.Name == name && r.inSpec && r.Phase == PhaseOnline && !r.doomed {
			return model.ResourceOnline
		}
	}
	return model.ResourceOffline
}

// check holds what must be true after every step.
func (w *world) check() {
	w.t.Helper()
	report := w.m.Report()
	if report.Running != 0 {
		return
	}
	for uid, present := range w.present {
		if present {
			w.failf("the report says that nothing runs, and %s is on the host", uid)
		}
	}
	for _, j := range w.jobs {
		if j.action.Op == OpOnline {
			w.failf("the report says that nothing runs, and %s is still coming online", j.action.UID)
		}
	}
}

// advance lets time pass to the next event, not past limit, and handles it; false when limit is reached.
func (w *world) advance(limit time.Duration) bool {
	w.t.Helper()
	next := limit
	if at, ok := w.m.Deadline(); ok {
		next = min(next, max(at, w.now))
	}
	var first *job
	for _, j := range w.jobs {
		if j.due <= next && (first == nil || j.due < first.due) {
			first, next = j, max(j.due, w.now)
		}
	}
	w.now = max(w.now, next)
	if first == nil {
		if next >= limit {
			return false
		}
		w.step(Tick{})
		return true
	}
	w.jobs = slices.DeleteFunc(w.jobs, func(j *job) bool { return j == first })
	w.finish(first)
	return true
}

func (w *world) finish(j *job) {
	w.t.Helper()
	a := j.action
	result := Result{UID: a.UID, Serial: a.Serial, Err: j.err}
	if j.cancelled && j.err == "" && a.Op == OpOnline {
		result.Err = "cancelled"
	}
	if result.Err == "" {
		switch a.Op {
		case OpReserve:
			w.held[a.UID] = j.epoch
			result.Reservation = w.reserve
		case OpOffline, OpTerminate:
			w.present[a.UID] = false
		case OpAdopt, OpOnline, OpCancel, OpWatch, OpUnwatch:
		}
	}
	if a.Op == OpOnline {
		w.present[a.UID] = true // whether it succeeds or not, even late
	}
	if w.answer != nil {
		w.answer(a, &result)
	}
	w.logf("%s of %s ends: %q", a.Op, a.UID, result.Err)
	w.step(result)
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	limit := w.now + d
	for n := 0; w.advance(limit); n++ {
		if n > 200000 {
			w.failf("the machine does not come to rest")
		}
	}
}

// restart is a crash of the agent and a new one: all calls of the old one are gone with it.
func (w *world) restart() {
	w.t.Helper()
	group, resources := w.m.Saved()
	w.logf("agent restarts")
	w.m = Restore(group, resources)
	w.jobs, w.watched = nil, map[string]uint64{}
	w.step(Tick{})
}

func (w *world) unhealthy(uid string, reason Reason) {
	w.t.Helper()
	if serial, ok := w.watched[uid]; ok {
		w.logf("%s fails: %s", uid, reason)
		w.step(Unhealthy{UID: uid, Serial: serial, Reason: reason, Message: "test"})
	}
}

// states is the state and reason of each resource by name.
func (w *world) states() map[string]string {
	states := map[string]string{}
	for _, r := range w.m.Report().Resources {
		states[r.Name] = string(r.State)
		if r.Reason != ReasonNone {
			states[r.Name] += "/" + string(r.Reason)
		}
	}
	return states
}

func res(name string, kind Kind, deps ...Dependency) Resource {
	r := Resource{
		UID: name, Name: name, Kind: kind, Online: true, DependsOn: deps, Fingerprint: "1", Timing: Timing{RetryPeriod: time.Hour}.WithDefaults(),
	}
	if kind == KindDisk {
		r.Device = "dev-" + name
	}
	return r
}

func run(epoch model.Epoch, resources ...Resource) Apply {
	return Apply{Desired{Run: true, Epoch: epoch, Resources: resources}}
}

func withdraw(epoch model.Epoch) Apply { return Apply{Desired{Epoch: epoch}} }

// demo is a disk, an address and a process on both.
func demo() []Resource {
	return []Resource{res("disk", KindDisk), res("ip", KindAddress), res("app", KindProcess, On("disk"), On("ip"))}
}

func online(t *testing.T, resources ...Resource) *world {
	t.Helper()
	w := newWorld(t)
	w.step(run(1, resources...))
	w.run(time.Second)
	for name, s := range w.states() {
		if s != string(model.ResourceOnline) {
			w.failf("%s is %s, not Online", name, s)
		}
	}
	return w
}

// TestRandomWalk drives machines through random assignments, failures, hangs and restarts of the agent; the world checks S6, O12 and
// that released means gone after every step, and at the end everything must come to where it is wanted.
func TestRandomWalk(t *testing.T) {
	walks := 300
	if testing.Short() {
		walks = 50
	}
	for seed := range walks {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); walk(t, uint64(seed)) })
	}
}

func walk(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	shape := []Resource{
		res("b", KindDisk), res("a", KindDisk), res("ip1", KindAddress), res("ip2", KindAddress),
		res("app", KindProcess, On("a"), Dependency{AnyOf: []string{"ip1", "ip2"}}), res("web", KindProcess, On("app"), On("b")),
	}
	trouble := true
	w.outcome = func(Action) (time.Duration, string) {
		d := time.Duration(rng.IntN(50)) * time.Millisecond
		switch {
		case !trouble || rng.IntN(10) > 0:
			return d, ""
		case rng.IntN(3) == 0:
			return 24 * time.Hour, "hang"
		default:
			return d, "failed"
		}
	}
	epoch := model.Epoch(1)
	w.step(run(epoch, shape...))
	for range 60 {
		w.run(time.Duration(rng.IntN(200)) * time.Millisecond)
		switch rng.IntN(9) {
		case 0:
			epoch++
			w.step(withdraw(epoch))
		case 1, 2:
			epoch++
			w.step(run(epoch, shape...))
		case 3:
			shape[rng.IntN(len(shape))].Fingerprint = fmt.Sprint(rng.IntN(3))
			w.step(run(epoch, shape...))
		case 4:
			i := rng.IntN(len(shape))
			shape[i].Online = !shape[i].Online
			w.step(run(epoch, shape...))
		case 5:
			without := rng.IntN(len(shape))
			w.step(run(epoch, slices.Delete(slices.Clone(shape), without, without+1)...))
		case 6:
			w.unhealthy(shape[rng.IntN(len(shape))].UID, ReasonExited)
		case 7:
			w.restart()
		case 8:
			w.run(time.Duration(rng.IntN(4)) * time.Minute)
		}
	}
	trouble = false
	for i := range shape {
		shape[i].Online = true
	}
	epoch++
	w.step(run(epoch, shape...))
	w.run(20 * time.Minute)
	for name, s := range w.states() {
		if s != string(model.ResourceOnline) {
			w.failf("at the end %s is %s", name, s)
		}
	}
	epoch++
	w.step(withdraw(epoch))
	w.run(20 * time.Minute)
	if r := w.m.Report(); r.Released != epoch || r.Running != 0 {
		w.failf("at the end it is not released: %+v", r)
	}
}
