package cluster

import (
	"context"
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/cluster"
	"github.com/quorate/quorate/controllers/inventory"
	nodes "github.com/quorate/quorate/controllers/node"
	"github.com/quorate/quorate/controllers/quorumconfig"
	"github.com/quorate/quorate/controllers/resource"
	"github.com/quorate/quorate/controllers/resourcegroup"
)

// electionPatience is how long a leader that does not renew is waited for.
const electionPatience = 2 * time.Second

// manager is one replica: the real controllers over a lagging cache.
type manager struct {
	c           *Cluster
	name        string
	alive, lead bool
	// cut says that it does not reach the server, frozen that its process stands still.
	cut, frozen bool
	// dieAfter is the number of writes after which it dies; 0 for never.
	dieAfter int
	life     int
	cache    *cache
	signs    *inventory.Signs
	started  time.Duration
	groups   reconcile.Reconciler
	others   []reconcile.Reconciler
	// due says that a round of the group controller, or of those that show things, is to come.
	dueGroups, dueOthers bool
	failures             int
	again                map[reconcile.Reconciler]time.Duration
	missed               []func()
}

// worldClock is the clock of the managers, who do not share it with any host.
type worldClock struct {
	clock.WithTicker
	c *Cluster
}

func (w worldClock) Now() time.Time                  { return w.c.wall() }
func (w worldClock) Since(t time.Time) time.Duration { return w.c.wall().Sub(t) }

// Await implements inventory.Liveness: instead of waiting it fails, and the round comes again.
func (m *manager) Await(_ context.Context, name string, viewKnown bool) error {
	if viewKnown && !m.signs.Fresh(name) && m.c.Now()-m.started < 3*time.Second {
		return errors.New("no sign of life of a reporter yet")
	}
	return nil
}

// Fresh implements inventory.Liveness.
func (m *manager) Fresh(name string) bool { return m.signs.Fresh(name) }

// Reporter implements inventory.Liveness.
func (m *manager) Reporter(name string) string { return m.signs.Reporter(name) }

// Recall implements inventory.Liveness.
func (m *manager) Recall(n *v1alpha1.Node, groups map[string]bool) *v1alpha1.Node {
	if !enforced(ruleRecall) {
		return n
	}
	return m.signs.Recall(n, groups)
}

// HighestView implements inventory.Liveness.
func (m *manager) HighestView(name string) uint64 { return m.signs.HighestView(name) }

func (m *manager) start() {
	if m.alive {
		return
	}
	m.alive, m.lead, m.started = true, false, m.c.Now()
	m.life++
	m.dueGroups, m.dueOthers, m.failures, m.missed = false, false, 0, nil
	m.again = map[reconcile.Reconciler]time.Duration{}
	now := worldClock{c: m.c}
	m.signs = inventory.NewSigns(v1alpha1.SystemNamespace, now)
	api := &apiClient{m: m}
	reader := &inventory.Reader{Client: api, Liveness: m}
	m.groups = &resourcegroup.Reconciler{Client: api, Inventory: reader, Recorder: discard{}, Clock: now, ParallelWrites: 1}
	m.others = []reconcile.Reconciler{
		&nodes.Reconciler{Client: api, Inventory: reader, Recorder: discard{}, Clock: now},
		&cluster.Reconciler{Client: api, Inventory: reader, Recorder: discard{}, Clock: now, NewID: func() string { return clusterID }},
		&quorumconfig.Reconciler{Client: api, Inventory: reader, Clock: now},
		&resource.Reconciler{Client: api, Inventory: reader, Recorder: discard{}, Clock: now, ParallelWrites: 1},
	}
	m.signs.Subscribe(func(string) { m.enqueue() })
	m.cache.seen = m.seen
	m.cache.objects = map[ref]client.Object{}
	m.elect()
}

func (m *manager) die() {
	m.alive, m.lead = false, false
	m.life++
	m.cache.cut()
	if m.c.leader == m {
		m.c.leader = nil // its Lease runs out: electionPatience
		m.c.leaderUntil = m.c.Now() + m.c.Between(0, electionPatience)
	}
}

// later runs f in this life, when the process does not stand still.
func (m *manager) later(d time.Duration, f func()) {
	life := m.life
	m.c.After(d, func() {
		switch {
		case m.life != life:
		case m.frozen:
			m.missed = append(m.missed, f)
		default:
			f()
		}
	})
}

func (m *manager) thaw() {
	m.frozen = false
	missed := m.missed
	m.missed = nil
	for _, f := range missed {
		m.later(0, f)
	}
}

// elect is leader election: whoever reaches the server renews, and takes over when nobody has for a while. A leader that is cut off or
// stood still believes in itself a little longer, as a real one does between two looks.
func (m *manager) elect() {
	c := m.c
	reached := !c.api.down && !m.cut
	if reached && !m.cache.connected {
		m.cache.relist()
	}
	switch {
	case !reached && m.lead:
		m.lead = false
	case m.forgetful() && m.lead:
		m.lead = false
	case reached && !m.forgetful() && (c.leader == m || c.Now() >= c.leaderUntil):
		if !m.lead {
			c.Trace("mgr %s leads", m.name)
			m.lead = true
			m.enqueue()
		}
		c.leader, c.leaderUntil = m, c.Now()+electionPatience
	case reached && c.leader != m:
		m.lead = false
	}
	m.later(c.Between(300*time.Millisecond, 500*time.Millisecond), m.elect)
}

// forgetful says that the manager was started after the API server was set back and before the agents could write their reports anew: it
// cannot know of what the backup does not. The simulation leaves that out, see docs/testing.md.
func (m *manager) forgetful() bool {
	return m.c.api.restoredAt > 0 && m.started > m.c.api.restoredAt && m.c.Now() < m.c.api.settledAt()
}

// seen is the informers' handler.
func (m *manager) seen(o client.Object) {
	switch o := o.(type) {
	case *coordinationv1.Lease:
		m.signs.ObserveLease(o)
		return
	case *v1alpha1.Node:
		m.signs.ObserveNode(o)
	}
	m.enqueue()
}

func (m *manager) enqueue() {
	if !m.lead {
		return
	}
	m.roundOfGroups(m.c.Between(100*time.Microsecond, time.Millisecond))
	if !m.dueOthers {
		m.dueOthers = true
		m.later(50*time.Millisecond, func() {
			m.dueOthers = false
			for _, r := range m.others {
				m.reconcile(r)
			}
		})
	}
}

func (m *manager) roundOfGroups(d time.Duration) {
	if m.dueGroups {
		return
	}
	m.dueGroups = true
	m.later(d, func() {
		m.dueGroups = false
		m.reconcile(m.groups)
	})
}

// reconcile calls a controller as controller-runtime does.
func (m *manager) reconcile(r reconcile.Reconciler) {
	if !m.alive || !m.lead {
		return
	}
	request := reconcile.Request{}
	request.Name = clusterName
	life := m.life
	result, err := r.Reconcile(context.Background(), request)
	if m.life != life {
		return
	}
	again := result.RequeueAfter
	if err != nil {
		m.failures++
		again = min(time.Second, 5*time.Millisecond<<min(m.failures, 8))
		m.c.Trace("mgr %s: %v", m.name, err)
	} else {
		m.failures = 0
	}
	if again > 0 {
		m.requeue(r, again)
	}
}

// requeue has the controller called again after a while, or earlier if that is due already.
func (m *manager) requeue(r reconcile.Reconciler, after time.Duration) {
	at := m.c.Now() + after
	if due, ok := m.again[r]; ok && due <= at && due > m.c.Now() {
		return
	}
	m.again[r] = at
	m.later(after, func() {
		if m.again[r] == at {
			delete(m.again, r)
			m.reconcile(r)
		}
	})
}
