package policy_test

import (
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/polictest"
)

// BenchmarkPlanNodeDeath is the budget of DESIGN section 8: 10 ms for 64 nodes and 10,000 groups.
func BenchmarkPlanNodeDeath(b *testing.B) {
	s, now := polictest.Large(64, 10_000)
	b.ReportAllocs()
	decisions := 0
	for b.Loop() {
		decisions = len(policy.Plan(s, now).Decisions)
	}
	b.ReportMetric(float64(decisions), "decisions")
}

// BenchmarkPlanNowhere is a full placement from nothing: 150 ms for 64 nodes and 10,000 groups.
func BenchmarkPlanNowhere(b *testing.B) {
	s, now := polictest.Nowhere(64, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(policy.Plan(s, now).Decisions); n != 10_000 {
			b.Fatalf("%d decisions, want one for each group", n)
		}
	}
}

// BenchmarkPlanHealthy is what every change of anything costs while nothing is wrong.
func BenchmarkPlanHealthy(b *testing.B) {
	s, now := polictest.Large(64, 10_000)
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
	s, now := polictest.Large(64, 10_000)
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
