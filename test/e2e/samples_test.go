package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// addSample applies a sample to the demo's cluster; all of it goes at the end, from the hosts too.
func addSample(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	manifests, err := os.ReadFile("../../config/samples/" + file)
	must(t, err)
	beside.Create(t, ctx, cluster, string(manifests), func(ctx context.Context) {
		for _, object := range objects(t, string(manifests)) {
			address := field(object.Object, "spec", "ipAddress", "address")
			mount := field(object.Object, "spec", "loopbackDisk", "mountPath")
			if address+mount != "" {
				before, _, _ := strings.Cut(address, "/")
				nothingLeft(t, ctx, cmp.Or(before, "no-address"), cmp.Or(mount, "/no/mount"), hosts...)
			}
		}
	})
}

func field(object map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		object, _ = object[name].(map[string]any)
	}
	text, _ := object[path[len(path)-1]].(string)
	return text
}

// shell runs a script on a host.
func shell(t *testing.T, ctx context.Context, host, script string) string {
	t.Helper()
	out, err := theLab.Exec(ctx, host, "sh", "-ec", script)
	if err != nil {
		t.Fatalf("on %s: %s: %v: %s", host, script, err, out)
	}
	return strings.TrimSpace(out)
}

// eventually waits until a script on a host ends well.
func eventually(t *testing.T, ctx context.Context, host, what, script string) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, what+" on "+host, func(ctx context.Context) (bool, string, error) {
		out, err := theLab.Exec(ctx, host, "sh", "-ec", script)
		return err == nil, fmt.Sprintf("%s (%v)", out, err), nil
	}))
}

func owner(t *testing.T, ctx context.Context, group string) string {
	t.Helper()
	g, err := cluster.Group(ctx, group)
	must(t, err)
	if g.Status.Assignment == nil || g.Status.Assignment.Node == "" {
		t.Fatalf("%s is nowhere: %s", group, observe.Describe(g))
	}
	return g.Status.Assignment.Node
}

// lease asks for an address as a client of the given number does, for a certain one if want is not empty. It returns the address and the
// server's, empty when there is no answer.
func lease(ctx context.Context, number int, want string) (address, server string) {
	args := []string{
		"busybox", "udhcpc", "-i", "lan0", "-f", "-q", "-n", "-t", "3", "-T", "1", "-C", "-x", fmt.Sprintf("0x3d:0051%04x", number), "-s", "/run/lease.sh",
	}
	if want != "" {
		args = append(args, "-r", want)
	}
	out, err := theLab.Exec(ctx, lab.Client, args...)
	fields := strings.Fields(out)
	if err != nil || len(fields) != 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

// leased is the address that a client gets, who asks until there is an answer.
func leased(t *testing.T, ctx context.Context, number int, want string) (address string) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, "client "+strconv.Itoa(number)+" has an address", func(ctx context.Context) (bool, string, error) {
		var server string
		if address, server = lease(ctx, number, want); address != "" && server != "10.77.2.141" {
			t.Errorf("the server calls itself %s: its clients would ask a host that may be gone", server)
		}
		return address != "", "no answer", nil
	}))
	return address
}

// Samples that are added to the demo's, under a power cut of the host that has most of them: a DHCP server whose clients keep their addresses,
// a job that copies files, and applications that need a licence server, which is a group of its own.
func TestSamples(t *testing.T) {
	ctx := begin(t)
	shell(t, ctx, lab.Client, `printf '#!/bin/sh\n[ "$1" != bound ] || echo "$ip $serverid"\n' > /run/lease.sh; chmod 755 /run/lease.sh`)
	for _, file := range []string{"dhcp.yaml", "file-sync.yaml", "licence-server.yaml"} {
		addSample(t, ctx, file)
	}
	const host = "node-c"
	for _, group := range []string{"dhcp", "mirror", "licences"} {
		must(t, cluster.WaitOnline(ctx, recovery, group, host))
	}

	for _, group := range []string{"solver-1", "solver-2"} {
		must(t, cluster.WaitOnline(ctx, recovery, group, ""))
	}

	had := leased(t, ctx, 1, "")
	shell(t, ctx, host, "echo one > /srv/quorate/files/one; echo two > /srv/quorate/files/two; sync -f /srv/quorate/files")
	eventually(t, ctx, host, "the copies", "cmp /srv/quorate/files/one /srv/quorate/mirror/one && cmp /srv/quorate/files/two /srv/quorate/mirror/two")
	licences := site{group: "licences", url: "http://10.77.2.131:27000/", address: "10.77.2.131"}
	solvers := []string{owner(t, ctx, "solver-1"), owner(t, ctx, "solver-2")}
	if slices.Contains(solvers, host) || solvers[0] == solvers[1] {
		t.Errorf("the solvers are on %v, the licence server is on %s: they avoid each other", solvers, host)
	}
	processes := solverProcesses(t, ctx, solvers)
	issued := ask(t, ctx, licences).Count
	if issued < 3 {
		t.Errorf("the licence server has handed out %d: two solvers and this test have one each", issued)
	}

	_, err := theLab.Kill(ctx, host)
	must(t, err)
	for _, group := range []string{"dhcp", "mirror", "licences"} {
		movedFrom(t, ctx, site{group: group}, host)
	}
	if other := leased(t, ctx, 2, had); other == had {
		t.Errorf("%s was given to a second client", had)
	}
	if has := leased(t, ctx, 1, ""); has != had {
		t.Errorf("a client had %s before the failover, and has %s now", had, has)
	}
	now := owner(t, ctx, "mirror")
	shell(t, ctx, now, "cmp /srv/quorate/files/one /srv/quorate/mirror/one; echo three > /srv/quorate/files/three; rm /srv/quorate/files/two; sync -f /srv/quorate/files")
	eventually(t, ctx, now, "the copy", "cmp /srv/quorate/files/three /srv/quorate/mirror/three && test ! -e /srv/quorate/mirror/two")
	if count := ask(t, ctx, licences).Count; count <= issued {
		t.Errorf("licence %d was handed out, and then %d", issued, count)
	}
	if same := solverProcesses(t, ctx, solvers); same != processes {
		t.Errorf("the solvers were %s and are %s: a failover of the licence server must not stop them", processes, same)
	}
	must(t, theLab.Start(ctx, host))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, host))
}

// solverProcesses are those that the solvers run as, on the hosts that have them.
func solverProcesses(t *testing.T, ctx context.Context, on []string) string {
	t.Helper()
	var all []string
	for i, host := range on {
		group := fmt.Sprintf("solver-%d", i+1)
		all = append(all, shell(t, ctx, host, "test -s /run/"+group+`.licence
for p in /proc/[0-9]*; do
  if tr '\0' '\n' < $p/environ 2>/dev/null | grep -qx QUORATE_GROUP=`+group+` && grep -aq ^/bin/sh $p/cmdline; then echo $p; fi
done`))
	}
	return strings.Join(all, " ")
}
