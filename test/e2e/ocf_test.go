package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// ledger is a group whose application an OCF agent of the package resource-agents runs.
const ledger = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: ledger, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b, node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: ledger-disk, namespace: demo}
spec:
  groupName: ledger
  type: LoopbackDisk
  loopbackDisk: {file: /array/disk-6.img, size: 64Mi, fsType: ext4, mountPath: /srv/quorate/ledger}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: ledger-ip, namespace: demo}
spec: {groupName: ledger, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.103/24}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: ledger-web, namespace: demo}
spec:
  groupName: ledger
  type: OCF
  separateMonitor: true
  dependsOn: [{name: ledger-disk}, {name: ledger-ip}]
  ocf:
    provider: heartbeat
    agent: anything
    parameters:
      - {name: binfile, value: /opt/quorate/bin/quorate-visits}
      - {name: cmdline_options, value: "--listen 10.77.2.103:80 --file /srv/quorate/ledger/visits"}
      - {name: pidfile, value: /run/ledger.pid}
`

// monitorProcess is the id of the one process on the host in which a resource's code runs by itself.
func monitorProcess(t *testing.T, ctx context.Context, host string) string {
	t.Helper()
	out, err := theLab.Exec(ctx, host, "pgrep", "-f", "^quorate-agent monitor")
	if pids := strings.Fields(out); err != nil || len(pids) != 1 {
		t.Fatalf("the monitor processes of %s: %q, %v: want one", host, out, err)
	}
	return strings.TrimSpace(out)
}

// An OCF agent's service is under the load of an outside client: its own monitor process is killed, then the agent
// of its host, and nobody notices; its process is killed and
// it is there again; its host loses its power, and another one goes on with everything that was acknowledged.
func TestOCFAgent(t *testing.T) {
	ctx := begin(t)
	s := site{group: "ledger", url: "http://10.77.2.103/", address: "10.77.2.103", home: "node-c"}
	beside.Create(t, ctx, cluster, ledger, func(ctx context.Context) { nothingLeft(t, ctx, s.address, "/srv/quorate/ledger", hosts...) })
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
	before, p := ask(t, ctx, s), probe(t, ctx, s)

	monitor := monitorProcess(t, ctx, s.home)
	if _, err := theLab.Exec(ctx, s.home, "kill", "-9", monitor); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if now := monitorProcess(t, ctx, s.home); now == monitor {
		t.Errorf("the resource's monitor process %s was killed and is still there", now)
	}
	killAgent(t, ctx, s.home)
	time.Sleep(2 * time.Second)
	if _, err := theLab.Exec(ctx, s.home, "pkill", "-9", "-f", "quorate-visits.*"+s.address); err != nil {
		t.Fatal(err)
	}
	must(t, observe.Wait(ctx, recovery, "restarted in place", func(ctx context.Context) (bool, string, error) {
		out, err := theLab.Exec(ctx, lab.Client, "curl", "-sS", "--max-time", "2", s.url)
		var v visit
		return err == nil && json.Unmarshal([]byte(out), &v) == nil && v.Host == s.home && v.PID != before.PID, out, nil
	}))
	must(t, cluster.WaitOnline(ctx, recovery, s.group, s.home))
	time.Sleep(time.Second)
	_, err := theLab.Kill(ctx, s.home)
	must(t, err)
	movedFrom(t, ctx, s, s.home)
	time.Sleep(time.Second)
	report := stop(t, p)
	if len(report.Outages) != 2 {
		t.Errorf("want two outages, of the process and of the host, and none when its monitor or the agent was killed: %+v", report.Outages)
	}
	for _, o := range report.Outages {
		t.Logf("clients waited %s, from %s to %s", o.Length, o.HostBefore, o.HostAfter)
	}
	if after := ask(t, ctx, s); after.Count < before.Count+report.Good {
		t.Errorf("counted %d, then acknowledged %d, now at %d: acknowledged visits are lost", before.Count, report.Good, after.Count)
	}
	must(t, theLab.Start(ctx, s.home))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, s.home))
}
