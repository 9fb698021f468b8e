package e2e

import (
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
)

// A host dies: its group goes on elsewhere, where the plugin has said it would, with all that it had acknowledged, and comes back when the
// host does.
func TestHostKill(t *testing.T) {
	ctx := begin(t)
	before, there := ask(t, ctx, shop), foretold(t, ctx, shop, "node-a")
	p, other := probe(t, ctx, shop), probe(t, ctx, news)
	_, err := theLab.Kill(ctx, "node-a")
	must(t, err)
	g := movedFrom(t, ctx, shop, "node-a")
	time.Sleep(time.Second)
	report := stop(t, p)
	if len(report.Outages) != 1 {
		t.Errorf("want one outage, got %+v", report.Outages)
	}
	if g.Status.Assignment.Node != there {
		t.Errorf("went to %s; kubectl quorate simulate had said %q", g.Status.Assignment.Node, there)
	}
	explained(t, ctx, shop, there, "node-a")
	replayed(t, ctx, shop, there)
	if after := ask(t, ctx, shop); after.Count < before.Count+report.Good {
		t.Errorf("counted %d, then acknowledged %d, now at %d: acknowledged visits are lost", before.Count, report.Good, after.Count)
	}
	quiet(t, news, other)
	want := map[string]v1alpha1.ProofType{"shop-disk": v1alpha1.ProofReservationPreempted, "shop-ip": v1alpha1.ProofAddressLeaseExpired}
	for _, proof := range g.Status.LastFailover.Proofs {
		if w, ok := want[proof.Resource]; ok && w != proof.Type {
			t.Errorf("proof of %s is %s, want %s", proof.Resource, proof.Type, w)
		}
		delete(want, proof.Resource)
	}
	if len(want) > 0 {
		t.Errorf("no proof for %v in %+v", want, g.Status.LastFailover.Proofs)
	}
	must(t, theLab.Start(ctx, "node-a"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
	must(t, cluster.WaitOnline(ctx, recovery, shop.group, "node-a"))
}

// The host of the leading manager dies, with a group on it: the other manager leads at once.
func TestLeaderHostKill(t *testing.T) {
	ctx := begin(t)
	leader, err := cluster.Leader(ctx, v1alpha1.SystemNamespace)
	must(t, err)
	victim := shop
	if leader == news.home {
		victim = news
	}
	if victim.home != leader {
		t.Fatalf("the leading manager is on %q, where no group is", leader)
	}
	p := probe(t, ctx, victim)
	_, err = theLab.Kill(ctx, leader)
	must(t, err)
	movedFrom(t, ctx, victim, leader)
	time.Sleep(500 * time.Millisecond)
	for _, o := range stop(t, p).Outages {
		t.Logf("outage %s", o.Length)
		if o.Length > 6*time.Second {
			t.Errorf("the failover took %s: the standby waited for the Lease to run out", o.Length)
		}
	}
	now, err := cluster.Leader(ctx, v1alpha1.SystemNamespace)
	must(t, err)
	if now == leader {
		t.Errorf("%s still leads", leader)
	}
}

// A host that is frozen loses its groups; when it thaws, it serves nothing, and cleans up.
func TestFrozenHost(t *testing.T) {
	ctx := begin(t)
	p := probe(t, ctx, shop)
	must(t, theLab.Freeze(ctx, "node-a"))
	g := movedFrom(t, ctx, shop, "node-a")
	must(t, theLab.Thaw(ctx, "node-a"))
	time.Sleep(2 * time.Second)
	report := stop(t, p)
	if len(report.Outages) == 0 || report.Outages[0].HostAfter != g.Status.Assignment.Node {
		t.Errorf("want an outage, ended by %s; got %+v", g.Status.Assignment.Node, report.Outages)
	}
	for _, o := range report.Outages[min(1, len(report.Outages)):] {
		// It rejoins with nothing running, so shop may fail back in this time; anything else is what must not be.
		if o.HostBefore != g.Status.Assignment.Node || o.HostAfter != "node-a" {
			t.Errorf("another outage than that of a failback: %+v", o)
		}
	}
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
}

// A host that hears nobody stops within its deadline, although clients still reach it; another takes over.
func TestIsolation(t *testing.T) {
	ctx := begin(t)
	before := ask(t, ctx, news)
	p := probe(t, ctx, news)
	must(t, theLab.Cut(ctx, lab.Link{A: "node-b", B: "all", Network: "all"}))
	cut := time.Now()
	nothingLeft(t, ctx, news.address, "/srv/quorate/news", "node-b")
	t.Logf("silent and stopped %s after the cut", time.Since(cut))
	g := movedFrom(t, ctx, news, "node-b")
	time.Sleep(500 * time.Millisecond)
	report := stop(t, p)
	if len(report.Outages) != 1 {
		t.Errorf("want one outage, got %+v", report.Outages)
	}
	if after := ask(t, ctx, news); after.Count < before.Count+report.Good || after.Host != g.Status.Assignment.Node {
		t.Errorf("after %+v and %d answers: %+v", before, report.Good, after)
	}
	must(t, theLab.Heal(ctx, lab.Link{A: "node-b", B: "all", Network: "all"}))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-b"))
	must(t, cluster.WaitOnline(ctx, recovery, news.group, "node-b"))
}

// One of two heartbeat networks is lost: nothing moves, and the Cluster says which network is down.
func TestSingleNetworkLoss(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	a, b := probe(t, ctx, shop), probe(t, ctx, news)
	for _, host := range hosts {
		must(t, theLab.Cut(ctx, lab.Link{A: host, B: "all", Network: "hb"}))
	}
	time.Sleep(4 * time.Second)
	quiet(t, shop, a)
	quiet(t, news, b)
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
}

// One direction between two hosts is lost on all networks: all pairs of a view must hear each other, so one of the two leaves;
// every group is served from one place and ends Online.
func TestOneWayCut(t *testing.T) {
	ctx := begin(t)
	must(t, theLab.Cut(ctx, lab.Link{A: "node-b", B: "node-a", OneWay: true}))
	time.Sleep(5 * time.Second)
	for _, s := range []site{shop, news} {
		must(t, cluster.WaitOnline(ctx, recovery, s.group, ""))
		oneInstance(t, ctx, s)
		ask(t, ctx, s)
	}
}
