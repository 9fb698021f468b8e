package hyper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

const (
	recovery = beside.Recovery
	// bound is more than any failover may take for a client, on a busy machine.
	bound = 20 * time.Second
)

var (
	bed        *beside.Bed
	shop, news = beside.Shop, beside.News
	must       = beside.Must
)

func TestMain(m *testing.M) {
	o := lab.Options{Name: "hyper", Hosts: 3, APIOnHosts: 3}
	os.Exit(beside.Main(m, o, "../../../config/samples/demo", func(ctx context.Context, b *beside.Bed) error {
		bed = b
		if err := allow(ctx, b); err != nil {
			return err
		}
		return home(ctx)
	}))
}

// allow has the nodes of the running cluster decide themselves, and waits until each has its copy on disk.
func allow(ctx context.Context, b *beside.Bed) error {
	if err := b.Cluster.SetAutonomy(ctx, "demo", v1alpha1.AutonomyEnabled); err != nil {
		return err
	}
	for _, host := range b.Hosts {
		err := observe.Wait(ctx, recovery, host+" has a copy of the cluster's state", func(ctx context.Context) (bool, string, error) {
			out, err := b.Exec(ctx, host, "ls", "/var/lib/quorate")
			return err == nil && strings.Contains(out, "journal.gz"), out, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// home waits until all is well: every API server ready, every group at home, and nobody goes by a journal.
func home(ctx context.Context) error {
	if err := serving(ctx, bed.Hosts...); err != nil {
		return err
	}
	if err := bed.Cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, bed.Hosts...); err != nil {
		return err
	}
	if err := written(ctx, bed.Hosts...); err != nil {
		return err
	}
	for _, s := range []beside.Site{shop, news} { // they fail back by themselves
		if err := bed.Cluster.WaitOnline(ctx, recovery, s.Group, s.Home); err != nil {
			return err
		}
	}
	return nil
}

// serving waits until the API servers on the hosts are ready.
func serving(ctx context.Context, hosts ...string) error {
	return observe.Wait(ctx, 2*recovery, "the API servers on "+strings.Join(hosts, ", ")+" are ready", func(ctx context.Context) (bool, string, error) {
		servers, err := bed.APIServers(ctx)
		ready := 0
		for _, s := range servers {
			if s.Ready && strings.Contains(strings.Join(hosts, " "), s.Host) {
				ready++
			}
		}
		return ready == len(hosts), fmt.Sprintf("%+v", servers), err
	})
}

// written waits until the API server has the journals of the hosts, and none of them goes by one any more.
func written(ctx context.Context, hosts ...string) error { return writtenIn(ctx, bed, hosts...) }

func writtenIn(ctx context.Context, b *beside.Bed, hosts ...string) error {
	return observe.Wait(ctx, recovery, "what was decided is written", func(ctx context.Context) (bool, string, error) {
		for _, host := range hosts {
			n, err := b.Cluster.Node(ctx, host)
			if err != nil {
				return false, "", err
			}
			s, err := observe.AgentStatus(ctx, b, host)
			if err != nil {
				return false, "", err
			}
			if n.Status.Agent == nil || n.Status.Agent.Journal != nil || s.Journal != "" {
				return false, host + " goes by " + s.Journal, nil
			}
		}
		return true, "", nil
	})
}

// deciding waits until the hosts go by the journal.
func deciding(t *testing.T, ctx context.Context, b *beside.Bed, hosts ...string) {
	t.Helper()
	must(t, observe.WaitJournal(ctx, recovery, b, true, hosts...))
}

// dump tells what there was to see when a test failed.
func dump(t *testing.T) {
	t.Helper()
	bed.Dump(t, shop, news)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, host := range bed.Hosts {
		if s, err := observe.AgentStatus(ctx, bed, host); err == nil {
			t.Logf("%s, view %s, goes by %q", host, s.View, s.Journal)
		}
		if n, err := bed.Cluster.Node(ctx, host); err == nil && n.Status.Agent != nil {
			text, err := json.Marshal(n.Status.Agent.Journal)
			t.Logf("the journal of %s in the API: %s (%v)", host, text, err)
		}
	}
	c := &v1alpha1.Cluster{}
	if err := bed.Cluster.Get(ctx, client.ObjectKey{Name: "demo"}, c); err == nil {
		text, err := json.Marshal(c.Status.JournalWritten)
		t.Logf("written of it: %s (%v)", text, err)
	}
}

// begin starts a test from the healthy state, and brings that state back when it ends. A violation that the live audit finds fails the
// test.
func begin(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(func() {
		if t.Failed() {
			dump(t)
		}
		errs := []error{bed.Repair(context.Background())}
		for _, host := range bed.Hosts {
			for _, process := range []string{"etcd", "kube-apiserver", "manager"} {
				errs = append(errs, bed.StartProcess(context.Background(), host, process))
			}
		}
		if err := errors.Join(errs...); err != nil {
			t.Errorf("repairing the lab: %v", err)
		}
		cancel()
	})
	if err := home(ctx); err != nil {
		t.Fatalf("the lab is not healthy at the start of the test: %v", err)
	}
	beside.Audit(t, bed.Lab)
	return ctx
}
