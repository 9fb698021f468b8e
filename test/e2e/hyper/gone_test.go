package hyper

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
)

// All API servers are gone. First nothing happens, but for an agent that is killed, and no client notices. Then a host dies and its group goes
// elsewhere; the host returns, joins, and the group fails back; then another host dies. When the API is back, all of that is in it in
// order, at its own times, and nothing was started or stopped by that. The second host boots, and the controllers decide again.
func TestControlPlaneGone(t *testing.T) {
	ctx := begin(t)
	a, b := watch(t, ctx, bed, shop), watch(t, ctx, bed, news)
	began := time.Now()
	must(t, bed.StopAPI(ctx))
	deciding(t, ctx, bed, bed.Hosts...)
	must(t, bed.KillProcess(ctx, "node-b", "agent"))
	time.Sleep(3 * time.Second)
	deciding(t, ctx, bed, bed.Hosts...)
	a.quiet(t)
	b.quiet(t)

	first := cutAndServe(t, ctx, shop)
	returns(t, ctx, shop)
	second := cutAndServe(t, ctx, news)

	a, b = watch(t, ctx, bed, shop), watch(t, ctx, bed, news)
	before := [2]string{process(t, ctx, bed, shop, shop.Home), process(t, ctx, bed, news, second)}
	back := time.Now()
	must(t, startAPI(ctx, "node-a", "node-c"))
	t.Logf("the API servers were ready after %s", time.Since(back).Round(time.Millisecond))
	failedOver(t, ctx, bed, news, news.Home, second)
	must(t, bed.Cluster.WaitOnline(ctx, recovery, shop.Group, shop.Home))
	must(t, written(ctx, "node-a", "node-c"))
	t.Logf("all was written after %s", time.Since(back).Round(time.Millisecond))
	time.Sleep(3 * time.Second)
	a.quiet(t)
	b.quiet(t)
	if after := [2]string{process(t, ctx, bed, shop, shop.Home), process(t, ctx, bed, news, second)}; after != before {
		t.Errorf("the catching up has restarted something: processes %v before, %v after", before, after)
	}
	story(t, ctx, shop, began, back, [2]string{"NodeDown", "node-a"}, [2]string{"FailoverCompleted", first}, [2]string{"Failback", "node-a"},
		[2]string{"Online", "node-a"})
	story(t, ctx, news, began, back, [2]string{"NodeDown", "node-b"}, [2]string{"FailoverCompleted", second})
	g, err := bed.Cluster.Group(ctx, news.Group)
	must(t, err)
	if g.Status.Assignment.Epoch < 512 {
		t.Errorf("the assignment is at epoch %d: it is not the nodes' own", g.Status.Assignment.Epoch)
	}
	must(t, bed.Start(ctx, news.Home))
	must(t, bed.Cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, news.Home))
	must(t, bed.Cluster.WaitOnline(ctx, recovery, news.Group, news.Home))
}

// startAPI starts the API servers and waits until they answer, which takes a starved machine longer than the lab waits.
func startAPI(ctx context.Context, hosts ...string) error {
	_ = bed.StartAPI(ctx) // what it says is asked again here, with more patience
	return serving(ctx, hosts...)
}

// cutAndServe cuts the power of a group's home, and returns which host serves it then.
func cutAndServe(t *testing.T, ctx context.Context, s beside.Site) string {
	t.Helper()
	c := watch(t, ctx, bed, s)
	_, err := bed.Kill(ctx, s.Home)
	must(t, err)
	host := bed.Served(t, ctx, s, s.Home).Host
	time.Sleep(time.Second)
	c.wentOver(t, ctx, bed, s.Home, host)
	return host
}

// returns boots a group's home, and waits until it has the group again, by the nodes' own decision.
func returns(t *testing.T, ctx context.Context, s beside.Site) {
	t.Helper()
	must(t, bed.Start(ctx, s.Home))
	for began := time.Now(); bed.Visited(t, ctx, s).Host != s.Home; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > recovery {
			t.Fatalf("%s does not fail back to %s", s.Group, s.Home)
		}
	}
	deciding(t, ctx, bed, bed.Hosts...)
}

// story wants what was decided about a group as Events in order, each of a time without an API server, and none that tells of anything
// else. want are pairs of an Event's reason and a host that it names.
func story(t *testing.T, ctx context.Context, s beside.Site, began, back time.Time, want ...[2]string) {
	t.Helper()
	storyIn(t, ctx, bed, s, began, back, want...)
}

func storyIn(t *testing.T, ctx context.Context, b *beside.Bed, s beside.Site, began, back time.Time, want ...[2]string) {
	t.Helper()
	var past []corev1.Event
	for _, e := range events(t, ctx, b, s) {
		if e.EventTime.After(began) && e.EventTime.Time.Before(back) {
			past = append(past, e)
		}
	}
	t.Logf("of %s the API tells:\n%s", s.Group, strings.Join(lines(past), "\n"))
	at := 0
	for _, e := range past {
		if at < len(want) && e.Reason == want[at][0] && strings.Contains(e.Message, want[at][1]) {
			at++
		}
		if e.Reason == "Superseded" {
			t.Errorf("a decision of %s is called superseded, and nobody else has decided: %s", s.Group, e.Message)
		}
	}
	if at < len(want) {
		t.Errorf("of %s the API does not tell of %v, in this order: %v is missing", s.Group, want, want[at])
	}
}
