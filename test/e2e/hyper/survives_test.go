package hyper

import (
	"context"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab/protocol"
	"github.com/quorate/quorate/test/observe"
)

// gather moves etcd's leader and the leading manager to a host.
func gather(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	for _, h := range bed.Hosts {
		if h != host {
			must(t, bed.StopProcess(ctx, h, "manager"))
		}
	}
	leads(t, ctx, host)
	for _, h := range bed.Hosts {
		must(t, bed.StartProcess(ctx, h, "manager"))
	}
	// A manager that has just started knows nothing yet: a standby that could not take over at once would prove something else.
	time.Sleep(2 * time.Second)
	must(t, bed.LeadEtcd(ctx, host))
	leads(t, ctx, host)
	servers, err := bed.APIServers(ctx)
	must(t, err)
	for _, s := range servers {
		if s.LeadsEtcd != (s.Host == host) {
			t.Fatalf("etcd's leader is not on %s: %+v", host, servers)
		}
	}
}

// leads waits until the manager of a host leads.
func leads(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, "the manager of "+host+" leads", func(ctx context.Context) (bool, string, error) {
		leader, err := bed.Cluster.Leader(ctx, protocol.Namespace)
		return leader == host, leader + " leads", err
	}))
}

// Power cut of the host that has etcd's leader, the leading manager and a group, all at once. The API goes on with the two others. The group is
// served again, the host boots, its part of the control plane comes up by itself, and the group fails back.
func TestBusiestHostDies(t *testing.T) {
	ctx := begin(t)
	gather(t, ctx, "node-a")
	c, other := watch(t, ctx, bed, shop), watch(t, ctx, bed, news)
	cut, err := bed.Kill(ctx, "node-a")
	must(t, err)
	host := bed.Served(t, ctx, shop, "node-a").Host
	time.Sleep(time.Second)
	waited := c.wentOver(t, ctx, bed, "node-a", host)
	failedOver(t, ctx, bed, shop, "node-a", host)
	must(t, written(ctx, "node-b", "node-c"))
	t.Logf("the busiest host died at %s: its clients waited %s, and after %s all of it was in the API", cut.Cut.Wall.Format("15:04:05.000"), waited,
		time.Since(cut.Cut.Wall).Round(time.Millisecond))
	other.quiet(t)
	leader, err := bed.Cluster.Leader(ctx, protocol.Namespace)
	if err != nil || leader == "node-a" {
		t.Errorf("the leading manager is on %q (%v)", leader, err)
	}
	must(t, bed.Start(ctx, "node-a"))
	must(t, bed.Cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
	must(t, serving(ctx, bed.Hosts...))
	must(t, bed.Cluster.WaitOnline(ctx, recovery, shop.Group, "node-a"))
}

// One host's etcd ends, and in the same instant another host dies: the servers that are left answer, but have no majority, which is as good as
// none. When both are back, so is the API, by itself.
func TestMajorityDies(t *testing.T) {
	ctx := begin(t)
	c := watch(t, ctx, bed, shop)
	ended := make(chan error, 1)
	go func() { ended <- bed.StopProcess(ctx, "node-b", "etcd") }()
	_, err := bed.Kill(ctx, "node-a")
	must(t, err)
	must(t, <-ended)
	host := bed.Served(t, ctx, shop, "node-a").Host
	time.Sleep(time.Second)
	c.wentOver(t, ctx, bed, "node-a", host)
	deciding(t, ctx, bed, "node-b", "node-c")
	servers, err := bed.APIServers(ctx)
	must(t, err)
	for _, s := range servers {
		if s.Ready {
			t.Errorf("an API server is ready without a majority of etcd: %+v", s)
		}
	}
	pid, c := process(t, ctx, bed, shop, host), watch(t, ctx, bed, shop)
	must(t, bed.StartProcess(ctx, "node-b", "etcd"))
	must(t, serving(ctx, "node-b", "node-c"))
	failedOver(t, ctx, bed, shop, "node-a", host)
	must(t, written(ctx, "node-b", "node-c"))
	time.Sleep(2 * time.Second)
	c.quiet(t)
	if now := process(t, ctx, bed, shop, host); now != pid {
		t.Errorf("the catching up has restarted %s: process %s, then %s", shop.Group, pid, now)
	}
	must(t, bed.Start(ctx, "node-a"))
	must(t, bed.Cluster.WaitOnline(ctx, recovery, shop.Group, "node-a"))
}
