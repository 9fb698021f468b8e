package polictest

import (
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy/standin"
)

// Load returns an environment with the nodes and groups of a snapshot, all nodes up, in the order of the snapshot's nodes. owners says
// on which node a group runs already, by the group's name; the others run nowhere. What the snapshot says of the past does not count.
func Load(s *model.Snapshot, owners map[string]string) *Env {
	e := NewEnv()
	w := e.World
	w.Cluster = s.Cluster
	for i := range s.Nodes {
		h := &host{Node: s.Nodes[i], mine: map[string]*standin.Local{}}
		h.ID, h.Generation = model.NodeID(i+1), 0
		h.GuardsAddresses = true
		w.begin(h)
		w.hosts = append(w.hosts, h)
	}
	w.newView()
	for i := range s.Groups {
		g := &group{Group: s.Groups[i]}
		g.UID, g.Assignment, g.Reports = g.Key.String(), model.Assignment{}, nil
		if h := w.host(owners[g.Key.Name]); h != nil {
			g.Assignment = model.Assignment{Node: h.Name, ID: h.ID, Generation: h.Generation, Epoch: 1, View: w.view, Reason: model.ReasonFirstPlacement, Time: w.Now}
			g.history = append(g.history, g.Assignment)
			*h.local(g.UID) = standin.Local{Generation: h.Generation, Running: 1, Floor: 1, Proven: 1}
		}
		w.groups = append(w.groups, g)
	}
	return e
}

// Owners are the nodes of the view that run the groups, by the groups' names; groups that run nowhere are absent.
func (w *World) Owners() map[string]string {
	owners := map[string]string{}
	for _, g := range w.groups {
		if runners := w.Runners(g); len(runners) > 0 {
			owners[g.Key.Name] = runners[0]
		}
	}
	return owners
}
