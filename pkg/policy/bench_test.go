package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// large returns a cluster of 64 nodes and 10,000 groups, all online, of whose nodes the first has just left the view. Half of the
// groups have preferred owners, a tenth anti-affinity classes, all of them requests.
func large(nodes, groups int) (*model.Snapshot, time.Time) {
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

// BenchmarkPlanNodeDeath is the budget of DESIGN section 8: 10 ms for 64 nodes and 10,000 groups.
func BenchmarkPlanNodeDeath(b *testing.B) {
	s, now := large(64, 10_000)
	b.ReportAllocs()
	decisions := 0
	for b.Loop() {
		decisions = len(policy.Plan(s, now).Decisions)
	}
	b.ReportMetric(float64(decisions), "decisions")
}

// BenchmarkPlanHealthy is what every change of anything costs while nothing is wrong.
func BenchmarkPlanHealthy(b *testing.B) {
	s, now := large(64, 10_000)
	s.View.Members = append(s.View.Members, model.ViewMember{Member: model.Member{ID: 1, Generation: 3}})
	b.ReportAllocs()
	for b.Loop() {
		if n := len(policy.Plan(s, now).Decisions); n != 0 {
			b.Fatalf("%d decisions about a healthy cluster", n)
		}
	}
}

// TestLargeNodeDeath checks that every group of the dead node, and no other, gets a new owner, spread over all nodes.
func TestLargeNodeDeath(t *testing.T) {
	s, now := large(64, 10_000)
	r := policy.Plan(s, now)
	count := map[string]int{}
	for _, d := range r.Decisions {
		if d.Kind != policy.Assign || d.From != "node-01" {
			t.Fatalf("unexpected decision %+v", d)
		}
		count[d.Assignment.Node]++
	}
	if want := 157; len(r.Decisions) != want {
		t.Errorf("%d decisions, want %d", len(r.Decisions), want)
	}
	if !r.NextCheck.IsZero() {
		t.Errorf("next check at %s, want never", r.NextCheck)
	}
	for node, n := range count {
		if node != "node-02" && n > 3 {
			t.Errorf("%s gets %d groups", node, n)
		}
	}
}
