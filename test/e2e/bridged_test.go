package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// stall is a group whose application has an address and a hardware address of its own, and no IPAddress resource.
const stall = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: stall, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: stall-disk, namespace: demo}
spec:
  groupName: stall
  type: LoopbackDisk
  possibleOwners: [node-b, node-c]
  loopbackDisk: {file: /array/disk-6.img, size: 64Mi, fsType: ext4, mountPath: /srv/quorate/stall}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: stall-web, namespace: demo}
spec:
  groupName: stall
  type: Container
  isAliveInterval: 1s
  dependsOn: [{name: stall-disk}]
  container:
    image: quorate.test/visits:1
    pullPolicy: Never
    network: Bridged
    address: 10.77.2.108/24
    command: [/bin/quorate-visits, --listen, "10.77.2.108:80", --file, /data/visits]
    mounts: [{disk: stall-disk, subPath: app, path: /data}]
    looksAlive: {http: {host: 10.77.2.108, port: 80}}
`

// bridge gives a host a bridge with the clients' network as its port, and the host's addresses there on it. The bridge keeps the port's
// hardware address, whatever is plugged into it. No group may have an address on the host meanwhile. It goes with the host, or with the test.
func bridge(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	const move = `move() { for a in $(ip -o addr show dev $1 scope global | awk '{print $4}'); do ip addr del $a dev $1; ip addr add $a dev $2; done; }
`
	shell(t, ctx, host, move+`port=$(ip -o addr show to 10.77.2.0/24 | awk '{print $2; exit}')
ip link add br0 address $(ip -o link show dev $port | sed 's/.*ether \([^ ]*\) .*/\1/') type bridge; ip link set br0 up
move $port br0; ip link set $port master br0; echo $port >/run/port`)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		shell(t, ctx, host, move+`test -e /run/port || exit 0; port=$(cat /run/port); ip link set $port nomaster; move br0 $port; ip link del br0; rm /run/port`)
	})
}

// want sets what is wanted of a group, and waits until it is so.
func want(t *testing.T, ctx context.Context, group string, wanted v1alpha1.DesiredState, state v1alpha1.GroupState) {
	t.Helper()
	g, err := cluster.Group(ctx, group)
	must(t, err)
	before := g.DeepCopy()
	g.Spec.DesiredState = wanted
	must(t, cluster.Patch(ctx, g, client.MergeFrom(before)))
	must(t, cluster.WaitGroup(ctx, recovery, group, string(state), func(g *v1alpha1.ResourceGroup) bool { return g.Status.State == state }))
}

// hardwareAddress is what the clients' host has of an address.
func hardwareAddress(t *testing.T, ctx context.Context, address string) string {
	t.Helper()
	words := strings.Fields(shell(t, ctx, lab.Client, "ip neigh show "+address))
	for i, word := range words {
		if word == "lladdr" && i+1 < len(words) {
			return words[i+1]
		}
	}
	t.Fatalf("the client knows no neighbour %s: %v", address, words)
	return ""
}

// A container that has an address and a hardware address of its own serves clients when its host has lost its power: at the same address, which
// no switch and no neighbour need learn anew, and with all that was acknowledged.
func TestBridgedContainer(t *testing.T) {
	ctx := begin(t)
	s := site{group: "stall", url: "http://10.77.2.108/", address: "10.77.2.108", home: "node-c"}
	want(t, ctx, beside.News.Group, v1alpha1.DesiredOffline, v1alpha1.GroupOffline)
	t.Cleanup(func() { want(t, context.Background(), beside.News.Group, v1alpha1.DesiredOnline, v1alpha1.GroupOnline) })
	image := visitsFile(t)
	for _, host := range []string{"node-b", "node-c"} {
		bridge(t, ctx, host)
		beside.RunContainerd(t, ctx, theLab, host)
		beside.ImportImage(t, ctx, theLab, host, image)
	}
	beside.Create(t, ctx, cluster, stall, func(ctx context.Context) {
		nothingLeft(t, ctx, s.address, "/srv/quorate/stall", hosts...)
		for _, host := range hosts {
			eventually(t, ctx, host, "no cable of a container is left", "! ip -o link | grep -q 'qc[0-9a-f]*@'")
		}
		beside.StopContainerd(ctx, theLab, hosts...)
	})
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
	before, p := ask(t, ctx, s), probe(t, ctx, s)
	hardware := hardwareAddress(t, ctx, s.address)
	if !strings.HasPrefix(hardware, "02:") {
		t.Errorf("%s is at %s, which is the hardware address of a host", s.address, hardware)
	}
	killAgent(t, ctx, s.home)
	time.Sleep(2 * time.Second)
	_, err := theLab.Kill(ctx, s.home)
	must(t, err)
	g := movedFrom(t, ctx, s, s.home)
	time.Sleep(time.Second)
	report := stop(t, p)
	if len(report.Outages) != 1 {
		t.Errorf("want one outage, of the host, and none when the agent was killed: %+v", report.Outages)
	}
	for _, o := range report.Outages {
		t.Logf("clients waited %s, from %s to %s", o.Length, o.HostBefore, o.HostAfter)
	}
	t.Log(observe.Describe(g))
	after := ask(t, ctx, s)
	if after.Count < before.Count+report.Good || g.Status.Assignment.Node != "node-b" {
		t.Errorf("counted %d, then acknowledged %d, now at %d on %s: acknowledged visits are lost", before.Count, report.Good, after.Count, g.Status.Assignment.Node)
	}
	if now := hardwareAddress(t, ctx, s.address); now != hardware {
		t.Errorf("%s was at %s, and is at %s now", s.address, hardware, now)
	}
	must(t, theLab.Start(ctx, s.home))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, s.home))
}
