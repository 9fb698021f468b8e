package cluster

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Run is one whole run: the cluster of a seed, faults, then calm, then everything online.
type Run struct {
	Seed    uint64
	APIOnly bool
	// Alternatives is as in Options.
	Alternatives bool
	// Halves is as in Options.
	Halves bool
	Faults []Fault
	Trace  io.Writer
}

// Outcome is what a run has shown.
type Outcome struct {
	// Err is the first violation; nil when there was none.
	Err error
	// Time is the simulated time, NodeTime that of all hosts together.
	Time, NodeTime time.Duration
	// Counts has the faults by kind, and what they led to.
	Counts map[string]int
	// Samples are the looks at groups that should be online, Online those that found one so.
	Samples, Online int
	Writes          int
}

const (
	stormLength = 15 * time.Second
	// settleLimit is the budget of L1 after the faults: restarts, proofs that are waited for, and retries.
	settleLimit = 45 * time.Second
	// slowSaves is how long something takes to be on the witness of some clusters: less than the witness's vote lasts.
	slowSaves = 350 * time.Millisecond
)

// SeedRun is the run of a seed. Every eighth is a storm of the API alone, every third has alternatives among the dependencies, every
// fifth is a cluster of which a half and the witness are quorate.
func SeedRun(seed uint64) Run {
	if seed%5 == 2 && seed%8 != 0 {
		return HalvesRun(seed)
	}
	apiOnly := seed%8 == 0
	return Run{Seed: seed, APIOnly: apiOnly, Alternatives: seed%3 == 0, Faults: Storm(seed, apiOnly, stormLength)}
}

// HalvesRun is the run of a seed in a cluster of which a half and the witness are quorate, with halves that die one after the other while
// the API server is gone.
func HalvesRun(seed uint64) Run {
	faults := append(Storm(seed, false, stormLength), successions(seed, stormLength)...)
	slices.SortStableFunc(faults, byTime)
	return Run{Seed: seed, Alternatives: seed%3 == 0, Halves: true, Faults: faults}
}

// Do carries the run out.
func (r Run) Do() Outcome {
	c := New(Options{Seed: r.Seed, Trace: r.Trace, APIOnly: false, Alternatives: r.Alternatives, Halves: r.Halves})
	defer c.Close()
	c.Inject(r.Faults)
	err := r.drive(c)
	return Outcome{
		Err: err, Time: c.Now(), NodeTime: c.Now() * time.Duration(len(c.nodes)), Counts: c.counts,
		Samples: c.check.samples, Online: c.check.online, Writes: c.api.writes,
	}
}

func (r Run) drive(c *Cluster) error {
	end := 8 * time.Second
	for _, f := range r.Faults {
		end = max(end, f.At)
	}
	if r.APIOnly {
		if err := c.settle("before the faults", 8*time.Second); err != nil {
			return err
		}
		c.opts.APIOnly = true
	}
	if err := c.Run(end + 500*time.Millisecond); err != nil {
		return err
	}
	c.Calm()
	if err := c.settle("after the faults", settleLimit); err != nil {
		return err
	}
	// A failback may be due only now; then all is well again.
	c.opts.APIOnly = false
	if err := c.Run(c.Now() + 3*time.Second); err != nil {
		return err
	}
	return c.settle("of quiet", 5*time.Second)
}

// settle waits for L1.
func (c *Cluster) settle(when string, limit time.Duration) error {
	missing := ""
	looked := time.Duration(-1)
	took, ok := c.RunUntil(limit, func() bool {
		if c.Now()-looked < 20*time.Millisecond && looked >= 0 {
			return false
		}
		looked = c.Now()
		missing = c.check.settled()
		return missing == ""
	})
	switch {
	case c.Err() != nil:
		return c.Err()
	case !ok:
		return fmt.Errorf("at %v: L1: %v %s: %s\n%s", c.Now(), took, when, missing, c.describe())
	}
	return nil
}

// describe tells how each host stands.
func (c *Cluster) describe() string {
	text := c.Describe()
	for _, name := range c.groups {
		if g := c.api.group(name); g != nil {
			text += fmt.Sprintf("%s: preferred %v wanted %s deleting %t status %s %v\n", name, g.Spec.PreferredOwners, g.Spec.DesiredState,
				g.DeletionTimestamp != nil, g.Status.State, g.Status.Conditions)
		}
	}
	for _, n := range c.nodes {
		text += fmt.Sprintf("%s: up %t cached %t", n.name, n.up, n.cache.connected)
		if a := n.agent; a != nil {
			text += fmt.Sprintf(" life %d busy %t passing %t reaches %t dirty %v", a.begun, a.busy, a.passing, a.reaches, a.dirty)
			text += fmt.Sprintf(" journal [%s]", a.journal.machine)
			for _, g := range a.sorted() {
				text += fmt.Sprintf("\n  %s: run %t epoch %d %s", g.name, g.desired.Run, g.desired.Epoch, g.report.State)
				for _, r := range g.report.Resources {
					text += fmt.Sprintf("\n    %s %s %s %s", r.Name, r.State, r.Reason, r.Message)
				}
			}
		}
		text += "\n"
	}
	return text
}
