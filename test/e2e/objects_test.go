package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/observe"
)

// versions are the resource versions of everything of ours.
func versions(t *testing.T, ctx context.Context) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.ClusterList{}, &v1alpha1.NodeList{}, &v1alpha1.QuorumConfigList{}, &v1alpha1.ResourceGroupList{}, &v1alpha1.ResourceList{},
	} {
		must(t, cluster.List(ctx, list))
		raw, err := unstructuredItems(list)
		must(t, err)
		for _, item := range raw {
			all[fmt.Sprintf("%T %s", list, client.ObjectKeyFromObject(item))] = item.GetResourceVersion()
		}
	}
	return all
}

func unstructuredItems(list client.ObjectList) ([]client.Object, error) {
	var items []client.Object
	switch l := list.(type) {
	case *v1alpha1.ClusterList:
		for i := range l.Items {
			items = append(items, &l.Items[i])
		}
	case *v1alpha1.NodeList:
		for i := range l.Items {
			items = append(items, &l.Items[i])
		}
	case *v1alpha1.QuorumConfigList:
		for i := range l.Items {
			items = append(items, &l.Items[i])
		}
	case *v1alpha1.ResourceGroupList:
		for i := range l.Items {
			items = append(items, &l.Items[i])
		}
	case *v1alpha1.ResourceList:
		for i := range l.Items {
			items = append(items, &l.Items[i])
		}
	default:
		return nil, fmt.Errorf("unknown list %T", list)
	}
	return items, nil
}

// Manifests that are applied again change nothing, and an idle cluster writes nothing to any object of ours.
func TestReapplyAndIdle(t *testing.T) {
	ctx := begin(t)
	time.Sleep(3 * time.Second) // let the last writes of the test before settle
	before := versions(t, ctx)
	command := exec.CommandContext(ctx, kubectl(t), "--kubeconfig", theLab.Kubeconfig(), "apply", "-R", "-f", samples)
	if out, err := command.CombinedOutput(); err != nil || strings.Contains(string(out), "configured") || strings.Contains(string(out), "created") {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	time.Sleep(6 * time.Second)
	for name, version := range versions(t, ctx) {
		if before[name] != version {
			t.Errorf("%s was written while nothing happened", name)
		}
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
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); err != nil {
			return all
		}
		all = append(all, object)
	}
}

// Whatever the order in which a group and its resources are deleted, nothing is left of them: no object, process, mount, address.
func TestDeletionInAnyOrder(t *testing.T) {
	ctx := begin(t)
	for name, order := range map[string][]int{
		"group first": {0, 1, 2, 3}, "group last": {3, 2, 1, 0}, "disk first": {1, 0, 3, 2}, "address, group, rest": {2, 0, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, object := range objects(t, extra) {
				must(t, cluster.Create(ctx, object))
			}
			must(t, cluster.WaitOnline(ctx, recovery, "extra", "node-c"))
			ask(t, ctx, extraSite)
			all := objects(t, extra)
			for _, i := range order {
				must(t, client.IgnoreNotFound(cluster.Delete(ctx, all[i])))
			}
			for _, object := range all {
				must(t, observe.Wait(ctx, recovery, object.GetKind()+" "+object.GetName()+" gone", func(ctx context.Context) (bool, string, error) {
					err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object)
					if apierrors.IsNotFound(err) {
						return true, "", nil
					}
					return false, fmt.Sprint("finalizers ", object.GetFinalizers()), err
				}))
			}
			nothingLeft(t, ctx, extraSite.address, "/srv/quorate/extra", hosts...)
		})
	}
}

// What one object cannot show to be wrong is refused with Accepted=False, object and field named, and nothing on the hosts changes.
func TestBadObjects(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	bad := strings.ReplaceAll(strings.ReplaceAll(extra, "extra", "wrong"), "[{name: wrong-disk}, {name: wrong-ip}]", "[{name: no-such-thing}]")
	for _, object := range objects(t, bad) {
		must(t, cluster.Create(ctx, object))
		t.Cleanup(func() { _ = cluster.Delete(context.Background(), object) })
	}
	must(t, cluster.WaitGroup(ctx, recovery, "wrong", "not accepted", func(g *v1alpha1.ResourceGroup) bool {
		for _, c := range g.Status.Conditions {
			if c.Type == "Accepted" && c.Status == "False" && strings.Contains(c.Message, "no-such-thing") {
				return true
			}
		}
		return false
	}))
	time.Sleep(time.Second)
	nothingLeft(t, ctx, "10.77.2.103", "/srv/quorate/wrong", hosts...)
	if after := epochs(t, ctx); after != before {
		t.Errorf("others moved: %s before, %s after", before, after)
	}
}
