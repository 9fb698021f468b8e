package cluster

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
)

// Fault is one thing that goes wrong, or that an operator does, at a time; it ends by itself. Its numbers mean what its kind says, so
// that a fault can be left out of a storm without a change to the others.
type Fault struct {
	At   time.Duration
	Kind string
	// Node and Other name hosts; managers and disks too, counted from 1.
	Node, Other int
	// For is how long it lasts.
	For time.Duration
	// Amount is a percentage, a number of writes, or a set of bits.
	Amount int
}

// kind is a kind of fault with its weight in a storm.
type kind struct {
	weight int
	// api says that it touches only the API server and the managers.
	api    bool
	amount int // the bound of Amount
	do     func(c *Cluster, f Fault)
}

var kinds = map[string]kind{
	// The network.
	"isolate": {weight: 8, do: func(c *Cluster, f Fault) {
		c.cutLinks(f, func(a, b int) bool { return a == f.Node || b == f.Node }, -1)
	}},
	"split": {weight: 8, amount: 128, do: func(c *Cluster, f Fault) { c.cutLinks(f, func(a, b int) bool { return side(f, a) != side(f, b) }, -1) }},
	"oneway": {weight: 8, do: func(c *Cluster, f Fault) {
		c.cutLinks(f, func(a, b int) bool { return a == f.Node && b == f.Other }, -1)
	}},
	"onenetwork": {weight: 4, do: func(c *Cluster, f Fault) {
		c.cutLinks(f, func(a, b int) bool { return a == f.Node || b == f.Node }, f.Other%c.Networks())
	}},
	"degrade": {weight: 6, amount: 50, do: degrade},
	"witness": {weight: 6, do: func(c *Cluster, f Fault) { c.DisturbWitness(model.NodeID(f.Node)) }},
	// Hosts and agents.
	"freeze":   {weight: 8, do: freeze},
	"stall":    {weight: 6, do: stall},
	"crash":    {weight: 8, do: func(c *Cluster, f Fault) { crash(c, f, false) }},
	"forget":   {weight: 2, do: func(c *Cluster, f Fault) { crash(c, f, true) }},
	"killact":  {weight: 5, do: func(c *Cluster, f Fault) { c.host(f).dieAfterSave = true }},
	"powerout": {weight: 6, do: powerOut},
	"exit":     {weight: 6, amount: 1000, do: exit},
	// The array.
	"hang":       {weight: 4, do: hang},
	"path":       {weight: 4, do: cutPath},
	"reset":      {weight: 3, do: func(c *Cluster, f Fault) { c.withDisk(f, func(d *disk) { d.reset(false) }) }},
	"arraypower": {weight: 2, do: func(c *Cluster, f Fault) { c.withDisk(f, func(d *disk) { d.reset(true) }) }},
	// The API server and the managers.
	"apidown":     {weight: 4, api: true, do: apiDown},
	"apigone":     {weight: 4, api: true, do: func(c *Cluster, f Fault) { f.For *= 3; apiDown(c, f) }},
	"apicutall":   {weight: 3, api: true, do: apiCutAll},
	"apicut":      {weight: 5, api: true, do: apiCut},
	"managerdie":  {weight: 4, api: true, do: managerDie},
	"managercut":  {weight: 3, api: true, do: managerCut},
	"managerhalt": {weight: 4, api: true, do: managerHalt},
	"managerkill": {weight: 5, api: true, amount: 4, do: func(c *Cluster, f Fault) { c.manager(f).dieAfter = 1 + f.Amount }},
	"twoleaders":  {weight: 4, api: true, do: twoLeaders},
	"stale":       {weight: 6, api: true, do: stale},
	"lostanswers": {weight: 3, api: true, amount: 50, do: lostAnswers},
	"backup":      {weight: 3, api: true, do: func(c *Cluster, _ Fault) { c.api.takeBackup() }},
	"restore":     {weight: 2, api: true, do: restore},
	// Operators.
	"move":     {weight: 6, do: move},
	"drain":    {weight: 3, do: func(c *Cluster, f Fault) { availability(c, f, v1alpha1.AvailabilityDrained) }},
	"pause":    {weight: 2, do: func(c *Cluster, f Fault) { availability(c, f, v1alpha1.AvailabilityPaused) }},
	"offline":  {weight: 3, do: offline},
	"recreate": {weight: 2, do: recreate},
	"owners":   {weight: 2, amount: 128, do: owners},
	// Operators on hosts, while no API server is reached.
	"hostmove":    {weight: 6, amount: 12, do: hostMove},
	"hostdrain":   {weight: 4, amount: 12, do: hostDrain},
	"hostoffline": {weight: 4, do: hostOffline},
}

func side(f Fault, id int) bool { return f.Amount&(1<<id) != 0 }

// names of the kinds, in a fixed order.
var names = func() []string {
	var list []string
	for name := range kinds {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}()

// Storm draws the faults of a seed: for length, with pauses of up to gap.
func Storm(seed uint64, apiOnly bool, length time.Duration) []Fault {
	rng := rand.New(rand.NewPCG(seed, 0xfa17))
	gap := 100*time.Millisecond + time.Duration(rng.Int64N(int64(2500*time.Millisecond)))
	total := 0
	for _, name := range names {
		if !apiOnly || kinds[name].api {
			total += kinds[name].weight
		}
	}
	begin := 500*time.Millisecond + time.Duration(rng.Int64N(int64(3*time.Second)))
	if apiOnly {
		begin = 8 * time.Second // everything runs by then
	}
	var faults []Fault
	for at := begin; at < begin+length; at += 20*time.Millisecond + time.Duration(rng.Int64N(int64(gap))) {
		n := rng.IntN(total)
		f := Fault{At: at.Truncate(time.Millisecond), Node: 1 + rng.IntN(60), Other: 1 + rng.IntN(60)}
		f.For = (20*time.Millisecond + time.Duration(rng.Int64N(int64(4*time.Second)))).Truncate(time.Millisecond)
		for _, name := range names {
			k := kinds[name]
			if apiOnly && !k.api {
				continue
			}
			if n -= k.weight; n < 0 {
				f.Kind = name
				if k.amount > 0 {
					f.Amount = rng.IntN(k.amount)
				}
				break
			}
		}
		faults = append(faults, f)
	}
	return faults
}

// successions are faults of their own for clusters of halves: the API server goes, one half dies, the other decides and dies in its turn,
// and the first is back before it.
func successions(seed uint64, length time.Duration) []Fault {
	rng := rand.New(rand.NewPCG(seed, 0x4a1f))
	between := func(lo, hi int) time.Duration { return time.Duration(lo+rng.IntN(hi-lo)) * time.Millisecond }
	var faults []Fault
	for at := between(2000, 4000); at < length; at += between(4000, 7000) {
		first, half := rng.IntN(4), []int{0b00110, 0b01010, 0b10010}[rng.IntN(3)]
		faults = append(
			faults,
			Fault{At: at, Kind: "apidown", Node: 1, Other: 1, For: between(1500, 4500)},
			Fault{At: at + between(200, 1200), Kind: "split", Node: 1, Other: 1, For: between(2000, 5000), Amount: half},
			Fault{At: at + between(200, 1200), Kind: "powerout", Node: 1 + first, Other: 1, For: between(1000, 4000)},
			Fault{At: at + between(1500, 4000), Kind: "powerout", Node: 2 + first, Other: 1, For: between(1000, 4000)},
		)
	}
	return faults
}

// Inject has the faults happen at their times.
func (c *Cluster) Inject(faults []Fault) {
	for _, f := range faults {
		// Hosts are counted as far as there are any: a scenario does not depend on how many the seed gives.
		f.Node = 1 + (f.Node-1)%len(c.nodes)
		f.Other = 1 + (f.Other-1)%len(c.nodes)
		c.After(f.At-c.Now(), func() {
			c.Trace("fault  %s", f)
			c.count(f.Kind, 1)
			kinds[f.Kind].do(c, f)
		})
	}
}

func (c *Cluster) host(f Fault) *node       { return c.nodes[f.Node-1] }
func (c *Cluster) manager(f Fault) *manager { return c.managers[f.Node%len(c.managers)] }

func (c *Cluster) withDisk(f Fault, do func(*disk)) {
	if len(c.diskList) > 0 {
		do(c.diskList[f.Other%len(c.diskList)])
	}
}

// cutLinks cuts some links for a while.
func (c *Cluster) cutLinks(f Fault, hit func(a, b int) bool, network int) {
	each := func(do func(a, b model.NodeID)) {
		for _, a := range c.nodes {
			for _, b := range c.nodes {
				if a != b && hit(int(a.id), int(b.id)) {
					do(a.id, b.id)
				}
			}
		}
	}
	each(func(a, b model.NodeID) { c.CutOneWay(a, b, network) })
	c.After(f.For, func() { each(func(a, b model.NodeID) { c.Mend(a, b, network) }) })
}

func degrade(c *Cluster, f Fault) {
	p := float64(f.Amount) / 100
	c.Degrade(p, p/2, p/2)
	c.After(f.For, func() { c.Degrade(0, 0, 0) })
}

// freeze stops the agent's process, not its host: the guardian sees to the rest.
func freeze(c *Cluster, f Fault) {
	n := c.host(f)
	if !n.up || n.frozen || n.agent == nil || n.host.Frozen() {
		return
	}
	n.host.Freeze()
	a := n.agent
	c.After(f.For, func() {
		if n.agent == a && !n.frozen {
			n.host.Thaw()
		}
	})
}

// stall stops the whole host, but for its clock and its watchdog device.
func stall(c *Cluster, f Fault) {
	n := c.host(f)
	if !n.up || n.frozen {
		return
	}
	n.freeze()
	boot := n.boot
	c.After(f.For, func() {
		if n.boot == boot {
			n.thaw()
		}
	})
}

func crash(c *Cluster, f Fault, forget bool) {
	n := c.host(f)
	if n.agent == nil || n.frozen {
		return
	}
	n.host.Crash()
	if forget {
		n.host.Forget()
	}
	c.restartLater(n, min(f.For, 1500*time.Millisecond))
}

func powerOut(c *Cluster, f Fault) {
	n := c.host(f)
	if !n.up {
		return
	}
	n.host.PowerOff()
	n.powerOff() // the agent may have been dead already
	c.powerOnLater(n, f.For)
}

func exit(c *Cluster, f Fault) {
	n := c.host(f)
	if list := n.all(); n.up && !n.frozen && len(list) > 0 {
		if inst := list[f.Amount%len(list)]; inst.kind == lifecycle.KindProcess {
			n.exited(inst)
		}
	}
}

func hang(c *Cluster, f Fault) {
	c.withDisk(f, func(d *disk) {
		d.setHung(true)
		c.After(f.For, func() { d.setHung(false) })
	})
}

func cutPath(c *Cluster, f Fault) {
	c.withDisk(f, func(d *disk) {
		id := c.host(f).id
		d.cut[id] = true
		c.After(f.For, func() { delete(d.cut, id) })
	})
}

// Calm ends all that is wrong, and what operators have asked for.
func (c *Cluster) Calm() {
	c.Trace("calm")
	c.Heal()
	c.HealWitness()
	c.lostAnswers = 0
	c.api.setDown(false)
	for _, d := range c.diskList {
		d.setHung(false)
		clear(d.cut)
	}
	for _, m := range c.managers {
		m.cut, m.cache.lag, m.dieAfter = false, 0, 0
		m.thaw()
		m.start()
	}
	for _, n := range c.nodes {
		n.apiCut, n.dieAfterSave, n.cache.lag = false, false, 0
		if n.frozen {
			n.thaw()
		}
		n.host.Thaw()
		c.powerOn(n)
		c.restart(n)
		change(c.api, ref{"Node", n.name}, func(o *v1alpha1.Node) { o.Spec.Availability = "" })
	}
	for _, name := range c.groups {
		c.remake(ref{"ResourceGroup", name})
		change(c.api, ref{"ResourceGroup", name}, func(g *v1alpha1.ResourceGroup) { g.Spec.DesiredState = v1alpha1.DesiredOnline })
		change(c.api, ref{"Resource", name + "-app"}, func(r *v1alpha1.Resource) { r.Spec.PossibleOwners = nil })
	}
	c.wishAll(c.Now() + settleLimit)
}

// byTime orders faults.
func byTime(a, b Fault) int { return cmp.Compare(a.At, b.At) }
