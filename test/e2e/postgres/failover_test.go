package postgres

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

// PostgreSQL under the agent pgsql of resource-agents.
func TestPowerCutsOCF(t *testing.T) {
	n, _ := cuts(t)
	powerCuts(t, ocf, n)
}

// PostgreSQL as a process of Quorate's own.
func TestPowerCutsProcess(t *testing.T) {
	n, long := cuts(t)
	if !long {
		t.Skip("the OCF variant is enough in `make test`: run `make test-postgres-failover`")
	}
	powerCuts(t, process, n)
}

// PostgreSQL in a container.
func TestPowerCutsContainer(t *testing.T) {
	n, long := cuts(t)
	if !long {
		t.Skip("the OCF variant is enough in `make test`: run `make test-postgres-failover`")
	}
	v := boxed
	v.imageFile = imageFile(t)
	powerCuts(t, v, n)
}

// powerCuts cuts the power of the host that has the database again and again, under a client that writes.
func powerCuts(t *testing.T, v variant, n int) {
	ctx := begin(t, time.Duration(n)*recovery+2*recovery, v)
	w := v.start(t, ctx, v.disk)
	defer w.end()
	var waited []time.Duration
	for cut := range n {
		took := v.cut(t, ctx, w, cut+1)
		waited = append(waited, took)
		found, err := w.look(ctx)
		must(t, err)
		t.Logf("cut %d of %d: next acknowledged row after %s; %s", cut+1, n, took.Round(time.Millisecond), found)
		if !found.sound() {
			t.Fatalf("after cut %d: %s", cut+1, found)
		}
	}
	w.end()
	found, err := w.look(ctx)
	must(t, err)
	if p := w.progress(); len(p.lives) != n+1 {
		t.Errorf("%d cuts, and the server was started %d times: %v, errors %v", n, len(p.lives), p.lives, p.errors)
	}
	slices.Sort(waited)
	t.Logf("%s: %d power cuts; %s", v.group, n, found)
	t.Logf("%s: from the cut to the next acknowledged row: min %s, median %s, max %s", v.group,
		waited[0].Round(time.Millisecond), waited[len(waited)/2].Round(time.Millisecond), waited[len(waited)-1].Round(time.Millisecond))
	if !found.sound() {
		t.Error(found)
	}
}

// cut waits until rows are written, cuts the power of their host in the middle of it, and waits until others are. It returns how long the
// client had to wait. The host is up again at the end.
func (v variant) cut(t *testing.T, ctx context.Context, w *writer, lives int) time.Duration {
	t.Helper()
	w.flows(t, ctx)
	time.Sleep(rand.N(1500 * time.Millisecond)) // at any moment between two of the server's checkpoints, and of the file system's
	owner := v.owner(t, ctx)
	report, err := bed.Kill(ctx, owner)
	must(t, err)
	must(t, observe.Wait(ctx, recovery, "rows are acknowledged by another server", func(context.Context) (bool, string, error) {
		p := w.progress()
		return len(p.lives) > lives, "errors so far:\n" + strings.Join(p.errors, "\n"), nil
	}))
	if now := v.owner(t, ctx); now == owner {
		t.Errorf("the group is on %s, whose power was cut", now)
	}
	must(t, bed.Start(ctx, owner))
	v.equip(t, ctx, owner)
	must(t, bed.Cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, bed.Hosts...))
	return w.progress().lives[lives].first.Sub(report.Cut.Wall)
}

// flows waits until rows are acknowledged.
func (w *writer) flows(t *testing.T, ctx context.Context) {
	t.Helper()
	const some = 50
	before := w.progress().acked
	must(t, observe.Wait(ctx, recovery, "rows are acknowledged", func(context.Context) (bool, string, error) {
		p := w.progress()
		return p.acked >= before+some, strings.Join(p.errors, "\n"), nil
	}))
}

// TestCutLosesWithoutFsync has the server not wait for the disk: then a power cut must lose rows that were acknowledged, or the tests above
// would prove nothing.
func TestCutLosesWithoutFsync(t *testing.T) {
	if _, long := cuts(t); !long {
		t.Skip("run `make test-postgres-failover`")
	}
	v := process
	ctx := begin(t, 4*recovery, v)
	w := v.start(t, ctx, "disk-7.img")
	defer w.end()
	v.sql(t, ctx, "ALTER SYSTEM SET fsync = off")
	v.sql(t, ctx, "SELECT pg_reload_conf()")
	must(t, observe.Wait(ctx, recovery, "fsync is off", func(ctx context.Context) (bool, string, error) {
		value := v.sql(t, ctx, "SHOW fsync")
		return value == "off", value, nil
	}))
	w.flows(t, ctx)
	time.Sleep(time.Second)
	_, err := bed.Kill(ctx, v.owner(t, ctx))
	must(t, err)
	// A server that does not come up at all has lost them too.
	waiting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for len(w.progress().lives) < 2 && waiting.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	w.end()
	found, err := w.look(waiting)
	t.Logf("without fsync: %s, %v", found, err)
	if err == nil && len(found.Lost) == 0 {
		t.Errorf("a power cut has lost nothing of what was not on the disk: %s", found)
	}
	must(t, bed.Repair(ctx))
	must(t, bed.Home(ctx, beside.Shop, beside.News))
}
