package polictest

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Large returns a cluster for measurements, and the time: all groups are online, and the first of the nodes has just left the view. Half of the
// groups have preferred owners, a tenth anti-affinity classes, all of them requests.
func Large(nodes, groups int) (*model.Snapshot, time.Time) {
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	s := &model.Snapshot{Cluster: model.Cluster{Name: "large"}}
	s.View = &model.View{ID: model.ViewID{Number: 9, Coordinator: 2}, Quorate: true, Installed: now}
	for i := range nodes {
		n := model.Node{
			Name: fmt.Sprintf("node-%02d", i+1), ID: model.NodeID(i + 1), Generation: 3, Role: model.RoleActive, Availability: model.Available,
			Connected: true, GuardsAddresses: true, Capacity: map[string]int64{"cpu": 1_000_000}, JoinedAt: now.Add(-time.Hour),
		}
		s.Nodes = append(s.Nodes, n)
		if i > 0 {
			m := model.Member{ID: n.ID, Generation: n.Generation}
			s.View.Members = append(s.View.Members, model.ViewMember{Member: m, ReachesAPI: true})
		}
	}
	for i := range groups {
		owner := &s.Nodes[i%nodes]
		g := model.Group{
			Key: model.GroupKey{Namespace: "demo", Name: fmt.Sprintf("group-%05d", i)}, UID: fmt.Sprint(i), Mode: model.ModeFailover,
			DesiredOnline: true, Priority: 1000 * (1 + i%3), FailoverThreshold: 6, FailoverPeriod: 10 * time.Hour, ResourceCount: 3,
			Requests: map[string]int64{"cpu": int64(100 + i%7)}, State: model.GroupOnline, Disks: []string{fmt.Sprintf("lun-%d", i)},
			Assignment: model.Assignment{Node: owner.Name, ID: owner.ID, Generation: 3, Epoch: 5, View: model.ViewID{Number: 8, Coordinator: 1}},
			Reports:    []model.OwnerReport{{Node: owner.Name, ID: owner.ID, Generation: 3, Running: 5, Floor: 5, Proven: 5}},
			Failback:   model.Failback{Policy: model.FailbackImmediate},
		}
		if i%2 == 0 {
			g.PreferredOwners = []string{owner.Name, s.Nodes[(i+1)%nodes].Name, s.Nodes[(i+2)%nodes].Name}
		}
		if i%10 == 0 {
			g.AntiAffinityClasses = []string{fmt.Sprintf("class-%d", i/30)}
		}
		s.Groups = append(s.Groups, g)
	}
	return s, now
}

// Nowhere returns the same cluster before anything was placed: all nodes are up, and no group was ever assigned.
func Nowhere(nodes, groups int) (*model.Snapshot, time.Time) {
	s, now := Large(nodes, groups)
	s.View.Members = append(s.View.Members, model.ViewMember{Member: model.Member{ID: s.Nodes[0].ID, Generation: s.Nodes[0].Generation}, ReachesAPI: true})
	for i := range s.Groups {
		g := &s.Groups[i]
		g.Assignment, g.Reports, g.State = model.Assignment{}, nil, model.GroupOffline
	}
	return s, now
}
