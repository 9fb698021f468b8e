package hyper

import (
	"context"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
)

// Two hosts and a disk witness, and the only API server is on the host that dies, with a group. The other host has the witness's vote, decides
// by itself, and serves both groups. When the host boots, its API server comes up with it, and gets what happened; the group fails back.
func TestHostWithTheOnlyAPIDies(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	two, err := beside.NewBed(ctx, lab.Options{Name: "solo", Hosts: 2, APIOnHosts: 1}, "../../../config/samples/two-node")
	if two != nil {
		t.Cleanup(func() {
			if t.Failed() {
				two.Dump(t, shop, news)
			}
			code := 0
			if beside.TakeDown(two.Lab, &code); code != 0 {
				t.Error("the lab is not taken down")
			}
		})
	}
	must(t, err)
	must(t, allow(ctx, two))
	must(t, two.Home(ctx, shop, news))
	beside.Audit(t, two.Lab)

	c := watch(t, ctx, two, shop)
	began := time.Now()
	_, err = two.Kill(ctx, "node-a")
	must(t, err)
	if host := two.Served(t, ctx, shop, "node-a").Host; host != "node-b" {
		t.Fatalf("%s is served by %s", shop.Group, host)
	}
	time.Sleep(time.Second)
	c.wentOver(t, ctx, two, "node-a", "node-b")
	if host := two.Visited(t, ctx, news).Host; host != "node-b" {
		t.Errorf("%s is served by %s", news.Group, host)
	}
	deciding(t, ctx, two, "node-b")
	pid := process(t, ctx, two, news, "node-b")

	back := time.Now()
	must(t, two.Start(ctx, "node-a"))
	must(t, two.Cluster.WaitNodes(ctx, 2*recovery, v1alpha1.NodeUp, two.Hosts...))
	must(t, writtenIn(ctx, two, two.Hosts...))
	for s, want := range map[beside.Site]string{shop: "node-a", news: "node-b"} {
		must(t, two.Cluster.WaitOnline(ctx, recovery, s.Group, want))
	}
	if now := process(t, ctx, two, news, "node-b"); now != pid {
		t.Errorf("%s was restarted: process %s, then %s", news.Group, pid, now)
	}
	storyIn(t, ctx, two, shop, began, back, [2]string{"NodeDown", "node-a"}, [2]string{"FailoverCompleted", "node-b"})
}
