package twonode

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	recovery = beside.Recovery
	// bound is more than any failover may take for a client, on a busy machine: its speed is measured by `make bench-quorum`.
	bound = 15 * time.Second
)

var (
	bed     *beside.Bed
	theLab  *lab.Lab
	cluster *observe.Cluster
	hosts   []string
	sites   = []beside.Site{beside.Shop, beside.News}
	must    = beside.Must
)

func TestMain(m *testing.M) {
	os.Exit(beside.Main(m, lab.Options{Name: "two", Hosts: 2}, "../../../config/samples/two-node", func(ctx context.Context, b *beside.Bed) error {
		bed, theLab, cluster, hosts = b, b.Lab, b.Cluster, b.Hosts
		return home(ctx)
	}))
}

// home moves groups to where they belong, and waits until all is well and the witness is held.
func home(ctx context.Context) error {
	if err := bed.Home(ctx, sites...); err != nil {
		return err
	}
	return held(ctx, "")
}

// holder is the host that holds the witness, by the array's own word; empty for none.
func holder(ctx context.Context) (string, error) {
	id, err := theLab.WitnessHolder(ctx)
	if err != nil || id == 0 {
		return "", err
	}
	for _, host := range hosts {
		n, err := cluster.Node(ctx, host)
		if err != nil {
			return "", err
		}
		if n.Status.ID == int32(id) {
			return host, nil
		}
	}
	return "", fmt.Errorf("the witness is held by node id %d, which is none of the two", id)
}

// held waits until the host holds the witness; any of the two if it is empty.
func held(ctx context.Context, want string) error {
	return observe.Wait(ctx, recovery, "the witness is held by "+want, func(ctx context.Context) (bool, string, error) {
		who, err := holder(ctx)
		return who != "" && (want == "" || who == want), "held by " + who, err
	})
}

// begin starts a test from the healthy state, and brings that state back when it ends. A violation that the live audit finds fails the
// test.
func begin(t *testing.T) (ctx context.Context, who string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(func() {
		if t.Failed() {
			bed.Dump(t, sites...)
		}
		if err := theLab.Repair(context.Background()); err != nil {
			t.Errorf("repairing the lab: %v", err)
		}
		cancel()
	})
	if err := home(ctx); err != nil {
		t.Fatalf("the lab is not healthy at the start of the test: %v", err)
	}
	beside.Audit(t, theLab)
	who, err := holder(ctx)
	must(t, err)
	return ctx, who
}

func other(host string) string {
	if host == hosts[0] {
		return hosts[1]
	}
	return hosts[0]
}

// visit asks a page once.
func visit(t *testing.T, ctx context.Context, s beside.Site) (count int, host string) {
	t.Helper()
	v, err := bed.Visit(ctx, s)
	must(t, err)
	return v.Count, v.Host
}

// clients are a probe of each site and the count before it.
type clients struct {
	probes [2]*lab.Probe
	before [2]int
}

func watch(t *testing.T, ctx context.Context) *clients {
	t.Helper()
	c := &clients{}
	for i, s := range sites {
		c.before[i], _ = visit(t, ctx, s)
		c.probes[i] = bed.Watch(t, ctx, s)
	}
	return c
}

// servedBy waits until the host serves both sites, and wants that clients have waited for a bounded time and have lost nothing.
func (c *clients) servedBy(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.Group, host))
	}
	time.Sleep(500 * time.Millisecond)
	for i, s := range sites {
		r, err := c.probes[i].Stop()
		must(t, err)
		for _, o := range r.Outages {
			t.Logf("clients of %s waited %s", s.Group, o.Length)
			if o.Length > bound || !o.Ended {
				t.Errorf("clients of %s waited %s: %+v", s.Group, o.Length, o)
			}
		}
		count, by := visit(t, ctx, s)
		if by != host || count < c.before[i]+r.Good {
			t.Errorf("%s counted %d and acknowledged %d more; now %s counts %d", s.Group, c.before[i], r.Good, by, count)
		}
	}
}

// quiet wants that no client has waited at all.
func (c *clients) quiet(t *testing.T) {
	t.Helper()
	for i, s := range sites {
		r, err := c.probes[i].Stop()
		must(t, err)
		for _, o := range r.Outages {
			t.Errorf("clients of %s waited %s (%d requests failed: %v)", s.Group, o.Length, o.Failed, o.Errors)
		}
		if r.Good == 0 {
			t.Errorf("the clients of %s had no answer: they prove nothing", s.Group)
		}
	}
}
