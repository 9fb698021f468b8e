package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/observe"
)

// balancedSample is the sample of a group of mode LoadBalanced.
const balancedSample = "../../config/samples/load-balanced.yaml"

// onMembers waits until the group of the sample is Online on just these hosts, by its status and by what runs there.
func onMembers(t *testing.T, ctx context.Context, on ...string) *v1alpha1.ResourceGroup {
	t.Helper()
	var group *v1alpha1.ResourceGroup
	must(t, observe.Wait(ctx, recovery, "pages is online on "+strings.Join(on, ", "), func(ctx context.Context) (bool, string, error) {
		g, err := cluster.Group(ctx, "pages")
		if err != nil {
			return false, "", err
		}
		group = g
		var has []string
		for _, m := range g.Status.Members {
			if !m.Withdrawn {
				has = append(has, m.Node)
			}
		}
		all := fmt.Sprintf("%d/%[1]d", len(on))
		return g.Status.State == v1alpha1.GroupOnline && g.Status.MembersOnline == all && strings.Join(has, " ") == strings.Join(on, " "),
			fmt.Sprintf("%s %s, members %+v", g.Status.State, g.Status.MembersOnline, g.Status.Members), nil
	}))
	for _, host := range on {
		if _, err := pagesPID(ctx, host); err != nil {
			t.Errorf("pages is Online on %s, and nothing of it runs there: %v", host, err)
		}
		if out, err := theLab.Exec(ctx, host, "curl", "-sS", "--max-time", "2", "http://127.0.0.1:8090/"); err != nil || !strings.Contains(out, host) {
			t.Errorf("%s answers %q: %v", host, out, err)
		}
	}
	return group
}

func pagesPID(ctx context.Context, host string) (string, error) {
	out, err := theLab.Exec(ctx, host, "pgrep", "-f", "[q]uorate-visits.*:8090")
	return strings.TrimSpace(out), err
}

// noPages waits until nothing of the group runs on the hosts.
func noPages(t *testing.T, ctx context.Context, on ...string) {
	t.Helper()
	for _, host := range on {
		must(t, observe.Wait(ctx, recovery, "nothing of pages on "+host, func(ctx context.Context) (bool, string, error) {
			pid, err := pagesPID(ctx, host)
			return err != nil && pid == "", pid, nil
		}))
	}
}

// createPages makes the sample's group, and sees to it that nothing of it is left at the end.
func createPages(t *testing.T, ctx context.Context) []*unstructured.Unstructured {
	t.Helper()
	manifests, err := os.ReadFile(balancedSample)
	must(t, err)
	all := objects(t, string(manifests))
	if len(all) != 2 {
		t.Fatalf("the sample has %d objects, want 2", len(all))
	}
	for _, object := range all {
		must(t, cluster.Create(ctx, object))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		for _, object := range all {
			must(t, client.IgnoreNotFound(cluster.Delete(ctx, object)))
		}
	})
	return all
}

// A group of mode LoadBalanced is online on every host. One that is killed loses it and gets it back, one that is drained loses it, one
// whose agent is restarted keeps it, and what is deleted is nowhere.
func TestLoadBalancedGroup(t *testing.T) {
	ctx := begin(t)
	all := createPages(t, ctx)
	a, b, c := hosts[0], hosts[1], hosts[2]
	onMembers(t, ctx, a, b, c)

	_, err := theLab.Kill(ctx, c)
	must(t, err)
	onMembers(t, ctx, a, b)
	must(t, theLab.Start(ctx, c))
	back := onMembers(t, ctx, a, b, c)
	if m := back.Status.Members[2]; m.Generation < 2 {
		t.Errorf("%s is back in generation %d: a new life was wanted", c, m.Generation)
	}

	before, err := pagesPID(ctx, b)
	must(t, err)
	drain(t, ctx, a, v1alpha1.AvailabilityDrained)
	onMembers(t, ctx, b, c)
	noPages(t, ctx, a)
	drain(t, ctx, a, v1alpha1.AvailabilityAvailable)
	onMembers(t, ctx, a, b, c)

	killAgent(t, ctx, b)
	time.Sleep(2 * time.Second)
	onMembers(t, ctx, a, b, c)
	if after, err := pagesPID(ctx, b); err != nil || after != before {
		t.Errorf("process %s of %s became %q: others came and went, and its agent was restarted (%v)", before, b, after, err)
	}

	for _, object := range all {
		must(t, cluster.Delete(ctx, object))
	}
	for _, object := range all {
		must(t, observe.Wait(ctx, recovery, object.GetKind()+" "+object.GetName()+" gone", func(ctx context.Context) (bool, string, error) {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object)
			return apierrors.IsNotFound(err), fmt.Sprint("finalizers ", object.GetFinalizers()), nil
		}))
	}
	noPages(t, ctx, hosts...)
}

// drain edits where a node stands.
func drain(t *testing.T, ctx context.Context, node string, to v1alpha1.Availability) {
	t.Helper()
	var n v1alpha1.Node
	must(t, cluster.Get(ctx, client.ObjectKey{Name: node}, &n))
	changed := n.DeepCopy()
	changed.Spec.Availability = to
	must(t, cluster.Patch(ctx, changed, client.MergeFrom(&n)))
}
