package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// report adds up what many runs have shown.
type report struct {
	mu              sync.Mutex
	runs            int
	time, nodeTime  time.Duration
	samples, online int
	counts          map[string]int
	violations      map[string]int
	began           time.Time
}

func (r *report) add(o *Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts, r.violations, r.began = map[string]int{}, map[string]int{}, time.Now()
	}
	r.runs++
	r.time += o.Time
	r.nodeTime += o.NodeTime
	r.samples += o.Samples
	r.online += o.Online
	for name, n := range o.Counts {
		r.counts[name] += n
	}
	if o.Err != nil {
		r.violations[Invariant(o.Err)]++
	}
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	took := time.Since(r.began)
	fmt.Fprintf(&b, "%d seeds, %.1f simulated hours, %.1f hours of nodes (%.0f node-minutes a second)\n", r.runs, r.time.Hours(), r.nodeTime.Hours(),
		r.nodeTime.Minutes()/max(took.Seconds(), 0.001))
	if r.samples > 0 {
		fmt.Fprintf(&b, "groups that were wanted were served for %.1f%% of the time\n", 100*float64(r.online)/float64(r.samples))
	}
	total := 0
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		total += r.counts[name]
		list = append(list, fmt.Sprintf("%s %d", name, r.counts[name]))
	}
	fmt.Fprintf(&b, "%d faults: %s\n", total, strings.Join(list, ", "))
	list = nil
	for _, name := range slices.Sorted(maps.Keys(r.violations)) {
		list = append(list, fmt.Sprintf("%s %d", name, r.violations[name]))
	}
	if len(list) == 0 {
		list = []string{"none"}
	}
	fmt.Fprintf(&b, "violations: %s", strings.Join(list, ", "))
	return b.String()
}
