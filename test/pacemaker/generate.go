package pacemaker

import (
	"fmt"
	"math/rand/v2"
)

// Random makes a small cluster of things that both sides have: nodes (some in standby), primitives and groups, location scores, stickiness,
// priorities, order, colocation, anti-colocation, utilization. The same seed makes the same cluster.
func Random(seed uint64) *Cluster {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	c := &Cluster{Stickiness: pick(rng, 0, 0, 1, 100, 1000, Infinity)}
	for i := range 2 + rng.IntN(5) {
		c.Nodes = append(c.Nodes, Node{Name: fmt.Sprintf("node%d", i+1)})
	}
	if len(c.Nodes) > 2 && rng.IntN(3) == 0 {
		c.Nodes[rng.IntN(len(c.Nodes))].Standby = true
	}
	limited := rng.IntN(4) == 0
	if limited {
		c.Strategy = "utilization"
		for i := range c.Nodes {
			c.Nodes[i].Capacity = 4 + rng.IntN(8)
		}
	}
	for i := range 2 + rng.IntN(9) {
		r := Resource{Name: fmt.Sprintf("r%02d", i+1), Members: pick(rng, 1, 1, 2, 3), Scores: c.scores(rng), Rules: rng.IntN(4) == 0}
		if rng.IntN(4) == 0 {
			r.Priority = pick(rng, -10, 5, 10)
		}
		r.Stopped = rng.IntN(20) == 0
		if limited {
			r.Requests = 1 + rng.IntN(4)
		}
		c.Resources = append(c.Resources, r)
	}
	c.relate(rng)
	return c
}

func pick(rng *rand.Rand, from ...int) int { return from[rng.IntN(len(from))] }

// scores are none, a list of preferred nodes, some forbidden ones, or both.
func (c *Cluster) scores(rng *rand.Rand) map[string]int {
	scores := map[string]int{}
	order := rng.Perm(len(c.Nodes))
	switch rng.IntN(5) {
	case 0, 1:
		for i, at := range order[:1+rng.IntN(len(order))] {
			scores[c.Nodes[at].Name] = 500 - 100*i
		}
	case 2:
		scores[c.Nodes[order[0]].Name] = Infinity
	case 3:
		scores[c.Nodes[order[0]].Name] = pick(rng, -Infinity, -50)
		scores[c.Nodes[order[1]].Name] = 100
	}
	return scores
}

// relate adds pairs: to be apart, to be together, one after the other. A resource is in one of them at most, so that nothing contradicts
// itself; a chain of orders follows the numbers, so that it is no circle.
func (c *Cluster) relate(rng *rand.Rand) {
	free := rng.Perm(len(c.Resources))
	apart := pick(rng, -Infinity, -Infinity, -200)
	for len(free) >= 2 {
		a, b := c.Resources[free[0]].Name, c.Resources[free[1]].Name
		free = free[2:]
		switch rng.IntN(5) {
		case 0:
			c.Apart = append(c.Apart, Apart{Pair{a, b}, apart})
		case 1:
			c.Together = append(c.Together, Pair{a, b})
			c.Resource(a).plain()
			c.Resource(b).plain()
			if rng.IntN(2) == 0 {
				c.Orders = append(c.Orders, Pair{a, b})
			}
		case 2:
			c.Orders = append(c.Orders, Pair{a, b})
		}
	}
}

// plain takes away what Pacemaker itself does not treat alike in all cases of two resources that are tied together: a member that is to be
// stopped, and a finite score below zero, which the other's scores make good when a resource is first placed and not always later.
func (r *Resource) plain() {
	r.Stopped = false
	for node, s := range r.Scores {
		if s < 0 && s > -Infinity {
			r.Scores[node] = -Infinity
		}
	}
}

// Resource returns the resource of a name, or nil.
func (c *Cluster) Resource(name string) *Resource {
	for i := range c.Resources {
		if c.Resources[i].Name == name {
			return &c.Resources[i]
		}
	}
	return nil
}
