package twonode

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	samples = "../../../config/samples/two-node"
	// recovery is more than any repair may take on a busy machine.
	recovery = time.Minute
	// bound is more than any failover may take for a client, on a busy machine: its speed is measured by `make bench-quorum`.
	bound = 15 * time.Second
)

var (
	theLab  *lab.Lab
	cluster *observe.Cluster
	hosts   = []string{"node-a", "node-b"}
)

// site is one of the samples' groups as its clients know it.
type site struct{ group, url, address, home string }

var sites = []site{
	{group: "shop", url: "http://10.77.2.101/", address: "10.77.2.101", home: "node-a"},
	{group: "news", url: "http://10.77.2.102/", address: "10.77.2.102", home: "node-b"},
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run brings the lab up, runs the tests, and takes the lab down whatever happens.
func run(m *testing.M) (code int) {
	bin := os.Getenv("QUORATE_BIN")
	if bin == "" {
		fmt.Fprintln(os.Stderr, "QUORATE_BIN is not set: run these tests with `make test` or `make test-e2e`")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	manifests, err := filepath.Abs(samples)
	if err == nil {
		name := fmt.Sprintf("two-%d", os.Getpid())
		theLab, err = lab.Up(ctx, lab.Options{Name: name, Hosts: len(hosts), BinDir: bin, Manifests: manifests}, nil)
	}
	if theLab != nil {
		defer func() { beside.TakeDown(theLab, &code) }()
	}
	if err == nil {
		cluster, err = observe.New(theLab.Kubeconfig(), "demo")
	}
	if err == nil {
		err = home(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the samples do not come up:", err)
		return 1
	}
	return m.Run()
}

// home moves groups to where they belong, and waits until all is well and the witness is held.
func home(ctx context.Context) error {
	if err := cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...); err != nil {
		return err
	}
	for _, s := range sites {
		if err := cluster.WaitOnline(ctx, recovery, s.group, ""); err != nil {
			return err
		}
		g, err := cluster.Group(ctx, s.group)
		if err != nil {
			return err
		}
		if g.Status.Assignment.Node != s.home {
			if err := cluster.Move(ctx, recovery, s.group, s.home); err != nil {
				return err
			}
		}
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
			dump(t)
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

func dump(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range sites {
		if g, err := cluster.Group(ctx, s.group); err == nil {
			t.Log(observe.Describe(g))
		}
	}
	for _, host := range hosts {
		log, err := exec.CommandContext(ctx, "tail", "-n", "40", theLab.LogFile(host, "agent")).Output()
		t.Logf("last words of the agent of %s (%v):\n%s", host, err, log)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func other(host string) string {
	if host == hosts[0] {
		return hosts[1]
	}
	return hosts[0]
}

// visit asks a page once.
func visit(t *testing.T, ctx context.Context, s site) (count int, host string) {
	t.Helper()
	out, err := theLab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.url)
	must(t, err)
	var v struct {
		Count int    `json:"count"`
		Host  string `json:"host"`
	}
	must(t, json.Unmarshal([]byte(out), &v))
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
		p, err := theLab.Probe(ctx, lab.ProbeOptions{URL: s.url})
		must(t, err)
		must(t, p.Answered(ctx))
		c.probes[i] = p
	}
	return c
}

// servedBy waits until the host serves both sites, and wants that clients have waited for a bounded time and have lost nothing.
func (c *clients) servedBy(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.group, host))
	}
	time.Sleep(500 * time.Millisecond)
	for i, s := range sites {
		r, err := c.probes[i].Stop()
		must(t, err)
		for _, o := range r.Outages {
			t.Logf("clients of %s waited %s", s.group, o.Length)
			if o.Length > bound || !o.Ended {
				t.Errorf("clients of %s waited %s: %+v", s.group, o.Length, o)
			}
		}
		count, by := visit(t, ctx, s)
		if by != host || count < c.before[i]+r.Good {
			t.Errorf("%s counted %d and acknowledged %d more; now %s counts %d", s.group, c.before[i], r.Good, by, count)
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
			t.Errorf("clients of %s waited %s (%d requests failed: %v)", s.group, o.Length, o.Failed, o.Errors)
		}
		if r.Good == 0 {
			t.Errorf("the clients of %s had no answer: they prove nothing", s.group)
		}
	}
}

// nothingOn waits until nothing of either group is on the host: no process, mount or address.
func nothingOn(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	var checks []string
	for _, s := range sites {
		checks = append(checks, fmt.Sprintf("! pgrep -f '[q]uorate-visits.*%[1]s' && ! grep -q /srv/quorate/%[2]s /proc/self/mounts && "+
			"! ip -o addr | grep -q %[1]s/", s.address, s.group))
	}
	must(t, observe.Wait(ctx, recovery, "nothing is left on "+host, func(ctx context.Context) (bool, string, error) {
		out, err := theLab.Exec(ctx, host, "sh", "-c", strings.Join(checks, " && "))
		return err == nil, out, nil
	}))
}
