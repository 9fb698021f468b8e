package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
)

// keptKey is the key of the group's name: %[1]s is the secret. It goes after the group, which needs it to take its name out of DNS.
const keptKey = `
apiVersion: v1
kind: Secret
metadata: {name: lab-tsig, namespace: demo}
stringData: {name: trade-key, secret: %[1]s}
`

// kept is a group of every type that the lab's hosts can run by themselves: %[1]s is the DNS server's address.
const kept = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: kept, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b, node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-disk, namespace: demo}
spec: {groupName: kept, type: LoopbackDisk, loopbackDisk: {file: /array/disk-7.img, size: 64Mi, fsType: ext4, mountPath: /srv/quorate/kept}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-ip, namespace: demo}
spec: {groupName: kept, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.109/24}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-ip6, namespace: demo}
spec: {groupName: kept, type: IPAddress, ipAddress: {network: lan, address: "fd77:2::109/64"}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-name, namespace: demo}
spec:
  groupName: kept
  type: NetworkName
  dependsOn: [{name: kept-ip}, {name: kept-ip6}]
  networkName: {name: kept, dns: {server: %[1]s, zone: example.org, tsigSecretRef: {name: lab-tsig}}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-once, namespace: demo}
spec:
  groupName: kept
  type: GenericApplication
  dependsOn: [{name: kept-disk}]
  genericApplication: {mode: OneShot, command: [/bin/sh, -c, "echo ran >> /srv/quorate/kept/runs; sync /srv/quorate/kept/runs"]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-web, namespace: demo}
spec:
  groupName: kept
  type: GenericApplication
  dependsOn: [{name: kept-once}, {name: kept-name}]
  genericApplication:
    command: [/opt/quorate/bin/quorate-visits, --listen, "[fd77:2::109]:80", --file, /srv/quorate/kept/web]
    useNetworkName: true
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: kept-ocf, namespace: demo}
spec:
  groupName: kept
  type: OCF
  dependsOn: [{name: kept-once}, {name: kept-ip}]
  ocf:
    provider: heartbeat
    agent: anything
    parameters:
      - {name: binfile, value: /opt/quorate/bin/quorate-visits}
      - {name: cmdline_options, value: "--listen 10.77.2.109:80 --file /srv/quorate/kept/ocf"}
      - {name: pidfile, value: /run/kept.pid}
`

// once is what runs once; the ids of processes and mounts may come again after a boot.
const (
	once      = "GenericApplication, OneShot"
	processes = "LoopbackDisk, GenericApplication, OCF"
)

// signs are what would differ if a resource had been touched, for each type by its own.
func signs(t *testing.T, ctx context.Context, host string, mark func() string) map[string]string {
	t.Helper()
	found := map[string]string{"NetworkName": mark()}
	for what, script := range map[string]string{
		"LoopbackDisk":       `awk '$5 == "/srv/quorate/kept" {print $1, $3}' /proc/self/mountinfo`, // a new mount has a new id
		"IPAddress":          `ip -o addr | awk '$4 ~ "109/" {print $1, $4}'`,
		"GenericApplication": `pgrep -f '[q]uorate-visits.*fd77:2::109'`,
		once:                 `cat /srv/quorate/kept/runs`,
		"OCF":                `pgrep -f '[q]uorate-visits.*10.77.2.109'`,
	} {
		out, err := theLab.Exec(ctx, host, "sh", "-c", script)
		if out = strings.Join(strings.Fields(out), " "); err != nil || out == "" {
			t.Fatalf("%s on %s: %q, %v", what, host, out, err)
		}
		found[what] = out
	}
	for _, name := range []string{"kept-disk", "kept-ip", "kept-ip6", "kept-name", "kept-once", "kept-web", "kept-ocf"} {
		r, err := cluster.Resource(ctx, name)
		must(t, err)
		found[name] = fmt.Sprintf("%s at epoch %d since %s, %d restarts", r.Status.State, r.Status.Epoch, r.Status.OnlineSince, r.Status.Restarts)
	}
	return found
}

// patient gives agents four seconds to come back, whatever else the machine does: what this test looks at is what they take over. With the second that
// hosts have by default the same is done by TestAgentKilledUnderLoad.
func patient(t *testing.T, ctx context.Context) {
	t.Helper()
	set := func(ctx context.Context, threshold int32) {
		var c v1alpha1.Cluster
		must(t, cluster.Get(ctx, client.ObjectKey{Name: "demo"}, &c))
		before := c.DeepCopy()
		c.Spec.Heartbeat.Threshold = new(threshold)
		must(t, cluster.Patch(ctx, &c, client.MergeFrom(before)))
	}
	set(ctx, 16)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		set(ctx, v1alpha1.DefaultHeartbeatThreshold)
		time.Sleep(5 * time.Second) // promises that were made for longer have run out
	})
	time.Sleep(5 * time.Second)
}

// The agent of a host with one resource of every type dies, and is replaced, again and again under the load of outside clients: no request of theirs
// is lost, no name is missing for a moment, and every mount, address, process and record is the one that was there. After a power cut nothing is taken over.
func TestEverythingIsAdopted(t *testing.T) {
	ctx := begin(t)
	const home = "node-c"
	patient(t, ctx)
	secret := base64.StdEncoding.EncodeToString([]byte("the secret of the lab's zone"))
	b := nameServer(t, ctx, secret)
	key := beside.Objects(t, fmt.Sprintf(keptKey, secret))[0]
	must(t, cluster.Create(ctx, key))
	t.Cleanup(func() { // whoever may delete it may not look whether it is there
		ctx, cancel := context.WithTimeout(context.Background(), recovery)
		defer cancel()
		must(t, client.IgnoreNotFound(cluster.Delete(ctx, key)))
	})
	beside.Create(t, ctx, cluster, fmt.Sprintf(kept, b.Address), func(ctx context.Context) {
		nothingLeft(t, ctx, "10.77.2.109", "/srv/quorate/kept", hosts...)
		nothingLeft(t, ctx, "fd77:2::109", "/srv/quorate/kept", hosts...)
	})
	must(t, cluster.WaitOnline(ctx, recovery, "kept", home))
	const name = "kept.example.org."
	says(t, ctx, b, name, dns.TypeA, "10.77.2.109")
	says(t, ctx, b, name, dns.TypeAAAA, "fd77:2::109")
	mark := func() string {
		got, err := b.Ask("_quorate."+name, dns.TypeTXT)
		must(t, err)
		return fmt.Sprint(got)
	}
	before := signs(t, ctx, home, mark)
	web := site{group: "kept", url: "http://[fd77:2::109]/", address: "fd77:2::109", home: home}
	ocf := site{group: "kept (OCF)", url: "http://10.77.2.109/", address: "10.77.2.109", home: home}
	webProbe, ocfProbe, missed := probe(t, ctx, web), probe(t, ctx, ocf), watchName(t, b, name)
	for i, signal := range []string{"-9", "-9", "-TERM", "-9", "-TERM", "-9"} {
		time.Sleep(time.Second + time.Duration(i)*137*time.Millisecond)
		if out, err := theLab.Exec(ctx, home, "pkill", signal, "-f", "quorate-agent run"); err != nil {
			t.Fatalf("ending the agent: %v: %s", err, out)
		}
	}
	time.Sleep(7 * time.Second) // longer than any owner waits before it removes what it had in DNS, and than every quick check
	quiet(t, web, webProbe)
	quiet(t, ocf, ocfProbe)
	if n := missed(); n > 0 {
		t.Errorf("%d times a client was told that there is no such name", n)
	}
	for what, now := range signs(t, ctx, home, mark) {
		if now != before[what] {
			t.Errorf("%s: %s before, %s after", what, before[what], now)
		}
	}

	group, err := cluster.Group(ctx, "kept")
	must(t, err)
	epoch := group.Status.Assignment.Epoch
	_, err = theLab.Kill(ctx, home)
	must(t, err)
	must(t, theLab.Start(ctx, home))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, home))
	must(t, cluster.WaitGroup(ctx, recovery, "kept", "online anew", func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.State == v1alpha1.GroupOnline && g.Status.Assignment.Epoch > epoch
	}))
	group, err = cluster.Group(ctx, "kept")
	must(t, err)
	marked(t, ctx, b, "kept")
	nothingLeft(t, ctx, "10.77.2.109", "/srv/quorate/kept", others(group.Status.Assignment.Node)...)
	after := signs(t, ctx, group.Status.Assignment.Node, mark)
	if want := before[once] + " ran"; after[once] != want {
		t.Errorf("what runs once has run %q, want %q", after[once], want)
	}
	for what, now := range after {
		if now == before[what] && what != "IPAddress" && !strings.Contains(processes, what) {
			t.Errorf("%s is as it was before the power cut: %s", what, now)
		}
	}
}
