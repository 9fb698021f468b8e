package pacemaker

import (
	"fmt"

	"github.com/quorate/quorate/pkg/model"
)

// Same writes a snapshot as a cluster of Pacemaker's, and the state that it is in: three primitives a group, preferred owners as location
// scores, classes as pairs that are to be apart, requests as utilization.
func Same(s *model.Snapshot) (*Cluster, State) {
	c := &Cluster{Stickiness: 1000, Strategy: "balanced"}
	state := State{Owners: map[string]string{}, Down: map[string]bool{}}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		c.Nodes = append(c.Nodes, Node{Name: n.Name, Capacity: int(n.Capacity["cpu"])})
		state.Down[n.Name] = !s.View.Has(n.ID)
	}
	last := map[string]string{}
	for i := range s.Groups {
		g := &s.Groups[i]
		r := Resource{Name: g.Key.Name, Members: 3, Scores: map[string]int{}, Requests: int(g.Requests["cpu"])}
		for j, owner := range g.PreferredOwners {
			r.Scores[owner] = 300 - 100*j
		}
		for _, class := range g.AntiAffinityClasses {
			if other := last[class]; other != "" {
				c.Apart = append(c.Apart, Apart{Pair{other, r.Name}, -Infinity})
			}
			last[class] = r.Name
		}
		if g.Assignment.Node != "" {
			state.Owners[r.Name] = g.Assignment.Node
		}
		c.Resources = append(c.Resources, r)
	}
	return c, state
}

// Size says how large the cluster is.
func (c *Cluster) Size() string {
	return fmt.Sprintf("%d nodes x %d groups", len(c.Nodes), len(c.Resources))
}
