package membership

import (
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// cluster is a handful of machines on a perfect network with one clock: what is sent arrives within the same moment, unless the
// link is cut. Loss, drift and crashes are test/sim's.
type cluster struct {
	t        testing.TB
	now      time.Duration
	machines map[model.NodeID]*Machine
	order    []model.NodeID
	cut      map[[2]model.NodeID]bool
	queue    []Message
	events   map[model.NodeID][]Event
	sent     int
}

func testConfig(self model.NodeID, nodes int) Config {
	cfg := Config{Self: self, Interval: 250 * time.Millisecond, Threshold: 4, DynamicVotes: true}
	for id := range nodes {
		cfg.Nodes = append(cfg.Nodes, NodeConfig{ID: model.NodeID(id + 1), Votes: 1})
	}
	return cfg
}

// newCluster starts machines 1..nodes. They have no record yet.
func newCluster(t testing.TB, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t, now: time.Second, machines: map[model.NodeID]*Machine{}, cut: map[[2]model.NodeID]bool{}, events: map[model.NodeID][]Event{}}
	for i := range nodes {
		id := model.NodeID(i + 1)
		m, err := New(testConfig(id, nodes), nil, nil, c.now)
		if err != nil {
			t.Fatal(err)
		}
		c.machines[id], c.order = m, append(c.order, id)
	}
	return c
}

// form gives all the first record and lets them settle.
func (c *cluster) form() *cluster {
	c.t.Helper()
	for _, id := range c.order {
		if err := c.machines[id].Form(*quorum.NewRecord(1, 0, c.order), c.now); err != nil {
			c.t.Fatal(err)
		}
		c.machines[id].SetReady(true, c.now)
	}
	c.run(2 * time.Second)
	return c
}

// collect takes what a machine asks for.
func (c *cluster) collect(id model.NodeID) {
	rd := c.machines[id].Ready()
	c.queue = append(c.queue, rd.Messages...)
	c.events[id] = append(c.events[id], rd.Events...)
	c.sent += len(rd.Messages)
}

// exchange delivers until nothing is under way.
func (c *cluster) exchange() {
	for _, id := range c.order {
		c.collect(id)
	}
	for len(c.queue) > 0 {
		msg := c.queue[0]
		c.queue = c.queue[1:]
		for _, id := range c.order {
			if id == msg.From || c.cut[[2]model.NodeID{msg.From, id}] {
				continue
			}
			if err := c.machines[id].Receive(c.now, &msg); err != nil {
				c.t.Fatalf("receive on %d: %v", id, err)
			}
			c.collect(id)
		}
	}
}

// run lets time pass, from deadline to deadline.
func (c *cluster) run(d time.Duration) {
	end := c.now + d
	for {
		c.exchange()
		next := end
		for _, id := range c.order {
			next = min(next, max(c.machines[id].Status(c.now).NextDeadline, c.now+time.Microsecond))
		}
		c.now = next
		if next >= end {
			return
		}
		for _, id := range c.order {
			c.machines[id].Tick(c.now)
		}
	}
}

// isolate cuts a node off, both ways.
func (c *cluster) isolate(id model.NodeID, cut bool) {
	for _, other := range c.order {
		c.cut[[2]model.NodeID{id, other}] = cut
		c.cut[[2]model.NodeID{other, id}] = cut
	}
}

func (c *cluster) status(id model.NodeID) Status { return c.machines[id].Status(c.now) }

// last returns the last event of a kind on a node.
func last[E Event](c *cluster, id model.NodeID) (E, bool) {
	for i := len(c.events[id]) - 1; i >= 0; i-- {
		if e, ok := c.events[id][i].(E); ok {
			return e, true
		}
	}
	var none E
	return none, false
}
