package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
)

// The owner's cable to the clients' network comes out: its heartbeats go on over the other network, and its group goes where clients can
// reach it. The host stays a member, and keeps nothing of the group.
func TestCableOut(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	must(t, theLab.CableOut(ctx, extraSite.home, "lan", true))
	g := movedFrom(t, ctx, extraSite, extraSite.home)
	if g.Status.Assignment.Reason != "ResourceFailed" {
		t.Errorf("it was moved for %s", g.Status.Assignment.Reason)
	}
	ask(t, ctx, extraSite)
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", extraSite.home)
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
	must(t, theLab.CableOut(ctx, extraSite.home, "lan", false))
}

// anew deletes a group of the samples and makes it again: for hours it would not fail back to where it has failed, whatever is mended since.
func anew(t *testing.T, sample string, s site) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*recovery)
	defer cancel()
	text, err := os.ReadFile(filepath.Join(samples, sample))
	must(t, err)
	beside.Delete(t, ctx, cluster, string(text))
	for _, o := range objects(t, string(text)) {
		must(t, cluster.Create(ctx, o))
	}
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
}

// The clients' network is gone on every host, as with a switch that is dead: there is nowhere to go. The groups are tried on the hosts a
// bounded number of times (failover.threshold), and then left alone.
func TestNoCableAnywhere(t *testing.T) {
	if !full {
		t.Skip("half a minute of waiting for nothing to happen: make test-full does it")
	}
	ctx := begin(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		for _, host := range hosts {
			must(t, theLab.CableOut(ctx, host, "lan", false))
		}
		anew(t, "20-shop.yaml", shop)
		anew(t, "21-news.yaml", news)
	})
	for _, host := range hosts {
		must(t, theLab.CableOut(ctx, host, "lan", true))
	}
	must(t, cluster.WaitGroup(ctx, recovery, shop.group, "given up", func(g *v1alpha1.ResourceGroup) bool { return g.Status.State == v1alpha1.GroupFailed }))
	last := epochs(t, ctx)
	for rounds := 0; ; rounds++ {
		time.Sleep(8 * time.Second)
		now := epochs(t, ctx)
		if now == last {
			return
		}
		t.Logf("%s", now)
		if last = now; rounds == 6 {
			t.Fatal("the groups are moved without end")
		}
	}
}
