package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype/container/containertest"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

// visitsImage has the samples' application, and a shell for the health check.
const visitsImage = "quorate.test/visits:1"

// till is a group whose application runs in a container.
const till = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: till, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b, node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: till-disk, namespace: demo}
spec:
  groupName: till
  type: LoopbackDisk
  loopbackDisk: {file: /array/disk-6.img, size: 64Mi, fsType: ext4, mountPath: /srv/quorate/till}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: till-ip, namespace: demo}
spec: {groupName: till, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.107/24}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: till-web, namespace: demo}
spec:
  groupName: till
  type: Container
  possibleOwners: [node-b, node-c]
  isAliveInterval: 1s
  dependsOn: [{name: till-disk}, {name: till-ip}]
  container:
    image: quorate.test/visits:1
    pullPolicy: Never
    command: [/bin/quorate-visits, --listen, "10.77.2.107:80", --file, /data/visits]
    mounts: [{disk: till-disk, subPath: app, path: /data}]
    looksAlive: {http: {host: 10.77.2.107, port: 80}}
    isAlive: {exec: {command: [/bin/sh, -c, "test -s /data/visits || exit 0"]}}
`

// visitsFile is the image in a file.
func visitsFile(t *testing.T) string {
	t.Helper()
	image := containertest.Box(visitsImage)
	image.Files["bin/quorate-visits"] = filepath.Join(os.Getenv("QUORATE_BIN"), "quorate-visits")
	return beside.SaveImage(t, image)
}

// imageOn is what a host's agent says of the image; empty when it says nothing.
func imageOn(ctx context.Context, host string) (v1alpha1.AgentImage, error) {
	var n v1alpha1.Node
	if err := cluster.Get(ctx, client.ObjectKey{Name: host}, &n); err != nil || n.Status.Agent == nil {
		return v1alpha1.AgentImage{}, err
	}
	for _, i := range n.Status.Agent.Images {
		if i.Name == visitsImage {
			return i, nil
		}
	}
	return v1alpha1.AgentImage{}, nil
}

// waitImage waits until a host's agent says so of the image.
func waitImage(t *testing.T, ctx context.Context, host string, want v1alpha1.ImageState) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, host+" says that the image is "+string(want), func(ctx context.Context) (bool, string, error) {
		i, err := imageOn(ctx, host)
		return i.State == want, fmt.Sprintf("%+v", i), err
	}))
}

// imageArrives begins with an image that no host has, and ends with the group at home. Everyone who asks is told what is missing where, and
// the group goes to the first host that gets the image.
func imageArrives(t *testing.T, ctx context.Context, s site, image string) {
	t.Helper()
	waitImage(t, ctx, "node-b", v1alpha1.ImageMissing)
	waitImage(t, ctx, "node-c", v1alpha1.ImageMissing)
	must(t, observe.Wait(ctx, recovery, "the group says that no host has its image", func(ctx context.Context) (bool, string, error) {
		g, err := cluster.Group(ctx, s.group)
		if err != nil {
			return false, "", err
		}
		c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Reason == v1alpha1.GroupReasonImageMissing && strings.Contains(c.Message, visitsImage), observe.Describe(g), nil
	}))
	g, err := cluster.Group(ctx, s.group)
	must(t, err)
	t.Log(observe.Describe(g))
	first := "node-b"
	if g.Status.Assignment != nil && g.Status.Assignment.Node == first {
		first = s.home // it would go back to where it failed after its retry period only
	}
	out, _ := plugin(t, ctx, "explain", "rg/"+s.group, "-n", "demo")
	for _, want := range []string{"ImageMissing", "cannot get an image of the group's containers (" + visitsImage + ")"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("explain does not say %q:\n%s", want, out)
		}
	}
	begun := time.Now()
	beside.ImportImage(t, ctx, theLab, first, image)
	must(t, cluster.WaitOnline(ctx, recovery, s.group, first))
	t.Logf("online on %s %s after the image came", first, time.Since(begun))
	for _, host := range []string{"node-b", "node-c"} {
		beside.ImportImage(t, ctx, theLab, host, image)
		waitImage(t, ctx, host, v1alpha1.ImagePresent)
	}
	if i, err := imageOn(ctx, "node-a"); err != nil || i.Name != "" {
		t.Errorf("node-a, which is no possible owner, speaks of the image: %+v, %v", i, err)
	}
	if first != s.home {
		must(t, cluster.Move(ctx, recovery, s.group, s.home))
	}
}

// A container's service is under the load of an outside client: neither the agent's death nor containerd's is noticed; its host loses its power,
// and another one goes on with everything that was acknowledged; an agent that hangs without a lease is stopped by the guardian, container and all.
func TestContainer(t *testing.T) {
	ctx := begin(t)
	s := site{group: "till", url: "http://10.77.2.107/", address: "10.77.2.107", home: "node-c"}
	image := visitsFile(t)
	beside.RunContainerd(t, ctx, theLab, "node-b")
	beside.RunContainerd(t, ctx, theLab, "node-c")
	beside.Create(t, ctx, cluster, till, func(ctx context.Context) {
		nothingLeft(t, ctx, s.address, "/srv/quorate/till", hosts...)
		beside.StopContainerd(ctx, theLab, hosts...)
	})
	imageArrives(t, ctx, s, image)
	before, p := ask(t, ctx, s), probe(t, ctx, s)

	killAgent(t, ctx, s.home)
	time.Sleep(time.Second)
	if out, err := theLab.Exec(ctx, s.home, "pkill", "-9", "-x", "containerd"); err != nil {
		t.Fatalf("killing containerd: %v: %s", err, out)
	}
	time.Sleep(1500 * time.Millisecond)
	beside.RunContainerd(t, ctx, theLab, s.home)
	time.Sleep(time.Second)
	_, err := theLab.Kill(ctx, s.home)
	must(t, err)
	g := movedFrom(t, ctx, s, s.home)
	time.Sleep(time.Second)
	report := stop(t, p)
	if len(report.Outages) != 1 {
		t.Errorf("want one outage, of the host, and none when agent and containerd were killed: %+v", report.Outages)
	}
	for _, o := range report.Outages {
		t.Logf("clients waited %s, from %s to %s", o.Length, o.HostBefore, o.HostAfter)
	}
	after := ask(t, ctx, s)
	if after.Count < before.Count+report.Good || after.Host != g.Status.Assignment.Node || after.Host != "node-b" {
		t.Errorf("counted %d, then acknowledged %d, now at %d on %s: acknowledged visits are lost", before.Count, report.Good, after.Count, after.Host)
	}
	must(t, theLab.Start(ctx, s.home))
	beside.RunContainerd(t, ctx, theLab, s.home)
	beside.ImportImage(t, ctx, theLab, s.home, image)
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, s.home))
	waitImage(t, ctx, s.home, v1alpha1.ImagePresent) // or the group would not go there

	// The agent of node-b hangs: its guardian stops what runs there.
	if out, err := theLab.Exec(ctx, "node-b", "pkill", "-STOP", "-f", "quorate-agent run"); err != nil {
		t.Fatalf("hanging the agent: %v: %s", err, out)
	}
	hung := time.Now()
	nothingLeft(t, ctx, s.address, "/srv/quorate/till", "node-b")
	t.Logf("the guardian had stopped all %s after the agent hung", time.Since(hung))
	movedFrom(t, ctx, s, "node-b")
	if now := ask(t, ctx, s); now.Count <= after.Count || now.Host != s.home {
		t.Errorf("after %+v: %+v", after, now)
	}
	if _, err := theLab.Exec(ctx, "node-b", "pkill", "-CONT", "-f", "quorate-agent run"); err != nil {
		t.Logf("the hung agent is gone already: %v", err)
	}
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, hosts...))
}
