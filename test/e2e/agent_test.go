package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
)

// killAgent ends a host's agent as kill -9 does; the host's init starts another, as systemd or the kubelet would.
func killAgent(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	if _, err := theLab.Exec(ctx, host, "pkill", "-9", "-f", "quorate-agent run"); err != nil {
		t.Fatalf("killing the agent of %s: %v", host, err)
	}
}

// The agent dies ten times at random moments under writing clients: no client notices, and the process is the same one.
func TestAgentKilledUnderLoad(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	host, pid := oneInstance(t, ctx, shop)
	p := probe(t, ctx, shop)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		time.Sleep(time.Second + time.Duration(random.IntN(700))*time.Millisecond)
		killAgent(t, ctx, host)
	}
	time.Sleep(2 * time.Second)
	quiet(t, shop, p)
	if now, nowPID := oneInstance(t, ctx, shop); now != host || nowPID != pid {
		t.Errorf("process %d on %s became %d on %s", pid, host, nowPID, now)
	}
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
}

// The agent dies while its group comes online, and while it goes offline, at many points: each time the move ends well, with one
// process.
func TestAgentKilledWhilePending(t *testing.T) {
	ctx := begin(t)
	for i, delay := range []int{0, 20, 40, 60, 90, 130, 180} {
		from, to := "node-a", "node-c"
		if i%2 == 1 {
			from, to = to, from
		}
		must(t, cluster.Annotate(ctx, shop.group, v1alpha1.MoveToAnnotation, to))
		time.Sleep(time.Duration(delay) * time.Millisecond)
		for _, host := range []string{from, to} {
			killAgent(t, ctx, host)
		}
		must(t, cluster.WaitGroup(ctx, recovery, shop.group, "online on one node", func(g *v1alpha1.ResourceGroup) bool {
			return g.Status.State == v1alpha1.GroupOnline && g.Annotations[v1alpha1.MoveToAnnotation] == ""
		}))
		g, err := cluster.Group(ctx, shop.group)
		must(t, err)
		if host, _ := oneInstance(t, ctx, shop); host != g.Status.Assignment.Node {
			t.Fatalf("the process is on %s, the assignment on %s", host, g.Status.Assignment.Node)
		}
		ask(t, ctx, shop)
		nothingLeft(t, ctx, shop.address, "/srv/quorate/shop", others(g.Status.Assignment.Node)...)
		must(t, cluster.Move(ctx, recovery, shop.group, to))
	}
}

// The guardian stops everything in time when the agent is hung.
func TestAgentHung(t *testing.T) {
	ctx := begin(t)
	_, err := theLab.Exec(ctx, "node-a", "pkill", "-STOP", "-f", "quorate-agent run")
	must(t, err)
	hung := time.Now()
	nothingLeft(t, ctx, shop.address, "/srv/quorate/shop", "node-a")
	t.Logf("the guardian had stopped all %s after the agent hung", time.Since(hung))
	movedFrom(t, ctx, shop, "node-a")
	if _, err := theLab.Exec(ctx, "node-a", "pkill", "-CONT", "-f", "quorate-agent run"); err != nil {
		t.Logf("the hung agent is gone already: %v", err)
	}
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
}
