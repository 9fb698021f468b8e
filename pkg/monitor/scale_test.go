package monitor

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// TestThousandGroups is the monitor's share of the budget for a node that takes over a thousand groups: 5 s for everything.
func TestThousandGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	b := newBed(t)
	const groups = 1000
	started := time.Now()
	for i := range groups {
		d := desired(1, true)
		d.Group = resourcetype.Identity{UID: fmt.Sprintf("group-%d", i), Namespace: "demo", Name: fmt.Sprintf("group-%d", i)}
		for j := range d.Resources {
			d.Resources[j].Resource.UID = fmt.Sprintf("%s-%d", d.Resources[j].Resource.UID, i)
			d.Resources[j].Resource.Name = fmt.Sprintf("%s-%d", d.Resources[j].Resource.Name, i)
			for k := range d.Resources[j].DependsOn {
				d.Resources[j].DependsOn[k].AnyOf[0] = fmt.Sprintf("%s-%d", d.Resources[j].DependsOn[k].AnyOf[0], i)
			}
			d.Resources[j].Timing = lifecycle.Timing{}.WithDefaults() // on a busy machine the other tests' deadlines pass
		}
		b.apply(d)
	}
	applied := time.Since(started)
	for {
		n := 0
		for _, r := range b.m.Reports() {
			if isOnline(r) {
				n++
			}
		}
		if n == groups {
			break
		}
		if time.Since(started) > 60*time.Second {
			for _, r := range b.m.Reports() {
				if !isOnline(r) {
					t.Fatalf("%d of %d groups are online; one of the others: %+v", n, groups, r)
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	// The bench measures the budget; a test on a busy machine only finds what is out of all proportion.
	t.Logf("applied in %s, online in %s", applied, time.Since(started))
}
