package cluster

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/test/sim"
)

const (
	clusterName = "sim"
	clusterID   = "abcdef0123456789"
	namespace   = "sim"
)

// Options shape a cluster. Everything that is not given follows from the seed.
type Options struct {
	Seed uint64
	// Trace receives a line for each thing that happens; nil for none.
	Trace io.Writer
	// APIOnly says that nothing but the API server and the managers meets faults: nothing may stop then (S8).
	APIOnly bool
	// Alternatives gives groups with an address a second one: either is enough for the process.
	Alternatives bool
	// Halves makes a cluster of two or four nodes with a witness, whose votes never change and whose nodes decide without the API server:
	// half of them is quorate by the witness's vote alone.
	Halves bool
}

// Cluster is one simulated cluster with all that belongs to it.
type Cluster struct {
	*sim.World
	opts  Options
	begin time.Time
	nodes []*node
	api   *api
	disks map[string]*disk
	// diskList is in a fixed order.
	diskList []*disk
	managers []*manager
	// leader holds the managers' Lease until leaderUntil.
	leader      *manager
	leaderUntil time.Duration
	// lostAnswers is the chance that the answer to a write is lost.
	lostAnswers float64
	check       *checker
	dirty       bool
	counts      map[string]int
	uids        int
	groups      []string
	// edited is when an operator last changed where a group may run.
	edited map[string]time.Duration
	// autonomy says that the Cluster lets its nodes decide without the API server.
	autonomy bool
	specs    map[string]*v1alpha1.ResourceGroupSpec
}

// New makes a cluster that has formed, with groups that have never run.
func New(opts Options) *Cluster {
	rng := rand.New(rand.NewPCG(opts.Seed, 0xc1a5))
	c := &Cluster{opts: opts, begin: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), disks: map[string]*disk{}, counts: map[string]int{}, edited: map[string]time.Duration{},
		specs: map[string]*v1alpha1.ResourceGroupSpec{}}
	c.check = newChecker(c)
	c.api = &api{c: c, objects: map[ref]client.Object{}}
	// A stream of its own, so that the shape of a cluster does not depend on it.
	c.autonomy = rand.New(rand.NewPCG(opts.Seed, 0xa070)).IntN(3) > 0
	ptpl := rng.IntN(5) > 0
	watchdogs := !ptpl || rng.IntN(2) == 0
	allGuard := rng.IntN(5) > 0
	witness := rng.IntN(10)
	shape := sim.Options{
		Seed: opts.Seed, Nodes: 2 + rng.IntN(4), Networks: 1 + rng.IntN(2), StaticVotes: rng.IntN(8) == 0, Drift: true, Trace: opts.Trace,
		Witness: witness < 5, WitnessOnly: witness == 0,
		Agent: func(h *sim.Host) sim.Agent {
			n := &node{c: c, host: h, id: h.ID(), name: fmt.Sprintf("n%d", h.ID()), floors: map[string]model.Epoch{}}
			n.guards, n.watchdog = allGuard || rng.IntN(2) == 0, watchdogs
			n.cache = c.api.newCache()
			c.nodes = append(c.nodes, n)
			return agentOf{n}
		},
	}
	if opts.Halves {
		c.autonomy, shape.Nodes, shape.StaticVotes, shape.Witness, shape.WitnessOnly = true, 2+2*(shape.Nodes%2), true, true, false
		shape.SlowSaves = time.Duration(opts.Seed/5%2) * slowSaves
	}
	c.World = sim.NewWorld(shape)
	c.World.SetObserver(c.check.event)
	c.makeObjects(rng, ptpl)
	for i := range 2 {
		m := &manager{c: c, name: string(rune('A' + i)), cache: c.api.newCache()}
		c.managers = append(c.managers, m)
		m.start()
	}
	for _, n := range c.nodes {
		n.cache.seen = func(o client.Object) { n.seen(o) }
		n.powerOn()
		n.startAgent()
		n.agent.step(n.host.Status())
	}
	c.check.sample()
	return c
}

func (s *api) newCache() *cache {
	c := &cache{api: s, objects: map[ref]client.Object{}, sorted: map[string][]client.Object{}}
	s.caches = append(s.caches, c)
	return c
}

// seen is the agent's informers' handler.
func (n *node) seen(o client.Object) {
	a := n.agent
	if a == nil {
		return
	}
	switch o := o.(type) {
	case *v1alpha1.ResourceGroup:
		a.dirty[o.Name] = true
	case *v1alpha1.Resource:
		a.dirty[o.Spec.GroupName] = true
	case *v1alpha1.Node:
		if o.Name == n.name {
			a.after(echoPatience, func() { a.publisher.kick(a) })
		}
		return
	default:
		return
	}
	a.wake(n.c.Between(20*time.Microsecond, 500*time.Microsecond))
}

// Close ends the threads that are left.
func (c *Cluster) Close() {
	for _, n := range c.nodes {
		if n.agent != nil {
			n.agent.end()
		}
	}
}

// wall is the wall clock of the managers and of the API server.
func (c *Cluster) wall() time.Time { return c.begin.Add(c.Now()) }

func (c *Cluster) count(what string, n int) { c.counts[what] += n }

func (c *Cluster) uid() types.UID {
	c.uids++
	return types.UID(fmt.Sprintf("u%d", c.uids))
}

func (c *Cluster) create(o client.Object) {
	o.SetUID(c.uid())
	o.SetGeneration(1)
	o.SetCreationTimestamp(metav1.NewTime(c.wall()))
	c.api.put(o)
}

func (c *Cluster) makeObjects(rng *rand.Rand, ptpl bool) {
	c.create(&v1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: clusterName},
		Spec: v1alpha1.ClusterSpec{
			Autonomy: map[bool]v1alpha1.AutonomyPolicy{false: v1alpha1.AutonomyDisabled, true: v1alpha1.AutonomyEnabled}[c.autonomy],
			Networks: []v1alpha1.ClusterNetwork{{Name: "lan", Role: v1alpha1.NetworkInternalAndClient, CIDRs: []string{"10.0.0.0/16"}}},
			AllowedResourceTypes: []v1alpha1.AllowedResourceTypes{{
				Name: "all", Namespaces: []string{"*"}, Types: []string{"*"}, MountRoots: []string{"/srv"}, Devices: []string{"/array/*"},
			}},
		},
		Status: v1alpha1.ClusterStatus{
			ClusterID: clusterID, Formation: &v1alpha1.Formation{Completed: true}, LastNodeID: int32(len(c.nodes)),
		},
	})
	c.create(&v1alpha1.QuorumConfig{ObjectMeta: metav1.ObjectMeta{Name: clusterName}, Spec: v1alpha1.QuorumConfigSpec{ClusterName: clusterName}})
	for _, n := range c.nodes {
		c.create(&v1alpha1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.name},
			Spec: v1alpha1.NodeSpec{
				ClusterName: clusterName, Addresses: []v1alpha1.NodeAddress{{Network: "lan", Address: fmt.Sprintf("10.0.0.%d", n.id)}},
			},
			Status: v1alpha1.NodeStatus{ID: int32(n.id)},
		})
	}
	for i := range 1 + rng.IntN(4) {
		c.makeGroup(rng, i, ptpl)
	}
	// A journal keeps one assignment of a group, so it does not know members yet: with autonomy there is no such group.
	if rng.IntN(2) == 0 && !c.autonomy {
		c.makeBalanced()
	}
}

// shapes are what groups are made of: disks, whether there is an address, and whether the process uses them.
var shapes = []struct {
	disks   int
	address bool
	uses    bool
}{{1, true, true}, {0, true, true}, {0, false, false}, {2, false, true}, {1, false, false}}

func (c *Cluster) makeGroup(rng *rand.Rand, i int, ptpl bool) {
	name := fmt.Sprintf("g%d", i)
	c.groups = append(c.groups, name)
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	g.Spec = v1alpha1.ResourceGroupSpec{ClusterName: clusterName, Failover: v1alpha1.Failover{Threshold: new(int32(1000))}}
	if rng.IntN(2) == 0 {
		g.Spec.PreferredOwners = []string{c.nodes[rng.IntN(len(c.nodes))].name}
		g.Spec.Failback.Policy = v1alpha1.FailbackPolicy([]string{"Never", "Immediate"}[rng.IntN(2)])
	}
	c.create(g)
	c.specs[name] = g.Spec.DeepCopy()
	shape := shapes[rng.IntN(len(shapes))]
	var used []string
	for d := range shape.disks {
		dev := &disk{
			c: c, device: fmt.Sprintf("/array/%s-%d", name, d), enforced: rng.IntN(8) > 0, ptpl: ptpl,
			attention: map[model.NodeID]bool{}, cut: map[model.NodeID]bool{},
		}
		c.disks[dev.device], c.diskList = dev, append(c.diskList, dev)
		used = append(used, c.makeResource(name, fmt.Sprintf("disk%d", d), v1alpha1.TypeLoopbackDisk, v1alpha1.ResourceParameters{
			LoopbackDisk: &v1alpha1.LoopbackDisk{File: dev.device, Size: new(resource.MustParse("64Mi")), MountPath: "/srv/" + name + fmt.Sprint(d)},
		}))
	}
	if shape.address {
		ip := c.makeAddress(name, "ip", fmt.Sprintf("10.0.1.%d/16", i+1))
		if c.opts.Alternatives {
			ip += alternative + c.makeAddress(name, "ip2", fmt.Sprintf("10.0.2.%d/16", i+1))
		}
		used = append(used, ip)
	}
	if !shape.uses {
		used = nil
	}
	c.makeResource(name, "app", v1alpha1.TypeGenericApplication, v1alpha1.ResourceParameters{
		GenericApplication: &v1alpha1.GenericApplication{Command: []string{"/bin/app"}},
	}, used...)
}

func (c *Cluster) makeAddress(group, name, address string) string {
	return c.makeResource(group, name, v1alpha1.TypeIPAddress, v1alpha1.ResourceParameters{IPAddress: &v1alpha1.IPAddress{Network: "lan", Address: address}})
}

// alternative stands between the names of a dependency of which one is enough.
const alternative = "|"

func (c *Cluster) makeResource(group, name string, t v1alpha1.ResourceType, p v1alpha1.ResourceParameters, on ...string) string {
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group + "-" + name}}
	r.Spec = v1alpha1.ResourceSpec{
		GroupName: group, Type: t, ResourceParameters: p, RetryPeriodOnFailure: &metav1.Duration{Duration: 3 * time.Second},
	}
	for _, d := range on {
		if names := strings.Split(d, alternative); len(names) > 1 {
			r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{AnyOf: names})
			continue
		}
		r.Spec.DependsOn = append(r.Spec.DependsOn, v1alpha1.Dependency{Name: d})
	}
	c.create(r)
	return r.Name
}

// restart starts the agent's process; one whose life the guardian has burnt begins anew.
func (c *Cluster) restart(n *node) {
	if !n.up || n.host.On() {
		return
	}
	if n.lock.Burns(n.lease.Generation) {
		n.host.Forget()
	}
	n.host.Restart()
}

func (c *Cluster) restartLater(n *node, d time.Duration) {
	boot := n.boot
	c.After(d, func() {
		if n.boot == boot {
			c.restart(n)
		}
	})
}

func (c *Cluster) powerOn(n *node) {
	if n.up {
		return
	}
	n.powerOn()
	n.host.PowerOn()
}

func (c *Cluster) powerOnLater(n *node, d time.Duration) {
	boot := n.boot
	c.After(d, func() {
		if n.boot == boot {
			c.powerOn(n)
		}
	})
}
