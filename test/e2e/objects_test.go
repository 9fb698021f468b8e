package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

// everything is all objects of ours, by kind and name.
func everything(t *testing.T, ctx context.Context) map[string]client.Object {
	t.Helper()
	all := map[string]client.Object{}
	for _, list := range []client.ObjectList{
		&v1alpha1.ClusterList{}, &v1alpha1.NodeList{}, &v1alpha1.QuorumConfigList{}, &v1alpha1.ResourceGroupList{}, &v1alpha1.ResourceList{},
	} {
		must(t, cluster.List(ctx, list))
		must(t, meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if !ok {
				return fmt.Errorf("%T is no object", item)
			}
			object.SetManagedFields(nil)
			all[fmt.Sprintf("%T %s", object, client.ObjectKeyFromObject(object))] = object
			return nil
		}))
	}
	return all
}

// settle waits until nothing has been written for a while: the states of links that earlier tests have cut are damped, so they are
// written long after the links are whole again.
func settle(t *testing.T, ctx context.Context) {
	t.Helper()
	const quiet = 10 * time.Second
	last, since := everything(t, ctx), time.Now()
	for begin := time.Now(); time.Since(since) < quiet; time.Sleep(time.Second) {
		now := everything(t, ctx)
		written := cmp.Diff(last, now)
		if written != "" {
			last, since = now, time.Now()
		}
		if time.Since(begin) > 2*time.Minute {
			t.Fatalf("something is written again and again while nothing happens; the last time:\n%s", written)
		}
	}
}

// Manifests that are applied again change nothing, and an idle cluster writes nothing to any object of ours.
func TestReapplyAndIdle(t *testing.T) {
	ctx := begin(t)
	apply := func() string {
		command := exec.CommandContext(ctx, kubectl(t), "--kubeconfig", theLab.Kubeconfig(), "apply", "-R", "-f", samples)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl apply: %v\n%s", err, out)
		}
		return string(out)
	}
	apply() // the lab applied them with another field manager: the first time, kubectl adds its annotation
	settle(t, ctx)
	before := everything(t, ctx)
	if out := apply(); strings.Contains(out, "configured") || strings.Contains(out, "created") {
		t.Errorf("applied again, the manifests change something:\n%s", out)
	}
	time.Sleep(6 * time.Second)
	if written := cmp.Diff(before, everything(t, ctx)); written != "" {
		t.Errorf("something was written while nothing happened:\n%s", written)
	}
}

const extra = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: extra, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: extra-disk, namespace: demo}
spec:
  groupName: extra
  type: LoopbackDisk
  loopbackDisk: {file: /array/disk-3.img, size: 64Mi, fsType: ext4, mountPath: /srv/quorate/extra}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: extra-ip, namespace: demo}
spec:
  groupName: extra
  type: IPAddress
  ipAddress: {network: lan, address: 10.77.2.103/24}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: extra-app, namespace: demo}
spec:
  groupName: extra
  type: GenericApplication
  dependsOn: [{name: extra-disk}, {name: extra-ip}]
  genericApplication:
    command: [/opt/quorate/bin/quorate-visits, --listen, "10.77.2.103:80", --file, /srv/quorate/extra/visits]
`

var extraSite = site{group: "extra", url: "http://10.77.2.103/", address: "10.77.2.103", home: "node-c"}

func objects(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	return beside.Objects(t, manifests)
}

// create makes a third group for a test that would leave traces on the samples' groups, such as failures that keep them from failing
// back, and removes it at the end.
func create(t *testing.T, ctx context.Context) {
	t.Helper()
	beside.Create(t, ctx, cluster, extra, func(ctx context.Context) { nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", hosts...) })
	must(t, cluster.WaitOnline(ctx, recovery, "extra", "node-c"))
	ask(t, ctx, extraSite)
}

// gone waits until no object of the third group is left, and nothing of it on any host.
func gone(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, object := range objects(t, extra) {
		must(t, observe.Wait(ctx, recovery, object.GetKind()+" "+object.GetName()+" gone", func(ctx context.Context) (bool, string, error) {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object)
			if apierrors.IsNotFound(err) {
				return true, "", nil
			}
			return false, fmt.Sprint("finalizers ", object.GetFinalizers()), err
		}))
	}
	nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", hosts...)
}

// Whatever the order in which a group and its resources are deleted, nothing is left of them: no object, process, mount, address.
func TestDeletionInAnyOrder(t *testing.T) {
	ctx := begin(t)
	for name, order := range map[string][]int{
		"group first": {0, 1, 2, 3}, "group last": {3, 2, 1, 0}, "disk first": {1, 0, 3, 2}, "address, group, rest": {2, 0, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			create(t, ctx)
			all := objects(t, extra)
			for _, i := range order {
				must(t, client.IgnoreNotFound(cluster.Delete(ctx, all[i])))
			}
			gone(t, ctx)
		})
	}
}

// What one object cannot show to be wrong is refused with Accepted=False, object and field named: it is not started, and nothing else
// is disturbed.
func TestBadObjects(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	bad := strings.ReplaceAll(strings.ReplaceAll(extra, "extra", "wrong"), "[{name: wrong-disk}, {name: wrong-ip}]", "[{name: no-such-thing}]")
	for _, object := range objects(t, bad) {
		must(t, cluster.Create(ctx, object))
		t.Cleanup(func() { _ = cluster.Delete(context.Background(), object) })
	}
	must(t, observe.Wait(ctx, recovery, "the resource is not accepted", func(ctx context.Context) (bool, string, error) {
		r, err := cluster.Resource(ctx, "wrong-app")
		if err != nil {
			return false, "", err
		}
		for _, c := range r.Status.Conditions {
			if c.Type == "Accepted" && c.Status == "False" && strings.Contains(c.Message, "no-such-thing") {
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("%+v", r.Status.Conditions), nil
	}))
	time.Sleep(time.Second)
	for _, host := range hosts {
		if out, err := theLab.Exec(ctx, host, "pgrep", "-f", "quorate-visits.*/srv/quorate/wrong"); err == nil {
			t.Errorf("the application runs on %s as process %s", host, out)
		}
	}
	if after := epochs(t, ctx); after != before {
		t.Errorf("others moved: %s before, %s after", before, after)
	}
}

// A resource is deleted under a running group: what depends on it goes offline alone, and the rest of the group still fails over.
func TestFailoverWithoutDependency(t *testing.T) {
	ctx := begin(t)
	create(t, ctx)
	must(t, cluster.Delete(ctx, objects(t, extra)[2])) // the address, on which the application depends
	must(t, observe.Wait(ctx, recovery, "the application is offline", func(ctx context.Context) (bool, string, error) {
		app, err := cluster.Resource(ctx, "extra-app")
		if err != nil {
			return false, "", err
		}
		return app.Status.State == v1alpha1.ResourceOffline, string(app.Status.State), nil
	}))
	_, err := theLab.Kill(ctx, "node-c")
	must(t, err)
	must(t, observe.Wait(ctx, recovery, "the disk is online elsewhere", func(ctx context.Context) (bool, string, error) {
		disk, err := cluster.Resource(ctx, "extra-disk")
		if err != nil {
			return false, "", err
		}
		state := fmt.Sprintf("%s on %s", disk.Status.State, disk.Status.Node)
		return disk.Status.State == v1alpha1.ResourceOnline && disk.Status.Node != "node-c", state, nil
	}))
	must(t, theLab.Start(ctx, "node-c"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
}
