package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// problemsOf are the agent's problems with a reason.
func problemsOf(ctx context.Context, host, reason string) ([]v1alpha1.AgentProblem, error) {
	var n v1alpha1.Node
	if err := cluster.Get(ctx, client.ObjectKey{Name: host}, &n); err != nil {
		return nil, err
	}
	var found []v1alpha1.AgentProblem
	if n.Status.Agent != nil {
		for _, p := range n.Status.Agent.Problems {
			if p.Reason == reason {
				found = append(found, p)
			}
		}
	}
	return found, nil
}

// A container's service is under the load of an outside client: neither the agent's death nor containerd's is noticed; its host loses its power,
// and another one goes on with everything that was acknowledged; an agent that hangs without a lease is stopped by the guardian, container and all.
func TestContainer(t *testing.T) {
	ctx := begin(t)
	s := site{group: "till", url: "http://10.77.2.107/", address: "10.77.2.107", home: "node-c"}
	image := visitsFile(t)
	beside.RunContainerd(t, ctx, theLab, "node-b")
	beside.RunContainerd(t, ctx, theLab, "node-c")
	beside.ImportImage(t, ctx, theLab, "node-c", image)
	beside.Create(t, ctx, cluster, till, func(ctx context.Context) {
		nothingLeft(t, ctx, s.address, "/srv/quorate/till", hosts...)
		beside.StopContainerd(ctx, theLab, hosts...)
	})
	begun := time.Now()
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
	t.Logf("online %s after it was made", time.Since(begun))
	before, p := ask(t, ctx, s), probe(t, ctx, s)
	missing := func(wanted int) func(context.Context) (bool, string, error) {
		return func(ctx context.Context) (bool, string, error) {
			problems, err := problemsOf(ctx, "node-b", v1alpha1.ProblemMissingImage)
			return len(problems) == wanted && (wanted == 0 || problems[0].Object == visitsImage), fmt.Sprint(problems), err
		}
	}
	must(t, observe.Wait(ctx, recovery, "node-b says that it lacks the image", missing(1)))
	beside.ImportImage(t, ctx, theLab, "node-b", image)
	must(t, observe.Wait(ctx, recovery, "node-b lacks nothing", missing(0)))
	if problems, err := problemsOf(ctx, "node-a", v1alpha1.ProblemContainerd); err != nil || len(problems) > 0 {
		t.Errorf("node-a, which is no possible owner, complains: %v, %v", problems, err)
	}

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
