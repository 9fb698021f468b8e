package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// isolate cuts a host from the others, but not from the clients: what it must not do is answer them.
func (d *demo) isolate(ctx context.Context) error {
	from, err := d.owner(ctx, news)
	if err != nil {
		return err
	}
	before, err := d.visit(ctx, news)
	if err != nil {
		return err
	}
	probe, err := d.probe(ctx, news)
	if err != nil {
		return err
	}
	d.say("%s is cut from all other hosts and from the API server; clients still reach it", from)
	fault := lab.Link{A: from, B: "all", Network: "all"}
	if err := d.lab.Cut(ctx, fault); err != nil {
		return err
	}
	cut := time.Now()
	if err := d.stopped(ctx, from, cut); err != nil {
		return err
	}
	if err := d.cluster.WaitGroup(ctx, 30*time.Second, news.group, "online elsewhere", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Owner != from
	}); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	g, err := d.cluster.Group(ctx, news.group)
	if err != nil {
		return err
	}
	if err := d.story(ctx, g, from, report); err != nil {
		return err
	}
	if _, err := d.counted(ctx, news, before, report.Good); err != nil {
		return err
	}
	if err := d.lab.Heal(ctx, fault); err != nil {
		return err
	}
	if err := d.cluster.WaitNodes(ctx, time.Minute, v1alpha1.NodeUp, from); err != nil {
		return err
	}
	if err := d.cluster.WaitOnline(ctx, time.Minute, news.group, from); err != nil {
		return err
	}
	d.ok("healed: %s rejoined, and news failed back", from)
	return nil
}

// stopped waits until nothing of the group is left on the host, and wants it within detection, the self-fence deadline and a
// little for the look itself.
func (d *demo) stopped(ctx context.Context, host string, cut time.Time) error {
	const deadline = 1030*time.Millisecond + time.Second + 500*time.Millisecond
	check := fmt.Sprintf("! pgrep -f '%s' && ! grep -q /srv/quorate/%s /proc/self/mounts && ! ip -o addr | grep -q %s/",
		"[q]uorate-visits.*"+news.address, news.group, news.address)
	err := observe.Wait(ctx, 10*time.Second, "the isolated host stops its group", func(ctx context.Context) (bool, string, error) {
		out, err := d.lab.Exec(ctx, host, "sh", "-c", check)
		return err == nil, out, nil
	})
	if err != nil {
		return err
	}
	took := time.Since(cut)
	if took > deadline {
		return fmt.Errorf("%s stopped its group only after %s (the self-fence deadline is %s after the cut)", host, ms(took), ms(deadline))
	}
	d.ok("%s had stopped process, mount and address %s after the cut (lease 1 s + self-fence deadline 1 s)", host, ms(took))
	return nil
}

func (d *demo) move(ctx context.Context) error {
	before, err := d.visit(ctx, shop)
	if err != nil {
		return err
	}
	probe, err := d.probe(ctx, shop)
	if err != nil {
		return err
	}
	if err := d.kubectl(ctx, "annotate", "rg", "shop", "-n", "demo", v1alpha1.MoveToAnnotation+"=node-c"); err != nil {
		return err
	}
	if err := d.cluster.WaitOnline(ctx, 30*time.Second, shop.group, "node-c"); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	report, err := probe.Stop()
	if err != nil {
		return err
	}
	for _, o := range report.Outages {
		d.ok("moved from %s to %s: the client waited %s", o.HostBefore, o.HostAfter, ms(o.Length))
	}
	g, err := d.cluster.Group(ctx, shop.group)
	if err != nil {
		return err
	}
	if _, left := g.Annotations[v1alpha1.MoveToAnnotation]; left {
		return fmt.Errorf("the annotation of the move was carried out, but is still there")
	}
	_, err = d.counted(ctx, shop, before, report.Good)
	return err
}
