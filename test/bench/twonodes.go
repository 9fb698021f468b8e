package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// survivorBudget is the issue's: detection (1 s) and 500 ms, for a client of the group that has to come over.
const survivorBudget = "detection + 500 ms"

// twoNodeHosts are the hosts of the two-node samples, and the groups whose home they are.
var twoNodeHosts = []string{"node-a", "node-b"}

// TwoNodes measures what clients feel when one of two hosts with a disk witness loses its power, or both are split, and adds it to the
// rows. samples is the directory of the two-node manifests (config/samples/two-node).
func TwoNodes(ctx context.Context, options Options, samples string) (err error) {
	options.Up.Hosts = len(twoNodeHosts)
	if options.Up.Manifests, err = filepath.Abs(samples); err != nil {
		return fmt.Errorf("finding the samples: %w", err)
	}
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
	defer b.print()
	for i := range options.Repetitions {
		fmt.Fprintf(b.Progress, "two nodes: repetition %d of %d\n", i+1, options.Repetitions)
		for _, measure := range []func(context.Context) error{b.holderDies, b.challengerDies, b.splitInTheMiddle} {
			if err := b.twoHome(ctx); err != nil {
				return err
			}
			if err := measure(ctx); err != nil {
				return err
			}
		}
	}
	return b.twoHome(ctx)
}

// twoHome mends everything, and waits until both groups are where they belong and the witness is held.
func (b *bench) twoHome(ctx context.Context) error {
	if err := b.lab.Repair(ctx); err != nil {
		return err
	}
	if err := b.cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, twoNodeHosts...); err != nil {
		return err
	}
	for group, node := range map[string]string{"shop": "node-a", "news": "node-b"} {
		if err := b.cluster.WaitOnline(ctx, recovery, group, node); err != nil {
			return err
		}
	}
	if _, err := b.witnessHolder(ctx); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // what follows a failback settles
	return nil
}

// witnessHolder waits until one of the hosts holds the witness, and names it.
func (b *bench) witnessHolder(ctx context.Context) (string, error) {
	holder := ""
	err := observe.Wait(ctx, recovery, "the witness is held", func(ctx context.Context) (bool, string, error) {
		id, err := b.lab.WitnessHolder(ctx)
		if err != nil || id == 0 {
			return false, "by nobody", err
		}
		for _, host := range twoNodeHosts {
			n, err := b.cluster.Node(ctx, host)
			if err != nil {
				return false, "", err
			}
			if n.Status.ID == int32(id) {
				holder = host
			}
		}
		return holder != "", fmt.Sprint("by node id ", id), nil
	})
	return holder, err
}

func otherOf(host string) string {
	if host == twoNodeHosts[0] {
		return twoNodeHosts[1]
	}
	return twoNodeHosts[0]
}

// loses times the clients of the group whose home is lost, until the survivor answers them.
func (b *bench) loses(ctx context.Context, what, lost string, happen func() error) error {
	group, url := groupAt(lost)
	probe, err := b.lab.Probe(ctx, lab.ProbeOptions{URL: url})
	if err != nil {
		return err
	}
	if err := probe.Answered(ctx); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	if err := happen(); err != nil {
		return err
	}
	time.Sleep(2 * settle)
	if err := b.cluster.WaitOnline(ctx, recovery, group, otherOf(lost)); err != nil {
		return err
	}
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	if len(report.Outages) == 0 {
		return fmt.Errorf("%s: the client saw no outage", what)
	}
	b.add(what, survivorBudget, "", report.Outages[0].Length)
	return nil
}

func (b *bench) holderDies(ctx context.Context) error {
	holder, err := b.witnessHolder(ctx)
	if err != nil {
		return err
	}
	return b.loses(ctx, "two nodes + disk witness: power cut of the witness's holder, first answer", holder, func() error {
		_, err := b.lab.Kill(ctx, holder)
		return err
	})
}

func (b *bench) challengerDies(ctx context.Context) error {
	holder, err := b.witnessHolder(ctx)
	if err != nil {
		return err
	}
	lost := otherOf(holder)
	return b.loses(ctx, "two nodes + disk witness: power cut of the other host, first answer", lost, func() error {
		_, err := b.lab.Kill(ctx, lost)
		return err
	})
}

// splitInTheMiddle is lost by the host that does not hold the witness.
func (b *bench) splitInTheMiddle(ctx context.Context) error {
	holder, err := b.witnessHolder(ctx)
	if err != nil {
		return err
	}
	return b.loses(ctx, "two nodes + disk witness: split in the middle, first answer", otherOf(holder), func() error {
		return b.lab.SplitHosts(ctx, twoNodeHosts[:1], twoNodeHosts[1:])
	})
}
