package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/audit/collect"
	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/auditor"
	"github.com/quorate/quorate/test/observe"
)

// do runs a shell command on a host.
func do(t *testing.T, ctx context.Context, host, script string) {
	t.Helper()
	if out, err := theLab.Exec(ctx, host, "sh", "-c", script); err != nil {
		t.Fatalf("on %s: %s: %v: %s", host, script, err, out)
	}
}

// path is a host's way to a disk, as a program on that host has it.
func path(t *testing.T, host, disk string) reservation.Device {
	t.Helper()
	pid, err := theLab.PID(host)
	must(t, err)
	device, err := reservation.OpenFile(fmt.Sprintf("/proc/%d/root%s", pid, disk), host)
	must(t, err)
	return device
}

// The live audit finds each kind of violation that is planted, all at once, with evidence; and the cluster's own findings are gone
// when they are taken away.
func TestAuditFindsWhatIsPlanted(t *testing.T) {
	ctx := beginUnwatched(t)
	must(t, cluster.WaitNodes(ctx, recovery, "Up", hosts...))
	plant(t, ctx)
	beside, err := auditor.Start(ctx, theLab, auditor.Options{Interval: 250 * time.Millisecond})
	must(t, err)
	defer beside.Stop()
	wanted := map[string]func(audit.Finding) bool{
		"a second address, as clients see it": func(f audit.Finding) bool {
			return f.Invariant == "S1" && strings.Contains(f.Message, "2 machines answer for address "+shop.address)
		},
		"a second address, as hosts have it": func(f audit.Finding) bool {
			return f.Invariant == "S1" && f.Object == "Resource demo/shop-ip" && strings.Contains(f.Message, "node-c")
		},
		"a left-over mount": func(f audit.Finding) bool {
			return f.Object == "Resource demo/news-disk" && strings.Contains(f.Message, "node-a")
		},
		"a mount of nobody": func(f audit.Finding) bool {
			return f.Invariant == "S9" && f.Object == "Node node-c" && strings.Contains(f.Message, "/srv/quorate/nobody")
		},
		"a foreign key": func(f audit.Finding) bool {
			return f.Invariant == "S2" && f.Object == "Resource demo/spare-disk" && strings.Contains(f.Message, "not of this cluster")
		},
		"a process outside": func(f audit.Finding) bool {
			return f.Invariant == "S9" && f.Object == "Resource demo/spare-app" && strings.Contains(f.Message, "which Quorate has not started")
		},
	}
	must(t, observe.Wait(ctx, 30*time.Second, "everything that was planted is found", func(context.Context) (bool, string, error) {
		var missing []string
		verdict := beside.Verdict()
		for name, is := range wanted {
			found := false
			for _, f := range verdict.Findings {
				found = found || is(f) && f.Severity == audit.Violation && len(f.Evidence) > 0
			}
			if !found {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0, "not found: " + strings.Join(missing, ", "), nil
	}))
	testCommands(t, ctx)
}

// spare is a group that is wanted Offline, so that nobody minds what is done to its disk and its command.
var spare = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(extra, "extra", "spare"), "10.77.2.103", "10.77.2.104"),
	"spec: {clusterName: demo,", "spec: {clusterName: demo, desiredState: Offline,")

// plant breaks what the audit should find, and mends it at the test's end.
func plant(t *testing.T, ctx context.Context) {
	t.Helper()
	mend := func(host, script string) {
		t.Cleanup(func() {
			if _, err := theLab.Exec(context.Background(), host, "sh", "-c", script); err != nil {
				t.Errorf("mending %s: %v", host, err)
			}
		})
	}
	for _, object := range objects(t, strings.ReplaceAll(spare, "disk-3.img", "disk-5.img")) {
		must(t, cluster.Create(ctx, object))
		t.Cleanup(func() { must(t, cluster.Delete(context.Background(), object)) })
	}
	do(t, ctx, "node-c", "ip addr add "+shop.address+"/24 dev lan0")
	mend("node-c", "ip addr del "+shop.address+"/24 dev lan0")
	do(t, ctx, "node-a", "mkdir -p /srv/quorate/news && mount -t tmpfs tmpfs /srv/quorate/news")
	mend("node-a", "umount /srv/quorate/news")
	do(t, ctx, "node-c", "mkdir -p /srv/quorate/nobody && mount -t tmpfs tmpfs /srv/quorate/nobody")
	mend("node-c", "umount /srv/quorate/nobody")
	const foreign = reservation.Key(0x1122334455667788)
	must(t, path(t, "node-b", "/array/disk-5.img").RegisterIgnore(ctx, foreign))
	t.Cleanup(func() { must(t, path(t, "node-b", "/array/disk-5.img").RegisterIgnore(context.Background(), 0)) })
	do(t, ctx, "node-b", "mkdir -p /srv/quorate/spare && ip addr add 10.77.2.104/32 dev lan0 && "+
		"setsid /opt/quorate/bin/quorate-visits --listen 10.77.2.104:80 --file /srv/quorate/spare/visits >/dev/null 2>&1 </dev/null &")
	mend("node-b", "pkill -f '[q]uorate-visits.*10.77.2.104'; ip addr del 10.77.2.104/32 dev lan0; rm -rf /srv/quorate/spare")
}

// testCommands runs the commands that people use, while there is something to find.
func testCommands(t *testing.T, ctx context.Context) {
	t.Run("kubectl quorate audit", func(t *testing.T) {
		facts := filepath.Join(t.TempDir(), "node-c.json")
		out, err := theLab.Exec(ctx, "node-c", "quorate-agent", "audit", "--local", "-o", "json", "--for", "1s")
		must(t, err) // what a host alone can tell is in order there
		local, err := collect.ParseLocalReport([]byte(out))
		must(t, err)
		if local.Host.Node != "node-c" || local.Host.Lease == nil || len(local.Host.Mounts) == 0 {
			t.Errorf("facts of node-c: %+v", local.Host)
		}
		must(t, os.WriteFile(facts, []byte(out), 0o600))
		v, code := kubectlAudit(t, ctx, "--for", "7s", "--host-facts", facts)
		if code != 1 || v.Violations() == 0 || v.Seen[audit.SourceHosts] == 0 {
			t.Errorf("exit code %d, verdict %+v: want the address on node-c to be found", code, v)
		}
	})
	t.Run("the API alone", func(t *testing.T) {
		v, code := kubectlAudit(t, ctx, "--for", "4s")
		if code != 0 || v.Violations() > 0 || v.Looks < 3 {
			t.Errorf("exit code %d, verdict %+v: the API shows nothing of what is planted", code, v)
		}
	})
	t.Run("no API", func(t *testing.T) {
		if _, code := kubectlAudit(t, ctx, "--for", "1s", "--kubeconfig", "/does/not/exist"); code != 2 {
			t.Errorf("exit code %d, want 2", code)
		}
	})
}

// kubectlAudit runs the plugin as a person on this machine does.
func kubectlAudit(t *testing.T, ctx context.Context, args ...string) (v *audit.Verdict, code int) {
	t.Helper()
	out, code := plugin(t, ctx, append([]string{"audit", "-o", report.JSON}, args...)...)
	v = &audit.Verdict{}
	if len(out) > 0 {
		must(t, json.Unmarshal(out, v))
	}
	return v, code
}

// A key of an earlier epoch is found in the moment before the disk's owner removes it, and one that returns is found again.
func TestAuditFindsStaleKey(t *testing.T) {
	ctx := beginUnwatched(t)
	g, err := cluster.Group(ctx, shop.group)
	must(t, err)
	status, err := theLab.Status(ctx)
	must(t, err)
	holder, err := reservation.ParseKey(status.Disks[0].Reservation.Holder)
	must(t, err)
	node, err := cluster.Node(ctx, "node-c")
	must(t, err)
	stale, err := reservation.NewKey(holder.Cluster(), model.NodeID(node.Status.ID), holder.Epoch()-1)
	must(t, err)
	device := path(t, "node-c", "/array/disk-1.img")
	beside, err := auditor.Start(ctx, theLab, auditor.Options{Interval: 200 * time.Millisecond})
	must(t, err)
	defer beside.Stop()
	must(t, observe.Wait(ctx, 30*time.Second, "the stale key is found", func(ctx context.Context) (bool, string, error) {
		if err := device.RegisterIgnore(ctx, stale); err != nil {
			return false, "", err
		}
		for _, f := range beside.Verdict().Findings {
			if f.Invariant == "S2" && f.Object == "Resource demo/shop-disk" && strings.Contains(f.Message, "stale key") {
				return true, "", nil
			}
		}
		return false, beside.Verdict().Summary(), nil
	}))
	must(t, observe.Wait(ctx, 20*time.Second, "the owner removes it", func(ctx context.Context) (bool, string, error) {
		status, err := theLab.Status(ctx)
		return err == nil && len(status.Disks[0].Reservation.Keys) == 1, "", err
	}))
	if now, err := cluster.Group(ctx, shop.group); err != nil || now.Status.Assignment.Epoch != g.Status.Assignment.Epoch {
		t.Errorf("the group has moved: %v", err)
	}
}
