package whatif

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/standin"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Options are what a world begins with.
type Options struct {
	// Objects are those of one cluster. They are not changed.
	Objects *snapshot.Objects
	// Now is the time of the start.
	Now time.Time
	// Live says that the objects are those of a running cluster: only members of its view are up. Otherwise nodes without a status are
	// up, and have been for a day.
	Live bool
}

// World is a cluster that things happen to. It is driven by one goroutine.
type World struct {
	// objects are copied before they are changed, so that a clone may share them.
	objects *snapshot.Objects
	now     time.Time
	begun   time.Time
	hosts   []*host // by name

	// record says who votes; nil for a cluster that was never formed. witness says that there is one that works.
	record    *quorum.Record
	witness   bool
	quorate   bool
	view      model.ViewID
	installed time.Time

	restarts map[types.NamespacedName][]time.Duration
	// given are the resources that failed for good where they are, and when they are tried again; zero for never.
	given map[types.NamespacedName]time.Time
	uids  int

	step *recorder
	// next is when something is due although nothing happens; zero for never.
	next time.Time
}

// host is a machine with its agent.
type host struct {
	name       string
	id         model.NodeID
	generation model.Generation
	up         bool
	reaches    bool // the API server
	// mine is what the agent knows of each group, by UID.
	mine map[string]*standin.Local
}

func (h *host) member() model.Member { return model.Member{ID: h.id, Generation: h.generation} }

// New returns the world of the objects, before anything has settled: Start does that.
func New(opts Options) *World {
	w := &World{
		objects: copyObjects(opts.Objects), now: opts.Now, begun: opts.Now,
		restarts: map[types.NamespacedName][]time.Duration{}, given: map[types.NamespacedName]time.Time{}, step: &recorder{},
	}
	if !opts.Live {
		keepCore(w.objects, nil)
	}
	w.objects.Sort()
	w.nameObjects()
	published, reporter := w.objects.Published()
	known := published != nil
	for _, n := range w.objects.Nodes {
		w.addHost(n, opts.Live || known)
	}
	if known {
		w.resume(published, reporter)
	} else {
		w.form(opts.Live)
	}
	for _, r := range w.objects.Resources {
		for range r.Status.Restarts {
			w.restarts[named(r)] = append(w.restarts[named(r)], 0)
		}
	}
	return w
}

// addHost makes the machine of a Node. One whose state is known from a view is up when it is a member of it; without that it is up.
func (w *World) addHost(n *v1alpha1.Node, viewKnown bool) {
	h := &host{name: n.Name, id: model.NodeID(n.Status.ID), up: true, reaches: true, mine: map[string]*standin.Local{}}
	h.generation = model.Generation(max(n.Status.Generation, 1))
	if agent := n.Status.Agent; agent != nil {
		h.generation = model.Generation(max(agent.Generation, n.Status.Generation, 1))
		for i := range agent.Groups {
			h.mine[agent.Groups[i].UID] = localOf(&agent.Groups[i], h.generation)
		}
	}
	if viewKnown {
		h.up = false
	}
	w.hosts = append(w.hosts, h)
	slices.SortFunc(w.hosts, func(a, b *host) int { return cmp.Compare(a.name, b.name) })
}

func localOf(g *v1alpha1.AgentGroup, generation model.Generation) *standin.Local {
	l := &standin.Local{
		Generation: model.Generation(g.Generation), Running: model.Epoch(g.Epoch), Released: model.Epoch(g.Released),
		Floor: model.Epoch(g.Floor), Proven: model.Epoch(g.ProvenEpoch),
	}
	if l.Generation == 0 {
		l.Generation = generation
	}
	if want := g.FailoverWanted; want != nil && want.Epoch == g.Epoch {
		l.Failing, l.FailedNetwork = want.Resource, want.Network
		if want.Time != nil {
			l.FailedAt = want.Time.Time
		}
	}
	return l
}

func (w *World) host(name string) *host {
	i, found := slices.BinarySearchFunc(w.hosts, name, func(h *host, name string) int { return cmp.Compare(h.name, name) })
	if !found {
		return nil
	}
	return w.hosts[i]
}

// nameObjects gives everything what the API server and the managers would: UIDs, finalizers, and ids to nodes in the order of their
// names.
func (w *World) nameObjects() {
	last := int32(0)
	if w.objects.Cluster != nil {
		last = w.objects.Cluster.Status.LastNodeID
	}
	for _, n := range w.objects.Nodes {
		last = max(last, n.Status.ID)
	}
	for i, n := range w.objects.Nodes {
		if n.Status.ID == 0 {
			last++
			c := n.DeepCopy()
			c.Status.ID = last
			w.objects.Nodes[i] = c
		}
	}
	for i, g := range w.objects.Groups {
		w.objects.Groups[i] = w.named(g)
	}
}

// named returns the group with a UID, and held by the manager.
func (w *World) named(g *v1alpha1.ResourceGroup) *v1alpha1.ResourceGroup {
	if g.UID != "" && slices.Contains(g.Finalizers, v1alpha1.OfflineFirstFinalizer) {
		return g
	}
	c := g.DeepCopy()
	if c.UID == "" {
		w.uids++
		c.UID = types.UID(fmt.Sprintf("what-if-%d", w.uids))
	}
	if !slices.Contains(c.Finalizers, v1alpha1.OfflineFirstFinalizer) {
		c.Finalizers = append(c.Finalizers, v1alpha1.OfflineFirstFinalizer)
	}
	return c
}

func named(r *v1alpha1.Resource) types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

func copyObjects(o *snapshot.Objects) *snapshot.Objects {
	c := *o
	c.Nodes, c.Groups, c.Resources = slices.Clone(o.Nodes), slices.Clone(o.Groups), slices.Clone(o.Resources)
	return &c
}

// Clone returns an independent copy of the world.
func (w *World) Clone() *World {
	c := *w
	c.objects, c.hosts = copyObjects(w.objects), make([]*host, len(w.hosts))
	for i, h := range w.hosts {
		n := *h
		n.mine = make(map[string]*standin.Local, len(h.mine))
		for uid, l := range h.mine {
			n.mine[uid] = new(*l)
		}
		c.hosts[i] = &n
	}
	c.restarts, c.given, c.step = maps.Clone(w.restarts), maps.Clone(w.given), &recorder{}
	return &c
}

// Now is the world's time.
func (w *World) Now() time.Time { return w.now }

// Snapshot is what policy sees of the world as it is, for Explain.
func (w *World) Snapshot() *model.Snapshot { return w.look().Snapshot }

// Explain returns all nodes as places for a group, and what the group itself waits for.
func (w *World) Explain(key model.GroupKey) ([]policy.Candidate, policy.GroupNote) {
	round := w.look()
	return policy.Explain(round.Snapshot, key, w.now), round.Plan.Groups[key]
}

// Group returns the group as it is; nil when there is none.
func (w *World) Group(key model.GroupKey) *v1alpha1.ResourceGroup {
	i := slices.IndexFunc(w.objects.Groups, func(g *v1alpha1.ResourceGroup) bool { return snapshot.Key(g) == key })
	if i < 0 {
		return nil
	}
	return w.objects.Groups[i]
}
