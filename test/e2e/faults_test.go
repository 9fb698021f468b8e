package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/observe"
)

// killProcess ends the site's process and waits until another answers.
func killProcess(t *testing.T, ctx context.Context, s site) {
	t.Helper()
	host, pid := oneInstance(t, ctx, s)
	_, err := theLab.Exec(ctx, host, "kill", "-9", fmt.Sprint(pid))
	must(t, err)
	must(t, observe.Wait(ctx, 20*time.Second, "another process answers", func(ctx context.Context) (bool, string, error) {
		out, err := theLab.Exec(ctx, "client", "curl", "-sS", "--max-time", "1", s.url+"healthz")
		if err != nil {
			return false, out, err
		}
		for _, h := range hosts {
			if now, err := theLab.Exec(ctx, h, "pgrep", "-f", "quorate-visits.*"+s.address); err == nil {
				return h != host || now != fmt.Sprintf("%d\n", pid), now, nil
			}
		}
		return false, "no process", nil
	}))
}

// A process that dies is restarted in place up to the threshold (3 in 15 minutes); the next death is a failover.
func TestProcessKillPastThreshold(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	for range 3 {
		killProcess(t, ctx, extraSite)
		g, err := cluster.Group(ctx, "extra")
		must(t, err)
		if g.Status.Assignment.Node != "node-c" {
			t.Fatalf("moved to %s before the threshold", g.Status.Assignment.Node)
		}
	}
	killProcess(t, ctx, extraSite)
	must(t, cluster.WaitGroup(ctx, recovery, "extra", "failed over for its resource", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Assignment.Node != "node-c" && g.Status.Assignment.Reason == "ResourceFailed"
	}))
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", "node-c")
}

// A disk that fails on one host takes its group to another.
func TestDiskFailure(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	must(t, theLab.DiskFail(ctx, "node-c", 0))
	must(t, cluster.WaitGroup(ctx, recovery, "extra", "online elsewhere", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Assignment.Node != "node-c"
	}))
	ask(t, ctx, extraSite)
	must(t, theLab.DiskHeal(ctx, "node-c", 0))
}

// The API server is gone for a while: everything keeps running.
func TestAPIOutage(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	a, b := probe(t, ctx, shop), probe(t, ctx, news)
	must(t, theLab.StopAPI(ctx))
	time.Sleep(6 * time.Second)
	must(t, theLab.StartAPI(ctx))
	must(t, observe.Wait(ctx, recovery, "the API answers", func(ctx context.Context) (bool, string, error) {
		_, err := cluster.Group(ctx, shop.group)
		return err == nil, "", err
	}))
	time.Sleep(3 * time.Second)
	quiet(t, shop, a)
	quiet(t, news, b)
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
}

// Both managers are killed and come back: nothing moves, and a failover works afterwards.
func TestManagersRestarted(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	p := probe(t, ctx, shop)
	for _, host := range []string{"node-a", "node-b"} {
		_, err := theLab.Exec(ctx, host, "pkill", "-9", "-f", "quorate-manager")
		must(t, err)
	}
	time.Sleep(3 * time.Second)
	quiet(t, shop, p)
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
	must(t, cluster.Move(ctx, recovery, shop.group, "node-c"))
}
