package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

// other is a group that resources come to, on another node than where they are.
const other = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: other, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: other-ip, namespace: demo}
spec:
  groupName: other
  type: IPAddress
  ipAddress: {network: lan, address: 10.77.2.104/24}
`

// A disk and what depends on it are moved to another group, whose owner is another node and whose epoch is lower: the old owner lets go
// first, so nothing has to be taken from it, and the new group's own resources notice nothing. Then the new owner dies in the middle of
// the way back. No acknowledged visit is lost, and the live audit finds no moment with two owners.
func TestMovedToAnotherGroup(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	for range 2 { // its epoch, which the disk carries, is above the other group's
		must(t, cluster.Move(ctx, recovery, "extra", "node-b"))
		must(t, cluster.Move(ctx, recovery, "extra", "node-c"))
	}
	beside.Create(t, ctx, cluster, other, func(ctx context.Context) { nothingLeft(t, ctx, "10.77.2.104", "", hosts...) })
	must(t, cluster.WaitOnline(ctx, recovery, "other", "node-a"))
	resident, err := cluster.Resource(ctx, "other-ip")
	must(t, err)
	before := epochs(t, ctx)
	count := ask(t, ctx, extraSite).Count

	regroup(t, ctx, "other", "extra-disk", "extra-ip", "extra-app")
	at := settled(t, ctx, "other", "node-a")
	t.Logf("online in the other group %s after the edit", at)
	if after := ask(t, ctx, extraSite); after.Count != count+1 {
		t.Errorf("counted %d, and now %d: acknowledged visits are lost", count, after.Count)
	}
	now, err := cluster.Resource(ctx, "other-ip")
	must(t, err)
	if !now.Status.OnlineSince.Equal(resident.Status.OnlineSince) {
		t.Errorf("what was in the group was started anew: online since %v, before %v", now.Status.OnlineSince, resident.Status.OnlineSince)
	}
	if after := epochs(t, ctx); after != before {
		t.Errorf("others moved: %s before, %s after", before, after)
	}
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", "node-b", "node-c")

	// Back, while the power of their owner is cut: nobody is left who could say that it has let go.
	_, err = theLab.Kill(ctx, "node-a")
	must(t, err)
	regroup(t, ctx, "extra", "extra-app", "extra-ip", "extra-disk")
	settled(t, ctx, "extra", "")
	if after := ask(t, ctx, extraSite); after.Count != count+2 {
		t.Errorf("counted %d, and now %d: acknowledged visits are lost", count+1, after.Count)
	}
	must(t, theLab.Start(ctx, "node-a"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-a"))
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", "node-a")
}

// regroup edits the resources one after the other, in this order.
func regroup(t *testing.T, ctx context.Context, group string, names ...string) {
	t.Helper()
	for _, name := range names {
		r, err := cluster.Resource(ctx, name)
		must(t, err)
		edited := r.DeepCopy()
		edited.Spec.GroupName = group
		must(t, cluster.Patch(ctx, edited, client.MergeFrom(r)))
	}
}

// settled waits until the three resources are online as the group's, and tells how long it took.
func settled(t *testing.T, ctx context.Context, group, node string) time.Duration {
	t.Helper()
	begin := time.Now()
	must(t, observe.Wait(ctx, recovery, "the resources are online in group "+group, func(ctx context.Context) (bool, string, error) {
		state, all := "", true
		for _, name := range []string{"extra-disk", "extra-ip", "extra-app"} {
			r, err := cluster.Resource(ctx, name)
			if err != nil {
				return false, "", err
			}
			st := &r.Status
			all = all && st.State == v1alpha1.ResourceOnline && st.GroupName == group
			state += fmt.Sprintf("%s %s in %q on %s at %d (%s %s); ", name, st.State, st.GroupName, st.Node, st.Epoch, st.Reason, st.Message)
		}
		return all, state, nil
	}))
	took := time.Since(begin)
	must(t, cluster.WaitOnline(ctx, recovery, group, node))
	return took
}
