package decision_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/decision/decisiontest"
	"github.com/quorate/quorate/pkg/snapshot"
)

// BenchmarkRound is what a change of one of 10,000 groups costs when everything is looked at anew.
func BenchmarkRound(b *testing.B) {
	o := decisiontest.Large(64, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		round := decision.NewRound(o, 0, decisiontest.Now)
		if n := len(round.Plan.Decisions); n != 0 {
			b.Fatalf("%d decisions about a healthy cluster: %+v", n, round.Plan.Decisions[0])
		}
		for i, g := range o.Groups {
			if after := round.Status(g, i, nil); !equality.Semantic.DeepEqual(&g.Status, after) {
				b.Fatalf("%s would be written", g.Name)
			}
		}
	}
}

// BenchmarkMemory is the same change with the last round remembered.
func BenchmarkMemory(b *testing.B) {
	o := decisiontest.Large(64, 10_000)
	m := &decision.Memory{}
	m.Keep(m.Round(o, 9, decisiontest.Now), 9)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o = decisiontest.Edit(o, func(c *snapshot.Objects) { decisiontest.Restarted(c, i%10_000, fmt.Sprint("v", i)) })
		round := m.Round(o, 9, decisiontest.Now)
		if len(round.Changed()) != 1 {
			b.Fatalf("%d groups were looked at, want 1", len(round.Changed()))
		}
		for _, at := range round.Changed() {
			round.Status(o.Groups[at], at, nil)
		}
		m.Keep(round, 9)
	}
}
