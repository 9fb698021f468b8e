// Package e2e holds the tests of the whole: real agents and managers on simulated hosts, a real API server, real file systems,
// real clients. They share one lab, which every test leaves as it found it.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	samples = "../../config/samples/demo"
	// recovery is more than any repair may take on a busy machine.
	recovery = time.Minute
)

var (
	theLab  *lab.Lab
	cluster *observe.Cluster
	hosts   = []string{"node-a", "node-b", "node-c"}
)

// site is one of the samples' groups as its clients know it.
type site struct {
	group, url, address, home string
}

var (
	shop = site{group: "shop", url: "http://10.77.2.101/", address: "10.77.2.101", home: "node-a"}
	news = site{group: "news", url: "http://10.77.2.102/", address: "10.77.2.102", home: "node-b"}
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

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
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	name := fmt.Sprintf("e2e-%d", os.Getpid())
	theLab, err = lab.Up(ctx, lab.Options{Name: name, Hosts: len(hosts), Disks: 12, BinDir: bin, Manifests: manifests}, func(p lab.Progress) {
		fmt.Fprintln(os.Stderr, p.Message)
	})
	if theLab != nil {
		defer takeDown(&code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the lab:", err)
		return 1
	}
	if cluster, err = observe.New(theLab.Kubeconfig(), "demo"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := forgiveExits(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := atHome(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "the samples do not come up:", err)
		return 1
	}
	return m.Run()
}

func takeDown(code *int) {
	if *code != 0 && os.Getenv("QUORATE_KEEP") != "" {
		beside.KeepLogs(theLab)
		fmt.Fprintln(os.Stderr, "QUORATE_KEEP is set: the lab is left running")
		return
	}
	beside.TakeDown(theLab, code)
}

// forgiveExits keeps every host out of quarantine: the tests kill each of them again and again.
func forgiveExits(ctx context.Context) error {
	var c v1alpha1.Cluster
	if err := cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c); err != nil {
		return err
	}
	before := c.DeepCopy()
	c.Spec.Quarantine.Threshold = new(int32(0))
	return cluster.Patch(ctx, &c, client.MergeFrom(before))
}

// atHome waits until every node is Up and each group is on its first preferred owner.
func atHome(ctx context.Context) error {
	if err := cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...); err != nil {
		return err
	}
	for _, s := range []site{shop, news} {
		if err := cluster.WaitOnline(ctx, recovery, s.group, s.home); err != nil {
			return err
		}
	}
	return nil
}

// begin starts a test from the healthy state, and brings that state back when it ends. The live audit looks on from outside; a
// violation fails the test.
func begin(t *testing.T) context.Context {
	t.Helper()
	ctx := beginUnwatched(t)
	beside.Audit(t, theLab)
	return ctx
}

// beginUnwatched is begin for tests that break an invariant themselves.
func beginUnwatched(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(func() {
		if t.Failed() {
			dump(t)
		}
		repair(t)
		cancel()
	})
	if err := home(ctx); err != nil {
		t.Fatalf("the lab is not healthy at the start of the test: %v", err)
	}
	return ctx
}

// home moves groups to where they belong, and waits.
func home(ctx context.Context) error {
	if err := cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...); err != nil {
		return err
	}
	if err := cluster.Forgive(ctx, recovery, hosts...); err != nil {
		return err
	}
	for _, s := range []site{shop, news} {
		if err := cluster.WaitOnline(ctx, recovery, s.group, ""); err != nil {
			return err
		}
		g, err := cluster.Group(ctx, s.group)
		if err != nil {
			return err
		}
		if g.Status.Assignment.Node == s.home {
			continue
		}
		if err := cluster.Move(ctx, recovery, s.group, s.home); err != nil {
			return err
		}
	}
	return atHome(ctx)
}

// repair undoes what a test may have broken.
func repair(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := theLab.Repair(ctx); err != nil {
		t.Errorf("repairing the lab: %v", err)
	}
}

// dump tells what there was to see when a test failed.
func dump(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range []site{shop, news} {
		if g, err := cluster.Group(ctx, s.group); err == nil {
			t.Log(observe.Describe(g))
		}
		events, err := cluster.Events(ctx, "ResourceGroup", s.group)
		if err != nil {
			t.Log(err)
		}
		for _, e := range events[max(0, len(events)-10):] {
			t.Logf("event of %s: %s", s.group, e)
		}
	}
	for _, host := range hosts {
		log, err := exec.CommandContext(ctx, "tail", "-n", "60", theLab.LogFile(host, "agent")).Output()
		t.Logf("last words of the agent of %s (%v):\n%s", host, err, log)
	}
}
