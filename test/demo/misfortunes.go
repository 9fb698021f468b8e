package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// visit is what the demo's application answers.
type visit struct {
	Count int    `json:"count"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
}

// visit asks a page once, from the client host.
func (d *demo) visit(ctx context.Context, s site) (visit, error) {
	var v visit
	out, err := d.lab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.url)
	if err != nil {
		return v, fmt.Errorf("asking %s: %w", s.url, err)
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return v, fmt.Errorf("reading the answer of %s: %w", s.url, err)
	}
	return v, nil
}

func (d *demo) pages(ctx context.Context) error {
	for _, s := range []site{shop, news} {
		first, err := d.visit(ctx, s)
		if err != nil {
			return err
		}
		second, err := d.visit(ctx, s)
		if err != nil {
			return err
		}
		if second.Count != first.Count+1 {
			return fmt.Errorf("%s counted %d after %d", s.group, second.Count, first.Count)
		}
		d.ok("%s: visit %d and %d, served by %s", s.url, first.Count, second.Count, second.Host)
	}
	return nil
}

// probe starts a client and waits for its first answer.
func (d *demo) probe(ctx context.Context, s site) (*lab.Probe, error) {
	probe, err := d.lab.Probe(ctx, lab.ProbeOptions{URL: s.url})
	if err != nil {
		return nil, err
	}
	return probe, probe.Answered(ctx)
}

// owner says where a group is.
func (d *demo) owner(ctx context.Context, s site) (string, error) {
	g, err := d.cluster.Group(ctx, s.group)
	if err != nil {
		return "", err
	}
	if g.Status.Assignment == nil {
		return "", fmt.Errorf("group %s is nowhere", s.group)
	}
	return g.Status.Assignment.Node, nil
}

// counted wants that the count on disk goes on from where it was.
func (d *demo) counted(ctx context.Context, s site, before visit, answered int) (visit, error) {
	after, err := d.visit(ctx, s)
	if err != nil {
		return after, err
	}
	if after.Count < before.Count+answered+1 {
		return after, fmt.Errorf("%s had counted %d and answered %d more, but counts only %d now: visits were lost",
			s.group, before.Count, answered, after.Count)
	}
	d.ok("the count on disk went on: %d before, %d answers since, %d now", before.Count, answered, after.Count)
	return after, nil
}

func (d *demo) powerCut(ctx context.Context) error {
	from, err := d.owner(ctx, shop)
	if err != nil {
		return err
	}
	before, err := d.visit(ctx, shop)
	if err != nil {
		return err
	}
	probe, err := d.probe(ctx, shop)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	d.say("cutting the power of %s", from)
	if _, err := d.lab.Kill(ctx, from); err != nil {
		return err
	}
	if err := d.cluster.WaitGroup(ctx, 30*time.Second, shop.group, "online elsewhere", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Owner != from && g.Status.LastFailover != nil
	}); err != nil {
		return err
	}
	time.Sleep(time.Second)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	g, err := d.cluster.Group(ctx, shop.group)
	if err != nil {
		return err
	}
	if err := d.story(ctx, g, from, report); err != nil {
		return err
	}
	_, err = d.counted(ctx, shop, before, report.Good)
	return err
}

// story tells a failover, and wants a proof for it.
func (d *demo) story(ctx context.Context, g *v1alpha1.ResourceGroup, from string, report *lab.ProbeReport) error {
	f := g.Status.LastFailover
	if f == nil || f.From != from || f.To != g.Status.Assignment.Node {
		return fmt.Errorf("status.lastFailover does not tell of the failover from %s: %+v", from, f)
	}
	if len(f.Proofs) == 0 {
		return fmt.Errorf("the failover of %s has no proof", g.Name)
	}
	proofs := make([]string, 0, len(f.Proofs))
	for _, p := range f.Proofs {
		proofs = append(proofs, fmt.Sprintf("%s: %s", p.Resource, p.Type))
	}
	d.ok("%s went from %s to %s at epoch %d; proof that the old owner cannot write: %s", g.Name, f.From, f.To, f.Epoch, strings.Join(proofs, ", "))
	p := f.Phases
	d.ok("phases: detect %s, decide %s, fence %s, online %s", p.Detect.Duration.Round(time.Millisecond),
		p.Decide.Duration.Round(time.Millisecond), p.Fence.Duration.Round(time.Millisecond), p.Online.Duration.Round(time.Millisecond))
	for _, o := range report.Outages {
		d.ok("the client waited %s (served by %s before, by %s after)", ms(o.Length), o.HostBefore, o.HostAfter)
	}
	if len(report.Outages) == 0 {
		return fmt.Errorf("the client saw no outage: the probe saw nothing of the failover")
	}
	return d.kubectl(ctx, "get", "rg", "-n", "demo")
}

func (d *demo) powerOn(ctx context.Context) error {
	if err := d.lab.Start(ctx, "node-a"); err != nil {
		return err
	}
	if err := d.cluster.WaitNodes(ctx, time.Minute, v1alpha1.NodeUp, "node-a"); err != nil {
		return err
	}
	d.ok("node-a is Up again")
	if err := d.cluster.WaitOnline(ctx, time.Minute, shop.group, "node-a"); err != nil {
		return err
	}
	d.ok("shop failed back to node-a, its first preferred owner")
	return nil
}

// epochs are the assignments of both groups.
func (d *demo) epochs(ctx context.Context) (string, error) {
	var all []string
	for _, s := range []site{shop, news} {
		g, err := d.cluster.Group(ctx, s.group)
		if err != nil {
			return "", err
		}
		all = append(all, fmt.Sprintf("%s on %s at epoch %d", s.group, g.Status.Assignment.Node, g.Status.Assignment.Epoch))
	}
	return strings.Join(all, ", "), nil
}

// undisturbed runs an act under probes of both pages, and wants no outage and no new assignment.
func (d *demo) undisturbed(ctx context.Context, act func() error) error {
	before, err := d.epochs(ctx)
	if err != nil {
		return err
	}
	var probes []*lab.Probe
	for _, s := range []site{shop, news} {
		probe, err := d.probe(ctx, s)
		if err != nil {
			return err
		}
		probes = append(probes, probe)
	}
	if err := act(); err != nil {
		return err
	}
	for i, s := range []site{shop, news} {
		report, err := probes[i].Stop()
		if err != nil {
			return err
		}
		for _, o := range report.Outages {
			return fmt.Errorf("the clients of %s waited %s at %s: %d requests failed: %v", s.group, ms(o.Length),
				o.Start.Wall.Format(time.TimeOnly), o.Failed, o.Errors)
		}
		d.ok("%s: %d answers, no outage", s.url, report.Good)
	}
	after, err := d.epochs(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("groups moved: %s before, %s after", before, after)
	}
	d.ok("nothing moved: %s", after)
	return nil
}

func (d *demo) cutHeartbeat(ctx context.Context) error {
	return d.undisturbed(ctx, func() error {
		for _, host := range []string{"node-a", "node-b", "node-c"} {
			if err := d.lab.Cut(ctx, lab.Link{A: host, B: "all", Network: "hb"}); err != nil {
				return err
			}
		}
		d.say("network hb is cut between all hosts for four seconds; lan still carries heartbeats")
		time.Sleep(4 * time.Second)
		return d.lab.HealAll(ctx)
	})
}

func (d *demo) apiOutage(ctx context.Context) error {
	err := d.undisturbed(ctx, func() error {
		if err := d.lab.StopAPI(ctx); err != nil {
			return err
		}
		d.say("the API server is stopped for eight seconds")
		time.Sleep(8 * time.Second)
		if err := d.lab.StartAPI(ctx); err != nil {
			return err
		}
		return observe.Wait(ctx, 30*time.Second, "the API server answers again", func(ctx context.Context) (bool, string, error) {
			_, err := d.cluster.Group(ctx, shop.group)
			return err == nil, "", err
		})
	})
	if err != nil {
		return err
	}
	return d.cluster.WaitOnline(ctx, 30*time.Second, shop.group, "")
}
