package autonomy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	samples = "../../../config/samples/demo"
	// recovery is more than any repair may take on a busy machine.
	recovery = time.Minute
	// bound is more than any failover may take for a client, on a busy machine.
	bound = 20 * time.Second
)

var (
	theLab   *lab.Lab
	cluster  *observe.Cluster
	hosts    = []string{"node-a", "node-b", "node-c"}
	managers = hosts[:2]
)

// site is one of the samples' groups as its clients know it.
type site struct{ group, url, address, home string }

var (
	shop = site{group: "shop", url: "http://10.77.2.101/", address: "10.77.2.101", home: "node-a"}
	news = site{group: "news", url: "http://10.77.2.102/", address: "10.77.2.102", home: "node-b"}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run brings the lab up, runs the tests, and takes the lab down whatever happens.
func run(m *testing.M) (code int) {
	bin := os.Getenv("QUORATE_BIN")
	if bin == "" {
		fmt.Fprintln(os.Stderr, "QUORATE_BIN is not set: run these tests with `make test` or `make test-e2e`")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	manifests, err := filepath.Abs(samples)
	if err == nil {
		name := fmt.Sprintf("auto-%d", os.Getpid())
		theLab, err = lab.Up(ctx, lab.Options{Name: name, Hosts: len(hosts), Managers: len(managers), BinDir: bin, Manifests: manifests}, nil)
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
	if err == nil {
		err = allow(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the samples do not come up:", err)
		return 1
	}
	return m.Run()
}

// allow has the nodes of the running cluster decide themselves, and waits until each has its copy on disk.
func allow(ctx context.Context) error {
	c := &v1alpha1.Cluster{}
	if err := cluster.Get(ctx, client.ObjectKey{Name: "demo"}, c); err != nil {
		return err
	}
	before := c.DeepCopy()
	c.Spec.Autonomy = v1alpha1.AutonomyEnabled
	if err := cluster.Patch(ctx, c, client.MergeFrom(before)); err != nil {
		return err
	}
	for _, host := range hosts {
		err := observe.Wait(ctx, recovery, host+" has a copy of the cluster's state", func(ctx context.Context) (bool, string, error) {
			out, err := theLab.Exec(ctx, host, "ls", "/var/lib/quorate")
			return err == nil && strings.Contains(out, "journal.gz"), out, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// home waits until all is well: every group at home, and nobody goes by a journal.
func home(ctx context.Context) error {
	if err := cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...); err != nil {
		return err
	}
	if err := written(ctx, hosts...); err != nil {
		return err
	}
	for _, s := range []site{shop, news} { // they fail back by themselves
		if err := cluster.WaitOnline(ctx, recovery, s.group, s.home); err != nil {
			return err
		}
	}
	return nil
}

// startAPI starts the API server and waits until it answers, which takes a starved machine longer than the lab waits.
func startAPI(ctx context.Context) error {
	began := theLab.StartAPI(ctx)
	return observe.Wait(ctx, 2*recovery, "the API server answers", func(ctx context.Context) (bool, string, error) {
		_, err := cluster.Group(ctx, shop.group)
		return err == nil, fmt.Sprintf("started: %v; %v", began, err), nil
	})
}

// written waits until the API server has the journals of the hosts, and none of them goes by one any more.
func written(ctx context.Context, hosts ...string) error {
	return observe.Wait(ctx, recovery, "what was decided is written", func(ctx context.Context) (bool, string, error) {
		for _, host := range hosts {
			n, err := cluster.Node(ctx, host)
			if err != nil {
				return false, "", err
			}
			if n.Status.Agent == nil || n.Status.Agent.Journal != nil {
				return false, fmt.Sprintf("%s: %+v", host, n.Status.Agent), nil
			}
			if s, err := local(ctx, host); err != nil || s.Journal != "" {
				return false, fmt.Sprintf("%s: %v, %v", host, s, err), nil
			}
		}
		return true, "", nil
	})
}

// local asks the agent of a host how it stands, which needs no API server.
func local(ctx context.Context, host string) (*nodeagent.LocalStatus, error) {
	out, err := theLab.Exec(ctx, host, "/opt/quorate/bin/quorate-agent", "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	s := &nodeagent.LocalStatus{}
	return s, json.Unmarshal([]byte(out), s)
}

// begin starts a test from the healthy state, and brings that state back when it ends. A violation that the live audit finds fails the
// test.
func begin(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(func() {
		if t.Failed() {
			dump(t)
		}
		if err := errors.Join(theLab.Repair(context.Background()), startAPI(context.Background())); err != nil {
			t.Errorf("repairing the lab: %v", err)
		}
		for _, host := range managers {
			if err := theLab.StartProcess(context.Background(), host, "manager"); err != nil {
				t.Errorf("starting the manager of %s: %v", host, err)
			}
		}
		cancel()
	})
	if err := home(ctx); err != nil {
		t.Fatalf("the lab is not healthy at the start of the test: %v", err)
	}
	beside.Audit(t, theLab)
	return ctx
}

func dump(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range []site{shop, news} {
		if g, err := cluster.Group(ctx, s.group); err == nil {
			t.Log(observe.Describe(g))
		}
	}
	for _, host := range hosts {
		log, err := exec.CommandContext(ctx, "tail", "-n", "60", theLab.LogFile(host, "agent")).Output()
		t.Logf("last words of the agent of %s (%v):\n%s", host, err, log)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// visit asks a page once.
func visit(ctx context.Context, s site) (count int, host string, err error) {
	out, err := theLab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.url)
	if err != nil {
		return 0, "", err
	}
	var v struct {
		Count int    `json:"count"`
		Host  string `json:"host"`
	}
	err = json.Unmarshal([]byte(out), &v)
	return v.Count, v.Host, err
}

// watch probes a page from now on.
func watch(t *testing.T, ctx context.Context, s site) *lab.Probe {
	t.Helper()
	p, err := theLab.Probe(ctx, lab.ProbeOptions{URL: s.url})
	must(t, err)
	must(t, p.Answered(ctx))
	return p
}

// pause is more than a starved machine keeps a client waiting; a service that is stopped and started anew refuses connections meanwhile.
const pause = 8 * time.Second

// quiet wants that the service of the probe was neither stopped nor started: the same host answers all the time, and refuses nobody.
func quiet(t *testing.T, s site, p *lab.Probe) {
	t.Helper()
	r, err := p.Stop()
	must(t, err)
	for _, o := range r.Outages {
		text := fmt.Sprintf("clients of %s waited %s (%d requests failed: %v), %s before, %s after", s.group, o.Length, o.Failed, o.Errors, o.HostBefore, o.HostAfter)
		if o.HostBefore == o.HostAfter && o.Failed == o.Errors["timeout"] && o.Length < pause {
			t.Logf("a busy machine: %s", text)
			continue
		}
		t.Error(text)
	}
	if r.Good == 0 {
		t.Errorf("the clients of %s had no answer: they prove nothing", s.group)
	}
}
