package cluster

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/guardian"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/test/sim"
)

// selfFence is selfFence.timeout.
const selfFence = time.Second

// instance is something of a resource in a host's kernel: a process, an address or a mount.
type instance struct {
	node     *node
	group    string // uid
	resource string // uid
	name     string
	of       string // the group's name
	kind     lifecycle.Kind
	epoch    model.Epoch
	life     model.Generation
	disk     *disk
	since    time.Duration
	// shutDown says that a file system takes no more writes, failed that it has met an error.
	shutDown, failed bool
	inFlight         int
	// protected says that a process uses a fenced disk or a guarded address: when its owner is lost it may die a little later.
	protected bool
}

// groupRecord is the run state of a group and of its resources, written as one.
type groupRecord struct {
	name      string
	life      model.Generation
	group     lifecycle.SavedGroup
	resources map[string]lifecycle.SavedResource
}

// diskRecord is what the disk type keeps in the run state.
type diskRecord struct {
	epoch  model.Epoch
	result reservation.Result
	online bool
}

// node is a host: what outlives its agent.
type node struct {
	c    *Cluster
	id   model.NodeID
	name string
	host *sim.Host
	// boot counts the boots; up says that the power is on, frozen that the whole host stands still.
	boot       int
	up, frozen bool
	thawed     []func()
	// guards says that the kernel silences addresses; addressUntil is until when they are served, by the host's clock.
	guards       bool
	addressUntil time.Duration
	watchdog     bool
	dogArmed     bool

	instances map[string]*instance // by resource uid
	// The run directory: gone after a reboot.
	lease   runstate.Lease
	lock    *runstate.Lock
	records map[string]groupRecord
	disks   map[string]diskRecord
	// floors are on the host's own disk.
	floors map[string]model.Epoch
	// kept is the journal, on the host's own disk.
	kept *autonomy.State

	agent *agent
	cache *cache
	// apiCut says that the host does not reach the API server.
	apiCut bool
	// dieAfterSave kills the agent after the next write of run state, before it acts on it.
	dieAfterSave bool
	guarding     int
}

func (n *node) now() time.Duration { return n.host.Local() }

// powerOn is the beginning of a boot.
func (n *node) powerOn() {
	n.boot++
	n.up, n.frozen, n.thawed, n.lock, n.addressUntil = true, false, nil, nil, 0
	n.instances, n.records, n.disks = map[string]*instance{}, map[string]groupRecord{}, map[string]diskRecord{}
	n.lease = runstate.Lease{SelfFence: selfFence}
	n.watch()
}

// powerOff is the end of everything on the host; writes that the array has accepted remain.
func (n *node) powerOff() {
	if !n.up {
		return
	}
	n.up, n.frozen, n.thawed = false, false, nil
	n.instances = map[string]*instance{}
	n.c.dirty = true
}

// later runs f on this host, in this boot, when the host does not stand still.
func (n *node) later(d time.Duration, f func()) {
	boot := n.boot
	n.c.After(d, func() {
		switch {
		case n.boot != boot || !n.up:
		case n.frozen:
			n.thawed = append(n.thawed, f)
		default:
			f()
		}
	})
}

// freeze stops the whole host, its clock not.
func (n *node) freeze() {
	n.frozen = true
	n.host.Freeze()
}

func (n *node) thaw() {
	if !n.frozen {
		return
	}
	n.frozen = false
	n.c.check.late[n.id] = n.c.Now()
	thawed := n.thawed
	n.thawed = nil
	n.host.Thaw()
	for _, f := range thawed {
		n.later(n.c.Between(0, time.Millisecond), f)
	}
	n.c.dirty = true
}

// begin puts something into the kernel.
func (n *node) begin(inst *instance) {
	inst.since = n.c.Now()
	n.instances[inst.resource] = inst
	n.c.Trace("node %d %s of epoch %d begins (life %d)", n.id, inst.name, inst.epoch, inst.life)
	n.c.check.began(inst)
	n.c.dirty = true
	if inst.kind == lifecycle.KindDisk {
		inst.disk.newest = inst
		n.writes(inst)
	}
}

// end takes it away.
func (n *node) end(inst *instance, why string) {
	if n.instances[inst.resource] != inst {
		return
	}
	delete(n.instances, inst.resource)
	n.c.Trace("node %d %s of epoch %d ends: %s", n.id, inst.name, inst.epoch, why)
	n.c.check.ended(inst, why)
	n.c.dirty = true
}

// writes is what the application does to a mounted disk.
func (n *node) writes(inst *instance) {
	n.later(n.c.Between(10*time.Millisecond, 150*time.Millisecond), func() {
		if n.instances[inst.resource] != inst || inst.shutDown {
			return
		}
		inst.disk.write(inst)
		n.writes(inst)
	})
}

// serves reports whether somebody could be answered by the address.
func (n *node) serves(inst *instance) bool {
	return n.up && !n.frozen && (!n.guards || !enforced(ruleAddresses) || n.now() < n.addressUntil)
}

// watch is the guardian: it looks at the lease as long as the host is up.
func (n *node) watch() {
	n.guarding++
	turn := n.guarding
	var look func()
	look = func() {
		if turn == n.guarding {
			n.later(max(50*time.Microsecond, n.look()), look)
		}
	}
	n.later(n.c.Between(0, 250*time.Millisecond), look)
}

// look is guardian's: Due decides when it acts.
func (n *node) look() time.Duration {
	const idle = 250 * time.Millisecond
	if !n.lease.Active || !enforced(ruleGuardian) {
		return idle
	}
	if n.lock.Burns(n.lease.Generation) {
		return n.reap(n.lock.Generation)
	}
	if due := guardian.Due(n.lease, n.now(), n.agent != nil); n.now() < due {
		return due - n.now()
	}
	n.c.Trace("node %d guardian stops everything of life %d", n.id, n.lease.Generation)
	n.lock = &runstate.Lock{Generation: n.lease.Generation}
	if n.agent != nil {
		n.host.Crash()
		n.c.restartLater(n, n.c.Between(100*time.Millisecond, time.Second))
	}
	return n.reap(n.lease.Generation)
}

// reap terminates what is recorded of the lives up to that one, users before what they use.
func (n *node) reap(burnt model.Generation) time.Duration {
	var mine []*instance
	for _, inst := range n.instances {
		if inst.life <= burnt {
			mine = append(mine, inst)
		}
	}
	if len(mine) == 0 {
		return 250 * time.Millisecond
	}
	slices.SortFunc(mine, bySafety)
	wait := time.Duration(0)
	for _, inst := range mine {
		wait += n.c.Between(500*time.Microsecond, 20*time.Millisecond)
		n.later(wait, func() { n.destroy(inst, "the guardian") })
	}
	return wait + time.Second/4
}

// bySafety orders users before what they use.
func bySafety(a, b *instance) int {
	order := map[lifecycle.Kind]int{lifecycle.KindProcess: 0, lifecycle.KindAddress: 1, lifecycle.KindDisk: 2}
	if d := order[a.kind] - order[b.kind]; d != 0 {
		return d
	}
	if a.name < b.name {
		return -1
	}
	return 1
}

// destroy ends an instance by force: a file system is shut down at once, and unmounted when what is in flight has come back.
func (n *node) destroy(inst *instance, why string) {
	if n.instances[inst.resource] != inst {
		return
	}
	if inst.kind != lifecycle.KindDisk {
		n.end(inst, why)
		return
	}
	inst.shutDown = true
	if inst.inFlight == 0 {
		n.end(inst, why)
		return
	}
	n.later(2*time.Millisecond, func() { n.destroy(inst, why) })
}

// armWatchdog resets the host by hardware when something of a life outlasts its lease by the self-fence timeout.
func (n *node) armWatchdog() {
	if !n.watchdog || n.dogArmed || !n.lease.Active {
		return
	}
	n.dogArmed = true
	boot, life, until := n.boot, n.lease.Generation, n.deadline()
	n.c.After(n.host.Truly(until)-n.c.Now(), func() {
		n.dogArmed = false
		switch {
		case n.boot != boot || !n.up:
		case n.lease.Generation != life || n.deadline() != until:
			n.armWatchdog()
		case slices.ContainsFunc(n.all(), func(i *instance) bool { return i.life <= life && !i.shutDown }):
			n.c.Trace("node %d watchdog resets the host", n.id)
			n.c.count("watchdog", 1)
			n.host.PowerOff()
			n.c.powerOnLater(n, time.Second)
		}
	})
}

// all are the instances, in a fixed order.
func (n *node) all() []*instance {
	list := make([]*instance, 0, len(n.instances))
	for _, inst := range n.instances {
		list = append(list, inst)
	}
	slices.SortFunc(list, func(a, b *instance) int {
		if a.resource < b.resource {
			return -1
		}
		return 1
	})
	return list
}
