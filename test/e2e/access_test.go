package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// setAccess changes Cluster.spec.access as an operator does.
func setAccess(ctx context.Context, access *v1alpha1.ClusterAccess) error {
	var c v1alpha1.Cluster
	if err := cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c); err != nil {
		return err
	}
	before := c.DeepCopy()
	c.Spec.Access = access
	return cluster.Patch(ctx, &c, client.MergeFrom(before))
}

// accessIs waits until the Cluster says that its address is online on one of the nodes, with the name, and returns the node.
func accessIs(t *testing.T, ctx context.Context, address, name string, nodes ...string) string {
	t.Helper()
	var st v1alpha1.ClusterAccessStatus
	must(t, observe.Wait(ctx, recovery, fmt.Sprintf("the cluster is at %s, called %q, on one of %v", address, name, nodes), func(ctx context.Context) (bool, string, error) {
		var c v1alpha1.Cluster
		if err := cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c); err != nil || c.Status.Access == nil {
			return false, "no status.access", client.IgnoreNotFound(err)
		}
		st = *c.Status.Access
		return st.State == v1alpha1.GroupOnline && st.Address == address && st.NetworkName == name && strings.Contains(strings.Join(nodes, " "), st.Node),
			fmt.Sprintf("%+v", st), nil
	}))
	return st.Node
}

// reached says whether a host answers a client at the address. Nothing listens on the port: a refusal is an answer.
func reached(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	conn, err := theLab.Dial(ctx, lab.Client, "tcp", net.JoinHostPort(address, "9"))
	if err == nil {
		_ = conn.Close() // something listens after all
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

func answers(t *testing.T, ctx context.Context, address string, want bool) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, fmt.Sprintf("%s answers: %t", address, want), func(ctx context.Context) (bool, string, error) {
		return reached(ctx, address) == want, "", nil
	}))
}

// The cluster has an address and a name of its own: they are there for clients, follow a move and a power cut, and nobody may edit or delete their
// group. An edit of spec.access changes them in place; without it, or the group's owner's power, nothing is left of them.
func TestClusterAccess(t *testing.T) {
	ctx := begin(t)
	const address, other = "10.77.2.9", "10.77.2.8"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		must(t, setAccess(ctx, nil))
		coreGone(t, ctx)
		nothingLeft(t, ctx, address, "/none", hosts...)
		nothingLeft(t, ctx, other, "/none", hosts...)
	})
	answers(t, ctx, address, false)
	must(t, setAccess(ctx, &v1alpha1.ClusterAccess{Network: "lan", Address: address + "/24", NetworkName: "demo"}))
	owner := accessIs(t, ctx, address, "demo", hosts...)
	answers(t, ctx, address, true)
	nothingLeft(t, ctx, address, "/none", others(owner)...)

	group := &v1alpha1.ResourceGroup{}
	must(t, cluster.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "core-demo"}, group))
	refusals(t, ctx, group)
	target := others(owner)[0]
	before := group.DeepCopy()
	group.Annotations = map[string]string{v1alpha1.MoveToAnnotation: target}
	must(t, cluster.Patch(ctx, group, client.MergeFrom(before)))
	owner = accessIs(t, ctx, address, "demo", target)
	answers(t, ctx, address, true)

	_, err := theLab.Kill(ctx, owner)
	must(t, err)
	dead := time.Now()
	answers(t, ctx, address, false)
	answers(t, ctx, address, true)
	t.Logf("the cluster's address answered again %s after its owner's power was cut", time.Since(dead).Round(time.Millisecond))
	next := accessIs(t, ctx, address, "demo", others(owner)...)
	must(t, theLab.Start(ctx, owner))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, owner))

	must(t, setAccess(ctx, &v1alpha1.ClusterAccess{Network: "lan", Address: other + "/24"}))
	accessIs(t, ctx, other, "", next)
	answers(t, ctx, other, true)
	answers(t, ctx, address, false)
}

// refusals tries what nobody may do to the core group.
func refusals(t *testing.T, ctx context.Context, group *v1alpha1.ResourceGroup) {
	t.Helper()
	changed := group.DeepCopy()
	changed.Spec.DesiredState = v1alpha1.DesiredOffline
	ip := &v1alpha1.Resource{}
	must(t, cluster.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "core-demo-address"}, ip))
	elsewhere := ip.DeepCopy()
	elsewhere.Spec.IPAddress.Address = "10.77.2.7/24"
	for what, err := range map[string]error{
		"taking it offline":     cluster.Patch(ctx, changed, client.MergeFrom(group)),
		"changing its address":  cluster.Patch(ctx, elsewhere, client.MergeFrom(ip)),
		"deleting it":           cluster.Delete(ctx, group),
		"deleting a part of it": cluster.Delete(ctx, ip),
		"adding to it":          cluster.Create(ctx, objects(t, `{apiVersion: quorate.io/v1alpha1, kind: Resource, metadata: {name: more, namespace: quorate-system}, spec: {groupName: core-demo, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.7/24}}}`)[0]),
	} {
		if err == nil || !strings.Contains(err.Error(), "core group") {
			t.Errorf("%s is not refused with a reason: %v", what, err)
		}
	}
}

// coreGone waits until there is nothing of a core group in the API.
func coreGone(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, "nothing is left of the core group", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.ResourceGroupList
		var resources v1alpha1.ResourceList
		var c v1alpha1.Cluster
		err := errors.Join(cluster.List(ctx, &groups, client.InNamespace(v1alpha1.SystemNamespace)),
			cluster.List(ctx, &resources, client.InNamespace(v1alpha1.SystemNamespace)), cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c))
		left := len(groups.Items) + len(resources.Items) + len(c.Finalizers)
		return err == nil && left == 0 && c.Status.Access == nil, fmt.Sprintf("%d left, %+v", left, c.Status.Access), err
	}))
}
