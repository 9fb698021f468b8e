package hyper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
)

// process is the id of the page's server on a host.
func process(t *testing.T, ctx context.Context, b *beside.Bed, s beside.Site, host string) string {
	t.Helper()
	out, err := b.Exec(ctx, host, "pgrep", "-f", "[q]uorate-visits.*"+s.Address)
	must(t, err)
	return strings.TrimSpace(out)
}

// failedOver wants the failover in the API as it happened: the assignment, its proofs, and an Event. It tells the phases.
func failedOver(t *testing.T, ctx context.Context, b *beside.Bed, s beside.Site, lost, host string) {
	t.Helper()
	must(t, b.Cluster.WaitGroup(ctx, recovery, s.Group, "online on "+host+" with its failover", func(g *v1alpha1.ResourceGroup) bool {
		f := g.Status.LastFailover
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Assignment.Node == host && f != nil && f.From == lost && f.To == host &&
			f.Epoch == g.Status.Assignment.Epoch && f.Phases.Total != nil
	}))
	g, err := b.Cluster.Group(ctx, s.Group)
	must(t, err)
	f := g.Status.LastFailover
	want := map[string]v1alpha1.ProofType{
		s.Group + "-disk": v1alpha1.ProofReservationPreempted, s.Group + "-ip": v1alpha1.ProofAddressLeaseExpired,
	}
	for _, proof := range f.Proofs {
		if proof.Type == want[proof.Resource] {
			delete(want, proof.Resource)
		}
	}
	if len(want) > 0 {
		t.Errorf("no proof for %v in %+v", want, f.Proofs)
	}
	told := func(e corev1.Event) bool {
		return strings.Contains(e.Message, lost) && strings.Contains(e.Message, host)
	}
	if all := events(t, ctx, b, s); !slices.ContainsFunc(all, told) {
		t.Errorf("no Event of the failover from %s to %s in %v", lost, host, lines(all))
	}
	p := f.Phases
	t.Logf("%s from %s to %s at epoch %d: detect %s, decide %s, fence %s, online %s", s.Group, lost, host, f.Epoch, p.Detect.Duration,
		p.Decide.Duration, p.Fence.Duration, p.Online.Duration)
}

// events are those of a group in the order of their own times.
func events(t *testing.T, ctx context.Context, b *beside.Bed, s beside.Site) []corev1.Event {
	t.Helper()
	list := &corev1.EventList{}
	must(t, b.Cluster.List(ctx, list, client.InNamespace("demo")))
	var all []corev1.Event
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == "ResourceGroup" && e.InvolvedObject.Name == s.Group {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	return all
}

func lines(all []corev1.Event) []string {
	var text []string
	for _, e := range all {
		text = append(text, fmt.Sprintf("%s %s: %s", e.EventTime.Format("15:04:05.000"), e.Reason, e.Message))
	}
	return text
}

// clients are a probe of a page and the count before it.
type clients struct {
	site   beside.Site
	probe  *lab.Probe
	before int
}

func watch(t *testing.T, ctx context.Context, b *beside.Bed, s beside.Site) *clients {
	t.Helper()
	return &clients{site: s, before: b.Visited(t, ctx, s).Count, probe: b.Watch(t, ctx, s)}
}

// wentOver wants that the clients waited for one host to take over from the lost one, for a bounded time, and that nothing
// acknowledged is lost. It returns how long they waited.
func (c *clients) wentOver(t *testing.T, ctx context.Context, b *beside.Bed, lost, host string) (waited time.Duration) {
	t.Helper()
	r, err := c.probe.Stop()
	must(t, err)
	if len(r.Outages) != 1 || r.Outages[0].HostBefore != lost || r.Outages[0].HostAfter != host {
		t.Errorf("want one outage from %s to %s, got %+v", lost, host, r.Outages)
	}
	for _, o := range r.Outages {
		t.Logf("clients of %s waited %s", c.site.Group, o.Length)
		if o.Length > bound || !o.Ended {
			t.Errorf("clients of %s waited %s: %+v", c.site.Group, o.Length, o)
		}
		waited = o.Length
	}
	v, err := b.Visit(ctx, c.site)
	must(t, err)
	if v.Host != host || v.Count < c.before+r.Good {
		t.Errorf("%s counted %d and acknowledged %d more; now %s counts %d", c.site.Group, c.before, r.Good, v.Host, v.Count)
	}
	return waited
}

// pause is more than a starved machine keeps a client waiting; a service that is stopped and started anew refuses connections meanwhile.
const pause = 8 * time.Second

// quiet wants that the service was neither stopped nor started: the same host answers all the time, and refuses nobody.
func (c *clients) quiet(t *testing.T) {
	t.Helper()
	r, err := c.probe.Stop()
	must(t, err)
	for _, o := range r.Outages {
		text := fmt.Sprintf("clients of %s waited %s (%d requests failed: %v), %s before, %s after", c.site.Group, o.Length, o.Failed, o.Errors,
			o.HostBefore, o.HostAfter)
		if o.HostBefore == o.HostAfter && o.Failed == o.Errors["timeout"] && o.Length < pause {
			t.Logf("a busy machine: %s", text)
			continue
		}
		t.Error(text)
	}
	if r.Good == 0 {
		t.Errorf("the clients of %s had no answer: they prove nothing", c.site.Group)
	}
}
