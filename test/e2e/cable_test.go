package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
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
// bounded number of times (failover.threshold), and then left alone, until the network is back.
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
			break
		}
		t.Logf("%s", now)
		if last = now; rounds == 6 {
			t.Fatal("the groups are moved without end")
		}
	}
	// The switch is mended: nobody waits for the retry period, which is an hour.
	mended := time.Now()
	for _, host := range hosts {
		must(t, theLab.CableOut(ctx, host, "lan", false))
	}
	for _, s := range []site{shop, news} {
		must(t, cluster.WaitOnline(ctx, recovery, s.group, ""))
		ask(t, ctx, s)
	}
	t.Logf("all answer %s after the switch was mended", time.Since(mended).Round(100*time.Millisecond))
}

// lanCut cuts everybody on the clients' network off from the host, with its link up: as when the switch's uplink or its VLAN is gone.
func lanCut(t *testing.T, ctx context.Context, host string, cut bool) {
	t.Helper()
	change := theLab.Heal
	if cut {
		change = theLab.Cut
	}
	for _, other := range []string{"all", "client"} {
		must(t, change(ctx, lab.Link{A: host, B: other, Network: "lan"}))
	}
}

func waitReach(t *testing.T, ctx context.Context, host string, want v1alpha1.NetworkReach) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, host+" says that lan is "+string(want), func(ctx context.Context) (bool, string, error) {
		n, err := cluster.Node(ctx, host)
		if err != nil || n.Status.Agent == nil {
			return false, "no status", err
		}
		for _, i := range n.Status.Agent.Interfaces {
			if i.Network == "lan" {
				return i.Reach == want, string(i.Reach), nil
			}
		}
		return false, "no interface", nil
	}))
}

// Nobody is heard on the clients' network by the owner any more, though its link is up: its group goes where clients can reach it, and
// what the other hosts own stays where it is.
func TestNetworkDeadBehindTheLink(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	for _, host := range hosts {
		waitReach(t, ctx, host, v1alpha1.NetworkReached)
	}
	before := epochs(t, ctx)
	began := time.Now()
	lanCut(t, ctx, extraSite.home, true)
	g := movedFrom(t, ctx, extraSite, extraSite.home)
	ask(t, ctx, extraSite)
	t.Logf("answered elsewhere %s after the network was lost", time.Since(began).Round(100*time.Millisecond))
	if g.Status.Assignment.Reason != "ResourceFailed" {
		t.Errorf("it was moved for %s", g.Status.Assignment.Reason)
	}
	waitReach(t, ctx, extraSite.home, v1alpha1.NetworkIsolated)
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", extraSite.home)
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
	if now := epochs(t, ctx); now != before {
		t.Errorf("other groups have moved: %s before, %s after", before, now)
	}
	lanCut(t, ctx, extraSite.home, false)
	waitReach(t, ctx, extraSite.home, v1alpha1.NetworkReached)
}

// The switch of the clients' network is dead for all, with all links up: it is nowhere better than where it is, so nothing fails.
func TestNetworkDeadForAll(t *testing.T) {
	ctx := begin(t)
	for _, host := range hosts {
		waitReach(t, ctx, host, v1alpha1.NetworkReached)
	}
	before := epochs(t, ctx)
	for _, host := range hosts {
		lanCut(t, ctx, host, true)
	}
	for _, host := range hosts {
		waitReach(t, ctx, host, v1alpha1.NetworkIsolated)
	}
	time.Sleep(longer(4*time.Second, 20*time.Second))
	for _, s := range []site{shop, news} {
		g, err := cluster.Group(ctx, s.group)
		must(t, err)
		if g.Status.State != v1alpha1.GroupOnline {
			t.Errorf("group %s is %s", s.group, g.Status.State)
		}
	}
	for _, host := range hosts {
		lanCut(t, ctx, host, false)
	}
	for _, host := range hosts {
		waitReach(t, ctx, host, v1alpha1.NetworkReached)
	}
	ask(t, ctx, shop)
	ask(t, ctx, news)
	if now := epochs(t, ctx); now != before {
		t.Errorf("groups have moved: %s before, %s after", before, now)
	}
}
