package cluster

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// agent is one life of an agent's process: what package nodeagent's keeper and package monitor do, around real lifecycle machines.
type agent struct {
	node   *node
	dead   bool
	thawed []func()

	threads map[*thread]bool
	st      membership.Status
	// begun is the life whose beginning is complete, generation the one that may start things.
	begun, generation model.Generation
	busy              bool // a life is being ended or begun
	groups            map[string]*group
	facts             lifecycle.Facts
	view              model.ViewID
	// since is the first view in which this life is known to have acted.
	since     uint64
	sinceLife model.Generation
	dirty     map[string]bool // names of groups
	passing   bool
	publisher publisher
	probes    int
	reaches   bool
	journal   journal
	keeping   keeping
}

// errDenied is the lease check of rule O8.
var errDenied = errors.New("this node has no quorum at the moment")

// agentOf is the sim.Agent of a host: it makes an agent at each start of the process.
type agentOf struct{ n *node }

func (h agentOf) Start() {
	n := h.n
	if n.c.World == nil {
		return // the world is being made; Cluster starts it
	}
	n.startAgent()
}

func (h agentOf) Lost() {
	if a := h.n.agent; a != nil {
		h.n.silence()
		h.n.lease.Stopping = h.n.lease.Active
		a.wake(0)
	}
}

func (h agentOf) Step(st membership.Status) {
	if a := h.n.agent; a != nil {
		a.step(st)
	}
}

func (h agentOf) Stop(power bool) {
	if a := h.n.agent; a != nil {
		a.end()
	}
	if power {
		h.n.powerOff()
	}
}

func (h agentOf) Thaw() {
	if a := h.n.agent; a != nil {
		thawed := a.thawed
		a.thawed = nil
		for _, f := range thawed {
			h.n.c.After(0, func() { a.whenRunning(f) })
		}
	}
}

func (n *node) startAgent() {
	a := &agent{
		node: n, threads: map[*thread]bool{}, groups: map[string]*group{}, dirty: map[string]bool{}, publisher: newPublisher(),
	}
	a.facts.Fencing = lifecycle.Fencing{SelfFence: selfFence, Witness: n.c.WitnessWait(), Margin: selfFence/20 + 50*time.Millisecond, GuardsAddresses: map[model.NodeID]bool{}}
	for _, other := range n.c.nodes {
		if other.guards {
			a.facts.GuardsAddresses[other.id] = true
		}
	}
	n.agent = a
	a.startJournal()
	n.cache.relist()
	a.wake(time.Millisecond)
	a.after(n.c.Between(0, 300*time.Millisecond), a.probe)
	a.after(n.c.Between(0, 250*time.Millisecond), a.report)
}

// end is the end of the process; what runs goes on without it.
func (a *agent) end() {
	a.dead = true
	a.node.agent = nil
	for _, t := range slices.Collect(maps.Keys(a.threads)) {
		t.kill()
	}
}

// whenRunning runs f now, or when the frozen process goes on.
func (a *agent) whenRunning(f func()) {
	switch {
	case a.dead:
	case a.node.host.Frozen():
		a.thawed = append(a.thawed, f)
	default:
		f()
	}
}

// after runs f later, in this process.
func (a *agent) after(d time.Duration, f func()) {
	a.node.c.After(d, func() { a.whenRunning(f) })
}

// step takes a new standing.
func (a *agent) step(st membership.Status) {
	before := a.st
	a.st = st
	a.lease(st)
	a.drive(func(m *autonomy.Machine) { m.Observe(a.node.now(), &st) })
	if a.dead {
		return
	}
	same := before.Self == st.Self && before.Acting == st.Acting && before.Keeping == st.Keeping && before.Ready == st.Ready &&
		before.Reporter == st.Reporter && before.View.Equal(st.View) && before.ReachesAPI == st.ReachesAPI && silent(&before) == silent(&st)
	if !same {
		a.wake(a.node.c.Between(20*time.Microsecond, 500*time.Microsecond))
		a.publisher.kick(a)
	}
}

// silent counts the members that are silent: another view is about to come.
func silent(st *membership.Status) int {
	count := 0
	for _, p := range st.Peers {
		if p.Silent && st.View != nil && st.View.Has(p.ID) {
			count++
		}
	}
	return count
}

// lease hands the right to go on to the guardian and the kernel, as nodeagent's lease does.
func (a *agent) lease(st membership.Status) {
	n := a.node
	if !st.Keeping {
		n.silence()
		if st.Suspended {
			n.lease.StopAt = st.StopAt // the stop waits for the end of a challenge (R8)
		}
		return
	}
	n.addressUntil = st.KeepingUntil
	n.lease.KeepingUntil, n.lease.StopAt, n.lease.Generation = st.KeepingUntil, st.KeepingUntil, st.Self.Generation
	n.c.dirty = true
	n.armWatchdog()
}

// silence ends the addresses at once.
func (n *node) silence() {
	if n.addressUntil != 0 {
		n.addressUntil = 0
		n.c.dirty = true
	}
}

// mayAct is the check of rule O8.
func (a *agent) mayAct() error {
	if !enforced(ruleLate) {
		return nil
	}
	if a.generation == 0 || a.st.Self.Generation != a.generation || a.node.now() >= a.st.ActingUntil {
		return errDenied
	}
	return nil
}

// wake has the keeper look at everything that has changed.
func (a *agent) wake(d time.Duration) {
	if a.passing {
		return
	}
	a.passing = true
	a.after(d, func() {
		a.passing = false
		a.pass()
	})
}

func (a *agent) pass() {
	if g := a.st.Self.Generation; g != 0 && g != a.begun && !a.busy {
		a.newLife()
	}
	if a.sinceLife != a.st.Self.Generation {
		a.sinceLife, a.since = a.st.Self.Generation, 0
	}
	if a.since == 0 && a.st.Acting && a.st.View != nil {
		a.since = a.st.View.ID.Number
	}
	if !a.busy && a.begun == a.st.Self.Generation {
		for _, name := range slices.Sorted(maps.Keys(a.dirty)) {
			delete(a.dirty, name)
			a.look(name)
		}
		a.tellView()
		a.setActive(a.active())
	}
	a.publisher.kick(a)
}

// active says that something runs here or may be started.
func (a *agent) active() bool {
	return slices.ContainsFunc(a.sorted(), func(g *group) bool { return g.desired.Run || !g.machine.Down() })
}

func (a *agent) setActive(active bool) {
	a.node.lease.Active = active
	a.node.armWatchdog()
}

func (a *agent) sorted() []*group {
	list := make([]*group, 0, len(a.groups))
	for _, uid := range slices.Sorted(maps.Keys(a.groups)) {
		list = append(list, a.groups[uid])
	}
	return list
}

// newLife ends the life before (rule O3) and begins the next.
func (a *agent) newLife() {
	a.busy = true
	if a.begun == 0 {
		a.begin(true)
		return
	}
	a.generation = 0
	a.view = model.ViewID{}
	a.facts.Views = a.facts.Views.Lose()
	if !enforced(ruleBurn) {
		a.begin(true)
		return
	}
	burn := lifecycle.BurnBy(a.node.now(), a.node.deadline())
	for _, g := range a.sorted() {
		g.step(a.facts)
		g.step(burn)
		if a.dead {
			return
		}
	}
	a.burnt()
}

// burnt waits until all of the old life is gone.
func (a *agent) burnt() {
	if slices.ContainsFunc(a.sorted(), func(g *group) bool { return !g.machine.Down() }) {
		a.after(2*time.Millisecond, a.burnt)
		return
	}
	for _, g := range a.sorted() {
		g.closed = true
		delete(a.node.records, g.uid)
		delete(a.groups, g.uid)
	}
	a.begin(false)
}

// begin adopts what an earlier process of the same life has left and removes all else.
func (a *agent) begin(first bool) {
	n, life := a.node, a.st.Self.Generation
	a.facts.Self = a.st.Self
	if first && !n.lock.Burns(life) {
		a.generation = life
		for _, uid := range slices.Sorted(maps.Keys(n.records)) {
			if n.records[uid].life == life {
				a.groups[uid] = a.restore(uid, n.records[uid])
			}
		}
		for _, g := range a.sorted() {
			g.step(a.facts)
			if a.dead {
				return
			}
		}
	}
	a.cleanUp(life)
}

// cleanUp terminates what no group of this life owns, then the life has begun.
func (a *agent) cleanUp(life model.Generation) {
	n := a.node
	left := false
	wait := 5 * time.Millisecond
	for _, inst := range n.all() {
		if a.groups[inst.group] == nil || inst.life != life {
			left = true
			wait += n.c.Between(time.Millisecond, 10*time.Millisecond)
			a.after(wait, func() { n.destroy(inst, "clean-up") })
		}
	}
	if left {
		a.after(wait+time.Millisecond, func() { a.cleanUp(life) })
		return
	}
	for uid := range n.records {
		if a.groups[uid] == nil {
			delete(n.records, uid)
		}
	}
	a.generation, a.begun = life, life
	if !a.active() {
		n.lease.Generation, n.lease.Active, n.lease.Stopping = life, false, false
	}
	n.lock = nil
	a.ready(life)
}

func (a *agent) ready(life model.Generation) {
	if a.st.Self.Generation == life && !a.journal.said() {
		a.after(2*time.Millisecond, func() { a.ready(life) })
		return
	}
	if a.st.Self.Generation == life && !a.st.Ready && !a.node.host.SetReady(life) {
		a.after(2*time.Millisecond, func() { a.ready(life) })
		return
	}
	a.busy = false
	a.allDirty()
	a.wake(0)
}

func (a *agent) allDirty() {
	for _, g := range a.node.cache.groups() {
		a.dirty[g.Name] = true
	}
	if o := a.journal.machine.Objects(); o != nil {
		for _, g := range o.Groups {
			a.dirty[g.Name] = true
		}
	}
	for _, g := range a.groups {
		a.dirty[g.name] = true
	}
}

// tellView tells the machines of each view in which this node acts.
func (a *agent) tellView() {
	if !a.st.Acting || a.st.View == nil || a.st.View.ID == a.view {
		return
	}
	a.view = a.st.View.ID
	a.facts.Views = a.facts.Views.Install(lifecycle.View{At: a.node.now(), ID: a.st.View.ID, Members: a.st.View.Members})
	for _, g := range a.sorted() {
		g.step(a.facts)
	}
	a.allDirty()
	a.wake(0)
}
