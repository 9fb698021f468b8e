// Package bench times what clients feel when a host dies, a group moves or a process is killed, on the lab's simulated hosts. The
// figures of other systems stand beside ours; they were taken in the same way (a new connection every 5 ms) on a machine of the
// same size, but not in the same run, so compare orders of magnitude.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// Options of a benchmark.
type Options struct {
	// Repetitions of each measurement.
	Repetitions int
	// Samples is the directory of manifests (config/samples/demo).
	Samples string
	// Out is where the table goes, Progress where the progress goes.
	Out, Progress io.Writer
	// Up are the options of the lab.
	Up lab.Options
}

const (
	recovery = time.Minute
	// settle is how long a measurement is left alone: looking at the cluster in that time would cost what is measured.
	settle  = 2500 * time.Millisecond
	shopURL = "http://10.77.2.101/"
	newsURL = "http://10.77.2.102/"
)

// row is one line of the table.
type row struct {
	what    string
	samples []time.Duration
	budget  string
	peer    string
}

// bench is one run.
type bench struct {
	Options
	lab     *lab.Lab
	cluster *observe.Cluster
	rows    []*row
}

// Failover brings a lab up, measures, prints the table and takes the lab down.
func Failover(ctx context.Context, options Options) (err error) {
	options.Up.Hosts, options.Up.Manifests = 3, options.Samples
	b := &bench{Options: options}
	b.lab, err = lab.Up(ctx, options.Up, func(p lab.Progress) { fmt.Fprintln(b.Progress, p.Message) })
	if b.lab != nil {
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			err = errors.Join(err, b.lab.Down(ctx))
		}()
	}
	if err != nil {
		return err
	}
	if b.cluster, err = observe.New(b.lab.Kubeconfig(), "demo"); err != nil {
		return err
	}
	for i := range options.Repetitions {
		fmt.Fprintf(b.Progress, "repetition %d of %d\n", i+1, options.Repetitions)
		if err := b.repetition(ctx); err != nil {
			b.print()
			return err
		}
	}
	if err := b.idle(ctx); err != nil {
		return err
	}
	b.print()
	return nil
}

func (b *bench) repetition(ctx context.Context) error {
	if err := b.home(ctx); err != nil {
		return err
	}
	leader, err := b.cluster.Leader(ctx, v1alpha1.SystemNamespace)
	if err != nil {
		return err
	}
	if err := b.hostDeath(ctx, "host of the leading manager dies", leader); err != nil {
		return err
	}
	if err := b.home(ctx); err != nil {
		return err
	}
	if leader, err = b.cluster.Leader(ctx, v1alpha1.SystemNamespace); err != nil {
		return err
	}
	other := "node-a"
	if leader == other {
		other = "node-b"
	}
	if err := b.hostDeath(ctx, "another host dies", other); err != nil {
		return err
	}
	if err := b.home(ctx); err != nil {
		return err
	}
	if err := b.plannedMove(ctx); err != nil {
		return err
	}
	return b.processKill(ctx)
}

// home starts every host and waits until each group is on its first preferred owner.
func (b *bench) home(ctx context.Context) error {
	if err := b.lab.Repair(ctx); err != nil {
		return err
	}
	if err := b.cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a", "node-b", "node-c"); err != nil {
		return err
	}
	if err := b.cluster.Forgive(ctx, recovery, "node-a", "node-b", "node-c"); err != nil {
		return err
	}
	for group, node := range map[string]string{"shop": "node-a", "news": "node-b"} {
		if err := b.cluster.WaitOnline(ctx, recovery, group, ""); err != nil {
			return err
		}
		g, err := b.cluster.Group(ctx, group)
		if err != nil {
			return err
		}
		if g.Status.Assignment.Node != node {
			if err := b.cluster.Move(ctx, recovery, group, node); err != nil {
				return err
			}
		}
	}
	time.Sleep(2 * time.Second) // what follows a failback settles, and the rejoined manager's caches are warm
	return nil
}

func (b *bench) add(what, budget, peer string, d time.Duration) {
	for _, r := range b.rows {
		if r.what == what {
			r.samples = append(r.samples, d)
			return
		}
	}
	b.rows = append(b.rows, &row{what: what, budget: budget, peer: peer, samples: []time.Duration{d}})
}

// groupAt is the group whose home is the node, with its page.
func groupAt(node string) (group, url string) {
	if node == "node-a" {
		return "shop", shopURL
	}
	return "news", newsURL
}

func (b *bench) hostDeath(ctx context.Context, what, host string) error {
	group, url := groupAt(host)
	budget := "detection + 300 ms"
	if what == "host of the leading manager dies" {
		budget = "detection + 1 s"
	}
	probe, err := b.lab.Probe(ctx, lab.ProbeOptions{URL: url})
	if err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	if _, err := b.lab.Kill(ctx, host); err != nil {
		return err
	}
	time.Sleep(settle)
	if err := b.cluster.WaitGroup(ctx, recovery, group, "failed over", func(g *v1alpha1.ResourceGroup) bool {
		f := g.Status.LastFailover
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Owner != host && f != nil && f.Epoch == g.Status.Assignment.Epoch && f.Phases.Total != nil
	}); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	if len(report.Outages) == 0 {
		return fmt.Errorf("%s: the client saw no outage", what)
	}
	b.add(what+": first answer", budget, "Pacemaker 8232, tuned 3297; keepalived 3291 (address only)", report.Outages[0].Length)
	g, err := b.cluster.Group(ctx, group)
	if err != nil {
		return err
	}
	p := g.Status.LastFailover.Phases
	for _, phase := range []struct {
		name string
		d    time.Duration
	}{{"detect", p.Detect.Duration}, {"decide", p.Decide.Duration}, {"fence", p.Fence.Duration}, {"online", p.Online.Duration}} {
		b.add("  phase "+phase.name+map[bool]string{true: " (leader)"}[budget == "detection + 1 s"], "", "", phase.d)
	}
	return nil
}

func (b *bench) plannedMove(ctx context.Context) error {
	for _, to := range []string{"node-c", "node-a"} {
		probe, err := b.lab.Probe(ctx, lab.ProbeOptions{URL: shopURL})
		if err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		if err := b.cluster.Annotate(ctx, "shop", v1alpha1.MoveToAnnotation, to); err != nil {
			return err
		}
		time.Sleep(settle)
		if err := b.cluster.WaitOnline(ctx, recovery, "shop", to); err != nil {
			return err
		}
		report, err := probe.Stop()
		if err != nil {
			return err
		}
		if len(report.Outages) == 0 {
			return errors.New("planned move: the client saw no outage")
		}
		b.add("planned move: outage", "200 ms", "Pacemaker 245 (without a disk)", report.Outages[0].Length)
	}
	return nil
}

func (b *bench) processKill(ctx context.Context) error {
	probe, err := b.lab.Probe(ctx, lab.ProbeOptions{URL: newsURL})
	if err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := b.lab.Exec(ctx, "node-b", "pkill", "-9", "-f", "quorate-visits.*10.77.2.102"); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	if len(report.Outages) == 0 {
		return errors.New("process kill: the client saw no outage")
	}
	b.add("process killed: answers again in place", "20 ms + its own start", "Pacemaker 582 at 1 s monitor", report.Outages[0].Length)
	return nil
}

// idle counts the writes of a cluster to which nothing happens, and what its agents cost.
func (b *bench) idle(ctx context.Context) error {
	if err := b.home(ctx); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	const watched = 10 * time.Second
	var writes map[string]int
	if err := b.idleAgents(ctx, func() (err error) {
		writes, err = b.cluster.CountWrites(ctx, watched)
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(b.Out, "\nAPI writes of an idle cluster in %s, by object:\n", watched)
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		fmt.Fprintf(b.Out, "  %-40s %d\n", name, writes[name])
	}
	return nil
}
