package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

var autonomyHosts = []string{"node-a", "node-b", "node-c"}

const (
	withoutAPI = "API servers gone before, a host dies: first answer"
	withAPI    = "API servers and a host die at once: first answer"
	busiest    = "host of etcd's leader, the leading manager and a group dies"
)

// Autonomy measures what clients feel when a host dies in a cluster that has its control plane on its own hosts: with all API servers gone
// long before, with all of them dying in the same instant, and with the one of the host dying with it. The nodes are allowed to decide.
func Autonomy(ctx context.Context, options Options) (err error) {
	options.Up.Hosts, options.Up.APIOnHosts, options.Up.Manifests = len(autonomyHosts), len(autonomyHosts), options.Samples
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
	if err := b.cluster.SetAutonomy(ctx, "demo", v1alpha1.AutonomyEnabled); err != nil {
		return err
	}
	defer b.print()
	for i := range options.Repetitions {
		for _, measure := range []func(context.Context) error{b.goneBefore, b.goneAtOnce, b.busiestDies} {
			fmt.Fprintf(b.Progress, "repetition %d of %d\n", i+1, options.Repetitions)
			if err := b.controlled(ctx); err != nil {
				return err
			}
			if err := measure(ctx); err != nil {
				return err
			}
		}
	}
	return b.controlled(ctx)
}

// controlled starts whatever was stopped, and waits until every group is at home and no host goes by its journal.
func (b *bench) controlled(ctx context.Context) error {
	if err := b.lab.Repair(ctx); err != nil {
		return err
	}
	for _, host := range autonomyHosts {
		if err := b.lab.StartProcess(ctx, host, "manager"); err != nil {
			return err
		}
	}
	if err := observe.Wait(ctx, recovery, "what was decided is written", func(ctx context.Context) (bool, string, error) {
		for _, host := range autonomyHosts {
			n, err := b.cluster.Node(ctx, host)
			if err != nil || n.Status.Agent == nil || n.Status.Agent.Journal != nil {
				return false, fmt.Sprintf("%s has a journal, %v", host, err), nil
			}
		}
		return true, "", nil
	}); err != nil {
		return err
	}
	return b.home(ctx)
}

// withoutControl stops all API servers and managers.
func (b *bench) withoutControl(ctx context.Context) error {
	var all errgroup.Group
	all.Go(func() error { return b.lab.StopAPI(ctx) })
	for _, host := range autonomyHosts {
		all.Go(func() error { return b.lab.StopProcess(ctx, host, "manager") })
	}
	return all.Wait()
}

func (b *bench) goneBefore(ctx context.Context) error {
	if err := b.withoutControl(ctx); err != nil {
		return err
	}
	if err := observe.WaitJournal(ctx, recovery, b.lab, true, autonomyHosts...); err != nil {
		return err
	}
	time.Sleep(time.Second)
	return b.feels(ctx, withoutAPI, "detection + 300 ms", func() error {
		_, err := b.lab.Kill(ctx, "node-a")
		return err
	})
}

func (b *bench) goneAtOnce(ctx context.Context) error {
	return b.feels(ctx, withAPI, "detection + 2 s + 300 ms", func() error {
		var both errgroup.Group
		both.Go(func() error { return b.lab.StopAPI(ctx) })
		both.Go(func() error {
			_, err := b.lab.Kill(ctx, "node-a")
			return err
		})
		return both.Wait()
	})
}

func (b *bench) busiestDies(ctx context.Context) error {
	leader, err := b.cluster.Leader(ctx, v1alpha1.SystemNamespace)
	if err != nil {
		return err
	}
	if err := b.lab.LeadEtcd(ctx, leader); err != nil {
		return err
	}
	if err := b.cluster.Move(ctx, recovery, "shop", leader); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	return b.feels(ctx, busiest, "3 s", func() error {
		_, err := b.lab.Kill(ctx, leader)
		return err
	})
}

// feels times how long a client of the shop waits for its next answer.
func (b *bench) feels(ctx context.Context, what, budget string, happen func() error) error {
	probe, err := b.lab.Probe(ctx, lab.ProbeOptions{URL: shopURL})
	if err != nil {
		return err
	}
	if err := probe.Answered(ctx); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	if err := happen(); err != nil {
		return err
	}
	time.Sleep(2 * settle)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	if len(report.Outages) == 0 || !report.Outages[0].Ended {
		return fmt.Errorf("%s: the client saw no outage that ended: %+v", what, report.Outages)
	}
	b.add(what, budget, "Pacemaker 8232, tuned 3297", report.Outages[0].Length)
	return nil
}
