package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/protocol"
	"github.com/quorate/quorate/test/observe"
)

// patience is more than the API may take to come back on a busy machine.
const patience = 2 * time.Minute

func (d *demo) onHosts() []step {
	o := &outage{demo: d}
	return []step{
		{"Three hosts that run etcd, the API servers and the managers themselves", d.up},
		{"Two groups, and the nodes may decide for themselves (Cluster.spec.autonomy)", o.allow},
		{"node-a is the busiest host: etcd's leader, the leading manager, and shop", o.gather},
		{"Power cut of the busiest host", o.busiest},
		{"All API servers stop: nobody can be asked any more", o.gone},
		{"Power cut of node-b, with nothing but the hosts themselves to decide", o.second},
		{"The API servers are back: the story is written, and nothing moves", o.back},
	}
}

// outage is what the third act remembers.
type outage struct {
	*demo
	began time.Time
	// heir is who has served news since node-b died.
	heir string
}

func (o *outage) allow(ctx context.Context) error {
	if err := o.apply(ctx); err != nil {
		return err
	}
	if err := o.kubectl(ctx, "patch", "qcl", "demo", "--type", "merge", "-p", `{"spec":{"autonomy":"Enabled"}}`); err != nil {
		return err
	}
	for _, host := range o.act.hosts {
		err := observe.Wait(ctx, time.Minute, host+" has the journal's copy", func(ctx context.Context) (bool, string, error) {
			out, err := o.lab.Exec(ctx, host, "ls", "/var/lib/quorate")
			return strings.Contains(out, "journal.gz"), out, err
		})
		if err != nil {
			return err
		}
	}
	o.ok("each host has a copy of what is decided on, on its own disk")
	return nil
}

// gather has the manager of node-a lead, by taking the others' away for a moment, and its etcd.
func (o *outage) gather(ctx context.Context) error {
	for _, op := range []func(context.Context, string, string) error{o.lab.StopProcess, o.lab.StartProcess} {
		for _, host := range o.act.hosts[1:] {
			if err := op(ctx, host, "manager"); err != nil {
				return err
			}
		}
		err := observe.Wait(ctx, time.Minute, "the manager of node-a leads", func(ctx context.Context) (bool, string, error) {
			leader, err := o.cluster.Leader(ctx, protocol.Namespace)
			return leader == "node-a", leader + " leads", err
		})
		if err != nil {
			return err
		}
	}
	if err := o.lab.LeadEtcd(ctx, "node-a"); err != nil {
		return err
	}
	return o.servers(ctx)
}

// servers shows how the API servers fare.
func (o *outage) servers(ctx context.Context) error {
	all, err := o.lab.APIServers(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		state := "ready"
		if !s.Ready {
			state, _, _ = strings.Cut("not ready: "+s.Problem, "\n")
		}
		if s.LeadsEtcd {
			state += ", etcd's leader"
		}
		o.quote(fmt.Sprintf("API server on %s: %s", s.Host, state))
	}
	return nil
}

// cut cuts the power of the group's host, and tells what its clients saw, and who serves them now.
func (o *outage) cut(ctx context.Context, s site, from string) (*lab.ProbeReport, string, error) {
	before, err := o.visit(ctx, s)
	if err != nil {
		return nil, "", err
	}
	probe, err := o.probe(ctx, s)
	if err != nil {
		return nil, "", err
	}
	o.say("cutting the power of %s", from)
	if _, err := o.lab.Kill(ctx, from); err != nil {
		return nil, "", err
	}
	var after visit
	err = observe.Wait(ctx, 30*time.Second, s.group+" is served elsewhere", func(ctx context.Context) (_ bool, _ string, err error) {
		after, err = o.visit(ctx, s)
		return err == nil && after.Host != from, "served by " + after.Host, err
	})
	if err != nil {
		return nil, "", err
	}
	time.Sleep(500 * time.Millisecond)
	report, err := probe.Stop()
	if err != nil {
		return nil, "", err
	}
	if len(report.Outages) == 0 {
		return nil, "", fmt.Errorf("the client saw no outage: the probe saw nothing of the failover")
	}
	_, err = o.counted(ctx, s, before, report.Good)
	return report, after.Host, err
}

func (o *outage) busiest(ctx context.Context) error {
	report, to, err := o.cut(ctx, shop, "node-a")
	if err != nil {
		return err
	}
	if err := o.cluster.WaitGroup(ctx, patience, shop.group, "online elsewhere", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Owner == to && g.Status.LastFailover != nil
	}); err != nil {
		return err
	}
	g, err := o.cluster.Group(ctx, shop.group)
	if err != nil {
		return err
	}
	if err := o.story(ctx, g, "node-a", report); err != nil {
		return err
	}
	if err := o.servers(ctx); err != nil {
		return err
	}
	if err := o.lab.Start(ctx, "node-a"); err != nil {
		return err
	}
	o.say("node-a is switched on again; its etcd and its API server start with it")
	if err := o.cluster.WaitOnline(ctx, patience, shop.group, "node-a"); err != nil {
		return err
	}
	o.ok("shop failed back to node-a")
	return nil
}

func (o *outage) gone(ctx context.Context) error {
	o.began = time.Now()
	if err := o.lab.StopAPI(ctx); err != nil {
		return err
	}
	if err := observe.WaitJournal(ctx, patience, o.lab, true, o.act.hosts...); err != nil {
		return err
	}
	if err := o.servers(ctx); err != nil {
		return err
	}
	for _, s := range []site{shop, news} {
		v, err := o.visit(ctx, s)
		if err != nil {
			return err
		}
		o.ok("%s: visit %d, served by %s all the same", s.url, v.Count, v.Host)
	}
	o.ok("all hosts go by the journal now: the cluster's coordinator decides")
	return nil
}

func (o *outage) second(ctx context.Context) error {
	report, to, err := o.cut(ctx, news, "node-b")
	if err != nil {
		return err
	}
	o.heir = to
	for _, outage := range report.Outages {
		o.ok("the client waited %s (served by %s before, by %s after), with no API server anywhere", ms(outage.Length), outage.HostBefore, outage.HostAfter)
	}
	return nil
}

func (o *outage) back(ctx context.Context) error {
	var probes []*lab.Probe
	for _, s := range []site{shop, news} {
		probe, err := o.probe(ctx, s)
		if err != nil {
			return err
		}
		probes = append(probes, probe)
	}
	back := time.Now()
	if err := o.lab.StartAPI(ctx); err != nil {
		return err
	}
	o.say("two of three are enough: node-b has no power; they are ready after %s", time.Since(back).Round(time.Millisecond))
	if err := observe.WaitJournal(ctx, patience, o.lab, false, "node-a", "node-c"); err != nil {
		return err
	}
	o.ok("all is written %s after the order to start; the hosts go by the API again", time.Since(back).Round(time.Millisecond))
	g, err := o.cluster.Group(ctx, news.group)
	if err != nil {
		return err
	}
	if f := g.Status.LastFailover; f == nil || f.From != "node-b" || f.To != o.heir || len(f.Proofs) == 0 {
		return fmt.Errorf("status.lastFailover does not tell of the failover from node-b to %s with its proofs: %+v", o.heir, f)
	}
	o.ok("the failover of %s to %s is in the API, at epoch %d, with %d proofs", news.group, o.heir, g.Status.LastFailover.Epoch, len(g.Status.LastFailover.Proofs))
	if err := o.told(ctx, back); err != nil {
		return err
	}
	for i, s := range []site{shop, news} {
		report, err := probes[i].Stop()
		if err != nil {
			return err
		}
		for _, outage := range report.Outages {
			return fmt.Errorf("the catching up was noticed: the clients of %s waited %s: %v", s.group, ms(outage.Length), outage.Errors)
		}
		o.ok("%s: %d answers while it was written, no outage", s.url, report.Good)
	}
	return o.kubectl(ctx, "get", "rg", "-n", "demo")
}

// told shows the Events of the outage, and wants them at their own times: before the API was back.
func (o *outage) told(ctx context.Context, back time.Time) error {
	list := &corev1.EventList{}
	if err := o.cluster.List(ctx, list, client.InNamespace(o.cluster.Namespace)); err != nil {
		return err
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	count := 0
	for _, e := range list.Items {
		if e.InvolvedObject.Name != news.group || e.EventTime.Time.Before(o.began) || !e.EventTime.Time.Before(back) {
			continue
		}
		count++
		o.quote(fmt.Sprintf("%s  %s  %s", e.EventTime.Format("15:04:05.000"), e.Reason, e.Message))
	}
	if count == 0 {
		return fmt.Errorf("no Event of %s is of the time without an API server", news.group)
	}
	o.ok("%d Events of that time, at their own times", count)
	return nil
}
