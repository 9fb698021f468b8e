package autonomy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// stopControlPlane takes the API server and all managers away.
func stopControlPlane(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, theLab.StopAPI(ctx))
	for _, host := range managers {
		must(t, theLab.StopProcess(ctx, host, "manager"))
	}
}

// startControlPlane brings the API server and the managers of the hosts back.
func startControlPlane(t *testing.T, ctx context.Context, hosts ...string) {
	t.Helper()
	must(t, startAPI(ctx))
	for _, host := range hosts {
		must(t, theLab.StartProcess(ctx, host, "manager"))
	}
}

// deciding waits until the hosts go by the journal.
func deciding(t *testing.T, ctx context.Context, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		must(t, observe.Wait(ctx, recovery, host+" goes by the journal", func(ctx context.Context) (bool, string, error) {
			s, err := local(ctx, host)
			return err == nil && s.Journal != "", fmt.Sprintf("%+v, %v", s, err), nil
		}))
	}
}

// served waits until another host than the one that is lost serves the page, and returns it.
func served(t *testing.T, ctx context.Context, s site, lost string) (host string) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, s.group+" is served without "+lost, func(ctx context.Context) (bool, string, error) {
		_, by, err := visit(ctx, s)
		host = by
		return err == nil && by != lost, fmt.Sprintf("served by %q, %v", by, err), nil
	}))
	return host
}

// visited is the count of a page that is up.
func visited(t *testing.T, ctx context.Context, s site) (count int) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, s.group+" answers", func(ctx context.Context) (ok bool, state string, err error) {
		count, _, err = visit(ctx, s)
		return err == nil, fmt.Sprint(err), nil
	}))
	return count
}

// process is the id of the page's server on a host.
func process(t *testing.T, ctx context.Context, s site, host string) string {
	t.Helper()
	out, err := theLab.Exec(ctx, host, "pgrep", "-f", "[q]uorate-visits.*"+s.address)
	must(t, err)
	return strings.TrimSpace(out)
}

// writtenDown wants the failover in the API server as it happened: the assignment, its proofs, and an Event.
func writtenDown(t *testing.T, ctx context.Context, s site, lost, host string) {
	t.Helper()
	must(t, cluster.WaitOnline(ctx, recovery, s.group, host))
	g, err := cluster.Group(ctx, s.group)
	must(t, err)
	f := g.Status.LastFailover
	if f == nil || f.From != lost || f.To != host {
		t.Fatalf("lastFailover is %+v, want one from %s to %s", f, lost, host)
	}
	want := map[string]v1alpha1.ProofType{"shop-disk": v1alpha1.ProofReservationPreempted, "shop-ip": v1alpha1.ProofAddressLeaseExpired}
	for _, proof := range f.Proofs {
		if proof.Type == want[proof.Resource] {
			delete(want, proof.Resource)
		}
	}
	if len(want) > 0 {
		t.Errorf("no proof for %v in %+v", want, f.Proofs)
	}
	events, err := cluster.Events(ctx, "ResourceGroup", s.group)
	must(t, err)
	if !slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, lost) && strings.Contains(e, host) }) {
		t.Errorf("no Event of the failover from %s to %s in %q", lost, host, events)
	}
}

// failsOver wants that the clients of a page waited for one host to take over, for a bounded time, and that nothing acknowledged is lost.
func failsOver(t *testing.T, ctx context.Context, s site, p *lab.Probe, before int, lost, host string) {
	t.Helper()
	r, err := p.Stop()
	must(t, err)
	if len(r.Outages) != 1 || r.Outages[0].HostBefore != lost || r.Outages[0].HostAfter != host {
		t.Errorf("want one outage from %s to %s, got %+v", lost, host, r.Outages)
	}
	for _, o := range r.Outages {
		t.Logf("clients of %s waited %s", s.group, o.Length)
		if o.Length > bound || !o.Ended {
			t.Errorf("clients of %s waited %s: %+v", s.group, o.Length, o)
		}
	}
	count, by, err := visit(ctx, s)
	must(t, err)
	if by != host || count < before+r.Good {
		t.Errorf("%s counted %d and acknowledged %d more; now %s counts %d", s.group, before, r.Good, by, count)
	}
}

// The API server and the managers are gone, then a host dies: its group is served by another one. Later they come back: what happened is
// in the API, and nothing is started or stopped by that. Then the controllers decide again, and the group fails back.
func TestHostDiesWithoutAPI(t *testing.T) {
	ctx := begin(t)
	count := visited(t, ctx, shop)
	p, other := watch(t, ctx, shop), watch(t, ctx, news)
	stopControlPlane(t, ctx)
	deciding(t, ctx, hosts...)
	_, err := theLab.Kill(ctx, "node-a")
	must(t, err)
	host := served(t, ctx, shop, "node-a")
	time.Sleep(time.Second)
	failsOver(t, ctx, shop, p, count, "node-a", host)

	pid := process(t, ctx, shop, host)
	p = watch(t, ctx, shop)
	startControlPlane(t, ctx, "node-b")
	writtenDown(t, ctx, shop, "node-a", host)
	must(t, written(ctx, "node-b", "node-c"))
	time.Sleep(3 * time.Second)
	quiet(t, shop, p)
	quiet(t, news, other)
	if now := process(t, ctx, shop, host); now != pid {
		t.Errorf("the catching up has restarted %s: process %s, then %s", shop.group, pid, now)
	}
	g, err := cluster.Group(ctx, shop.group)
	must(t, err)
	if g.Status.Assignment.Epoch < 512 {
		t.Errorf("the assignment is at epoch %d: it is not the nodes' own", g.Status.Assignment.Epoch)
	}
	must(t, theLab.Start(ctx, "node-a"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
	must(t, cluster.WaitOnline(ctx, recovery, shop.group, "node-a"))
}

// A host dies in the same instant as the API server and the managers.
func TestHostDiesWithAPI(t *testing.T) {
	ctx := begin(t)
	count := visited(t, ctx, shop)
	p := watch(t, ctx, shop)
	stopped := make(chan error, 1)
	go func() { stopped <- theLab.StopAPI(ctx) }()
	_, err := theLab.Kill(ctx, "node-a")
	must(t, err)
	must(t, <-stopped)
	host := served(t, ctx, shop, "node-a")
	time.Sleep(time.Second)
	failsOver(t, ctx, shop, p, count, "node-a", host)
	must(t, startAPI(ctx))
	writtenDown(t, ctx, shop, "node-a", host)
	must(t, written(ctx, "node-b", "node-c"))
}

// The API server is gone for a while and nothing happens: no client notices it, neither when it goes nor when it comes back. An agent that
// is killed meanwhile goes on.
func TestNothingHappensWithoutAPI(t *testing.T) {
	ctx := begin(t)
	a, b := watch(t, ctx, shop), watch(t, ctx, news)
	before := [2]string{process(t, ctx, shop, shop.home), process(t, ctx, news, news.home)}
	must(t, theLab.StopAPI(ctx))
	deciding(t, ctx, hosts...)
	must(t, theLab.KillProcess(ctx, "node-b", "agent"))
	time.Sleep(4 * time.Second)
	deciding(t, ctx, hosts...)
	must(t, startAPI(ctx))
	must(t, written(ctx, hosts...))
	time.Sleep(2 * time.Second)
	quiet(t, shop, a)
	quiet(t, news, b)
	if after := [2]string{process(t, ctx, shop, shop.home), process(t, ctx, news, news.home)}; after != before {
		t.Errorf("processes %v before, %v after", before, after)
	}
}

// All of it without the API server: a host dies, its group goes elsewhere, the host returns and joins, and the group fails back to it. What
// the API server gets in the end is where the group is.
func TestHostReturnsWithoutAPI(t *testing.T) {
	ctx := begin(t)
	stopControlPlane(t, ctx)
	deciding(t, ctx, hosts...)
	_, err := theLab.Kill(ctx, "node-a")
	must(t, err)
	host := served(t, ctx, shop, "node-a")
	must(t, theLab.Start(ctx, "node-a"))
	must(t, theLab.StopProcess(ctx, "node-a", "manager"))
	served(t, ctx, shop, host)
	deciding(t, ctx, hosts...)
	count, by, err := visit(ctx, shop)
	must(t, err)
	if by != "node-a" {
		t.Errorf("%s is served by %s, want a failback to node-a", shop.group, by)
	}
	pid := process(t, ctx, shop, by)
	startControlPlane(t, ctx, managers...)
	must(t, cluster.WaitOnline(ctx, recovery, shop.group, by))
	must(t, written(ctx, hosts...))
	if now := process(t, ctx, shop, by); now != pid {
		t.Errorf("the catching up has restarted %s: process %s, then %s", shop.group, pid, now)
	}
	if after, _, err := visit(ctx, shop); err != nil || after <= count {
		t.Errorf("%s counted %d, now %d (%v)", shop.group, count, after, err)
	}
}
