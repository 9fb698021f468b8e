package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// visit is an answer of the samples' application.
type visit struct {
	Count int    `json:"count"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
}

func ask(t *testing.T, ctx context.Context, s site) visit {
	t.Helper()
	out, err := theLab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.url)
	if err != nil {
		t.Fatalf("asking %s: %v: %s", s.url, err, out)
	}
	var v visit
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("answer of %s: %v: %s", s.url, err, out)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func probe(t *testing.T, ctx context.Context, s site) *lab.Probe {
	t.Helper()
	p, err := theLab.Probe(ctx, lab.ProbeOptions{URL: s.url})
	must(t, err)
	must(t, p.Answered(ctx))
	return p
}

func stop(t *testing.T, p *lab.Probe) *lab.ProbeReport {
	t.Helper()
	report, err := p.Stop()
	must(t, err)
	if report.Good == 0 {
		t.Fatal("the probe had no answer at all: it proves nothing")
	}
	return report
}

// quiet wants no outage.
func quiet(t *testing.T, s site, p *lab.Probe) {
	t.Helper()
	for _, o := range stop(t, p).Outages {
		t.Errorf("clients of %s waited %s (from %s to %s, at %s, %d requests failed: %v)", s.group, o.Length, o.HostBefore, o.HostAfter,
			o.Start.Wall.Format("15:04:05.000"), o.Failed, o.Errors)
	}
}

// movedFrom waits until the group is online on another node than from, by a failover that is recorded with its proofs.
func movedFrom(t *testing.T, ctx context.Context, s site, from string) *v1alpha1.ResourceGroup {
	t.Helper()
	must(t, cluster.WaitGroup(ctx, recovery, s.group, "online elsewhere than on "+from, func(g *v1alpha1.ResourceGroup) bool {
		f := g.Status.LastFailover
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Assignment.Node != from && f != nil && f.Epoch == g.Status.Assignment.Epoch &&
			f.Phases.Total != nil
	}))
	g, err := cluster.Group(ctx, s.group)
	must(t, err)
	f := g.Status.LastFailover
	if f.From != from || f.To != g.Status.Assignment.Node {
		t.Errorf("lastFailover says %s to %s, the group went from %s to %s", f.From, f.To, from, g.Status.Assignment.Node)
	}
	if len(f.Proofs) == 0 {
		t.Error("a failover without proof")
	}
	return g
}

// epochs are the assignments of both groups, as a text to compare.
func epochs(t *testing.T, ctx context.Context) string {
	t.Helper()
	var all []string
	for _, s := range []site{shop, news} {
		g, err := cluster.Group(ctx, s.group)
		must(t, err)
		all = append(all, fmt.Sprintf("%s on %s at epoch %d", s.group, g.Status.Assignment.Node, g.Status.Assignment.Epoch))
	}
	return strings.Join(all, ", ")
}

// footprint is what of a site is on a host: processes, mounts, addresses.
func footprint(ctx context.Context, host, address, mount string) (string, error) {
	script := fmt.Sprintf(`pgrep -f '[q]uorate-visits.*%[1]s' | sed 's/^/process /'
awk '$2 == "%[2]s" {print "mount " $2}' /proc/self/mounts
ip -o addr | awk '$4 ~ "^%[1]s/" {print "address " $4}'`, address, mount)
	out, err := theLab.Exec(ctx, host, "sh", "-c", script)
	return strings.TrimSpace(out), err
}

// nothingLeft waits until nothing of the address and mount is on any of the hosts.
func nothingLeft(t *testing.T, ctx context.Context, address, mount string, on ...string) {
	t.Helper()
	for _, host := range on {
		must(t, observe.Wait(ctx, 20*time.Second, "nothing of "+mount+" left on "+host, func(ctx context.Context) (bool, string, error) {
			out, err := footprint(ctx, host, address, mount)
			return err == nil && out == "", out, err
		}))
	}
}

// oneInstance wants exactly one process of the site on all hosts, and returns its pid on its host.
func oneInstance(t *testing.T, ctx context.Context, s site) (string, int) {
	t.Helper()
	var where []string
	pid := 0
	for _, host := range hosts {
		out, err := theLab.Exec(ctx, host, "pgrep", "-f", "quorate-visits.*"+s.address)
		if err != nil {
			continue // pgrep found none
		}
		for _, line := range strings.Fields(out) {
			where = append(where, host)
			pid, _ = strconv.Atoi(line)
		}
	}
	if len(where) != 1 {
		t.Fatalf("%s has %d processes, on %v: want one", s.group, len(where), where)
	}
	return where[0], pid
}

func others(host string) []string {
	var rest []string
	for _, h := range hosts {
		if h != host {
			rest = append(rest, h)
		}
	}
	return rest
}
