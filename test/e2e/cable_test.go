package e2e

import (
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
)

// The owner's cable to the clients' network comes out: its heartbeats go on over the other network, and its group goes where clients can
// reach it. The host stays a member, and keeps nothing of the group.
func TestCableOut(t *testing.T) {
	ctx := begin(t)
	must(t, theLab.CableOut(ctx, shop.home, "lan", true))
	g := movedFrom(t, ctx, shop, shop.home)
	if g.Status.Assignment.Reason != "ResourceFailed" {
		t.Errorf("it was moved for %s", g.Status.Assignment.Reason)
	}
	ask(t, ctx, shop)
	nothingLeft(t, ctx, shop.address, "/srv/quorate/shop", shop.home)
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
	must(t, theLab.CableOut(ctx, shop.home, "lan", false))
}

// The clients' network is gone on every host, as with a switch that is dead: there is nowhere to go. The groups are tried on the hosts a
// bounded number of times (failover.threshold), and then left alone.
func TestNoCableAnywhere(t *testing.T) {
	if !full {
		t.Skip("half a minute of waiting for nothing to happen: make test-full does it")
	}
	ctx := begin(t)
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
