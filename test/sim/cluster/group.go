package cluster

import (
	"encoding/json"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/snapshot"
)

// group is one group in one process: its machine, what the monitor keeps beside it, and the operations under way.
type group struct {
	agent     *agent
	uid, name string
	machine   *lifecycle.Machine
	desired   lifecycle.Desired
	closed    bool
	forgotten bool
	wake      time.Duration
	// ops are the operations under way by serial, watches the health checks by resource.
	ops     map[uint64]*thread
	watches map[string]*watching
	report  lifecycle.Report
}

// timing has times that fit into a run of half a minute.
var timing = lifecycle.Timing{
	Pending: 4 * time.Second, Deadlock: 5 * time.Second, RetryPeriod: 3 * time.Second,
	Restart: lifecycle.Restart{Policy: lifecycle.RestartAlways, Threshold: 3, Period: 15 * time.Second, Delay: 100 * time.Millisecond},
}.WithDefaults()

func resourceOf(r *v1alpha1.Resource) lifecycle.Resource {
	out := lifecycle.Resource{
		UID: string(r.UID), Name: r.Name, Kind: lifecycle.KindProcess, Timing: timing, Fingerprint: "1",
		Online: r.Spec.DesiredState != v1alpha1.DesiredOffline && r.DeletionTimestamp == nil,
	}
	switch {
	case snapshot.Disk(r) != "":
		out.Kind, out.Device = lifecycle.KindDisk, snapshot.Disk(r)
	case r.Spec.IPAddress != nil:
		out.Kind = lifecycle.KindAddress
	}
	for _, d := range r.Spec.DependsOn {
		if d.Name != "" {
			out.DependsOn = append(out.DependsOn, lifecycle.On(d.Name))
			continue
		}
		out.DependsOn = append(out.DependsOn, lifecycle.Dependency{AnyOf: d.AnyOf})
	}
	return out
}

func (a *agent) newGroup(uid, name string, m *lifecycle.Machine) *group {
	return &group{agent: a, uid: uid, name: name, machine: m, ops: map[uint64]*thread{}, watches: map[string]*watching{}}
}

// restore makes the group anew from its record, which passes through its encoding as in a real run directory.
func (a *agent) restore(uid string, r groupRecord) *group {
	var saved groupRecord
	copyJSON(a, r.group, &saved.group)
	copyJSON(a, r.resources, &saved.resources)
	saved.group.Floor = max(saved.group.Floor, a.node.floors[uid])
	g := a.newGroup(uid, r.name, lifecycle.Restore(saved.group, saved.resources))
	g.desired = saved.group.Desired
	return g
}

func copyJSON(a *agent, from, into any) {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		a.node.c.Fail("a record of the run state: %v", err)
	}
}

// step feeds the machine, writes the run state, and only then acts (rule O8).
func (g *group) step(in lifecycle.Input) {
	a, n := g.agent, g.agent.node
	if g.closed || a.dead {
		return
	}
	actions := g.machine.Step(n.now(), in)
	saved, resources := g.machine.Saved()
	n.records[g.uid] = groupRecord{name: g.name, life: a.facts.Self.Generation, group: saved, resources: resources}
	if n.dieAfterSave && len(actions) > 0 {
		n.dieAfterSave = false
		n.c.Trace("node %d agent dies between its record and its act", n.id)
		n.c.After(0, n.host.Crash) // nothing of this step is done
		n.c.restartLater(n, n.c.Between(5*time.Millisecond, time.Second))
		g.closed = true
		return
	}
	for _, act := range actions {
		g.act(act)
	}
	g.arm()
	g.tell()
}

// arm sets the timer to the machine's next deadline.
func (g *group) arm() {
	at, due := g.machine.Deadline()
	if !due || at == g.wake {
		return
	}
	g.wake = at
	n := g.agent.node
	g.agent.after(n.host.Truly(at)-n.c.Now()+time.Microsecond, func() {
		if g.wake == at {
			g.wake = 0
			g.step(lifecycle.Tick{})
		}
	})
}

// tell notes the report, and drops a forgotten group that is down.
func (g *group) tell() {
	a := g.agent
	g.report = g.machine.Report()
	a.publisher.kick(a)
	if g.forgotten && g.machine.Down() {
		g.closed = true
		delete(a.groups, g.uid)
		delete(a.node.records, g.uid)
		a.wake(0)
	}
}

func (g *group) act(act lifecycle.Action) {
	switch act.Op {
	case lifecycle.OpCancel:
		if t := g.ops[act.Serial]; t != nil {
			t.cancelled = true
		}
	case lifecycle.OpUnwatch:
		g.unwatch(act.UID)
	case lifecycle.OpWatch:
		g.watch(act)
	case lifecycle.OpReserve, lifecycle.OpOnline, lifecycle.OpOffline, lifecycle.OpTerminate, lifecycle.OpAdopt:
		g.launch(act)
	}
}

// spec is the resource as the machine was told of it; one that has left the spec is found in the record.
func (g *group) spec(uid string) lifecycle.Resource {
	for _, list := range [][]lifecycle.Resource{g.desired.Resources, g.agent.node.records[g.uid].group.Removed} {
		for _, r := range list {
			if r.UID == uid {
				return r
			}
		}
	}
	saved, _ := g.machine.Saved()
	for _, r := range append(saved.Desired.Resources, saved.Removed...) {
		if r.UID == uid {
			return r
		}
	}
	return lifecycle.Resource{UID: uid, Name: uid, Kind: lifecycle.KindProcess}
}
