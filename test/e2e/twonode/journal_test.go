package twonode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/observe"
)

// alter changes an object of the cluster's name.
func alter[T client.Object](ctx context.Context, o T, change func(T)) error {
	if err := cluster.Get(ctx, client.ObjectKey{Name: "demo"}, o); err != nil {
		return err
	}
	before := o.DeepCopyObject().(T)
	change(o)
	return cluster.Patch(ctx, o, client.MergeFrom(before))
}

// autonomous has the hosts decide without the API server, or no longer, with votes that do not follow the view: one host alone needs the
// vote of the witness.
func autonomous(ctx context.Context, on bool) error {
	policy := v1alpha1.AutonomyDisabled
	if on {
		policy = v1alpha1.AutonomyEnabled
	}
	err := errors.Join(
		alter(ctx, &v1alpha1.Cluster{}, func(c *v1alpha1.Cluster) { c.Spec.Autonomy = policy }),
		alter(ctx, &v1alpha1.QuorumConfig{}, func(q *v1alpha1.QuorumConfig) { q.Spec.DynamicVotes = new(!on) }),
	)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		err := observe.Wait(ctx, recovery, host+" has the settings", func(ctx context.Context) (bool, string, error) {
			script := fmt.Sprintf("cat /var/lib/quorate/*.json | grep -q '\"dynamicVotes\": *%t' && (test -e /var/lib/quorate/journal.gz || ! %t)", !on, on)
			out, err := theLab.Exec(ctx, host, "sh", "-c", script)
			return err == nil, out, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// servedAlone waits until a host serves both sites by the journal, and returns what they count and at which epochs they are.
func servedAlone(t *testing.T, ctx context.Context, host string) (counts [2]int, epochs map[string]int64) {
	t.Helper()
	for i, s := range sites {
		must(t, observe.Wait(ctx, recovery, s.Group+" is served by "+host, func(ctx context.Context) (bool, string, error) {
			v, err := bed.Visit(ctx, s)
			counts[i] = v.Count
			return err == nil && v.Host == host, fmt.Sprintf("served by %q, %v", v.Host, err), nil
		}))
	}
	s, err := observe.AgentStatus(ctx, theLab, host)
	must(t, err)
	if s.Journal == "" {
		t.Errorf("%s does not go by a journal", host)
	}
	epochs = map[string]int64{}
	for _, g := range s.Groups {
		epochs[g.Group[strings.LastIndex(g.Group, "/")+1:]] = int64(g.Epoch)
	}
	return counts, epochs
}

// The API server is gone and one host dies: the other decides by the vote of the witness alone, and serves all. Then it dies too, and the
// first comes back, alone: it goes by the journal that the witness keeps. When the API server is back, the decisions of both are in it,
// although the host that made the first of them is still dead.
func TestJournalOnTheWitness(t *testing.T) {
	ctx, first := begin(t)
	gone := false
	t.Cleanup(func() {
		if gone {
			must(t, theLab.StartAPI(context.Background()))
		}
		if err := errors.Join(theLab.Repair(context.Background()), autonomous(context.Background(), false)); err != nil {
			t.Errorf("back to decisions by the controllers: %v", err)
		}
	})
	must(t, autonomous(ctx, true))
	second := other(first)
	must(t, theLab.StopAPI(ctx))
	gone = true
	for _, host := range hosts {
		must(t, observe.Wait(ctx, recovery, host+" goes by the journal", func(ctx context.Context) (bool, string, error) {
			s, err := observe.AgentStatus(ctx, theLab, host)
			return err == nil && s.Journal != "", fmt.Sprintf("%+v, %v", s, err), nil
		}))
	}
	c := watch(t, ctx)
	_, err := theLab.Kill(ctx, first)
	must(t, err)
	_, before := servedAlone(t, ctx, second)
	time.Sleep(500 * time.Millisecond)
	for i, s := range sites {
		r, err := c.probes[i].Stop()
		must(t, err)
		for _, o := range r.Outages {
			t.Logf("clients of %s waited %s while %s took over", s.Group, o.Length, second)
			if o.Length > bound || !o.Ended {
				t.Errorf("clients of %s waited %s: %+v", s.Group, o.Length, o)
			}
		}
		c.before[i] += r.Good
	}
	_, err = theLab.Kill(ctx, second)
	must(t, err)
	must(t, theLab.Start(ctx, first))
	counts, after := servedAlone(t, ctx, first)
	for i, s := range sites {
		if after[s.Group] <= before[s.Group] || s.Home == first && before[s.Group] < 512 {
			t.Errorf("%s is at epoch %d on %s, and was at %d on %s", s.Group, after[s.Group], first, before[s.Group], second)
		}
		if counts[i] < c.before[i] {
			t.Errorf("%s counted %d acknowledged visits, and %d now", s.Group, c.before[i], counts[i])
		}
		t.Logf("%s: epoch %d on %s, %d on %s", s.Group, before[s.Group], second, after[s.Group], first)
	}

	must(t, theLab.StartAPI(ctx))
	gone = false
	for _, s := range sites {
		must(t, cluster.WaitOnline(ctx, recovery, s.Group, first))
	}
	must(t, observe.Wait(ctx, recovery, "what was decided is written", func(ctx context.Context) (bool, string, error) {
		s, err := observe.AgentStatus(ctx, theLab, first)
		return err == nil && s.Journal == "", fmt.Sprintf("%+v, %v", s, err), nil
	}))
	for _, s := range sites {
		events, err := cluster.Events(ctx, "ResourceGroup", s.Group)
		must(t, err)
		for _, way := range [][2]string{{first, second}, {second, first}} {
			told := func(e string) bool { return strings.Contains(e, "FailoverCompleted: from "+way[0]+" to "+way[1]+" ") }
			if (way[0] == second || s.Home == first) && !slices.ContainsFunc(events, told) {
				t.Errorf("the API does not tell that %s went from %s to %s: %q", s.Group, way[0], way[1], events)
			}
		}
	}
	must(t, theLab.Start(ctx, second))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}
