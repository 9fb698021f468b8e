package pacemaker

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	cibs  = flag.Int("pacemaker.cibs", 40, "random CIBs to compare; QUORATE_TEST_FULL=1 makes it 1000")
	first = flag.Uint64("pacemaker.first", 1, "seed of the first one")
	trace = flag.Bool("pacemaker.trace", false, "print every difference")
)

// count is how a comparison of many placements came out.
type count struct {
	same    int
	byClass map[string]int
	example map[string]string
}

// TestAgreesWithPacemaker has crm_simulate and Quorate place the same random clusters: from nothing, and after the death of each node from
// where Pacemaker had put everything. Each unit is in the same place, or one of the classes says why not. Both placements keep the hard
// rules of the CIB.
func TestAgreesWithPacemaker(t *testing.T) {
	if _, err := Find(); errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	n := *cibs
	if os.Getenv("QUORATE_TEST_FULL") != "" {
		n = max(n, 1000)
	}
	total := &count{byClass: map[string]int{}, example: map[string]string{}}
	for seed := range uint64(n) {
		if compareCluster(t, *first+seed, total); t.Failed() {
			return
		}
	}
	all := total.same
	for _, c := range classes {
		all += total.byClass[c.name]
		t.Logf("%-16s %5d  e.g. %s", c.name, total.byClass[c.name], total.example[c.name])
		if total.byClass[c.name] == 0 && n >= 1000 {
			t.Errorf("no difference is of the class %s: drop it", c.name)
		}
	}
	t.Logf("%-16s %5d of %d", "the same", total.same, all)
	if total.same*100 < all*80 {
		t.Errorf("only %d of %d placements agree: the classes explain too much away", total.same, all)
	}
}

func compareCluster(t *testing.T, seed uint64, total *count) {
	t.Helper()
	c := Random(seed)
	start := c.compare(t, seed, State{}, "", total)
	for _, n := range c.Nodes {
		if !t.Failed() {
			c.compare(t, seed, State{Owners: start, Down: map[string]bool{n.Name: true}}, n.Name, total)
		}
	}
}

// compare places the cluster in a state with both, and returns Pacemaker's placement.
func (c *Cluster) compare(t *testing.T, seed uint64, state State, down string, total *count) map[string]string {
	t.Helper()
	where := fmt.Sprintf("seed %d, first placement", seed)
	if down != "" {
		where = fmt.Sprintf("seed %d, %s dies", seed, down)
	}
	theirs, err := c.Place(t.Context(), t.TempDir(), state)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	ours, err := c.ours(state)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for side, owners := range map[string]map[string]string{"Pacemaker": theirs, "Quorate": ours} {
		for _, v := range c.violations(state.Owners, owners, down) {
			t.Errorf("%s: %s breaks a rule: %s", where, side, v)
		}
	}
	for _, unit := range slices.Sorted(maps.Keys(c.units())) {
		o := &outcome{c: c, unit: unit, before: state.Owners[unit], down: down, theirs: theirs[unit], ours: ours[unit]}
		o.all.before, o.all.theirs, o.all.ours = state.Owners, theirs, ours
		if o.theirs == o.ours {
			total.same++
			continue
		}
		text := fmt.Sprintf("%s: %s is on %q by Pacemaker, on %q by Quorate", where, unit, o.theirs, o.ours)
		i := slices.IndexFunc(classes, func(k class) bool { return k.holds(o) })
		if i < 0 {
			t.Errorf("%s: no class says why\n%s", text, c.CIB(state))
			continue
		}
		total.byClass[classes[i].name]++
		if total.example[classes[i].name] == "" {
			total.example[classes[i].name] = text
		}
		if *trace {
			t.Logf("%s: %s", classes[i].name, text)
		}
	}
	return theirs
}

func (c *Cluster) units() map[string]bool {
	units := map[string]bool{}
	for _, g := range c.groups() {
		units[g] = true
	}
	return units
}

// TestClassesAreDocumented: the table in the document has exactly the classes of the test.
func TestClassesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/import-pacemaker.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Where placements differ")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, c := range classes {
		if !strings.Contains(table, "| `"+c.name+"` |") {
			t.Errorf("docs/import-pacemaker.md does not tell of %s", c.name)
		}
	}
	if rows := strings.Count(table, "\n| `"); rows != len(classes) {
		t.Errorf("docs/import-pacemaker.md has %d classes, the test %d", rows, len(classes))
	}
}
