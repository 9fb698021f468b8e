package e2e

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

// vaultPassword is in the Secret, and must not be anywhere that others read.
const vaultPassword = "only-for-the-process-4711"

// vaultSecret has the one name of a Secret that the lab lets agents read.
const vaultSecret = `
apiVersion: v1
kind: Secret
metadata: {name: lab-tsig, namespace: demo}
stringData: {password: ` + vaultPassword + `}
`

// vault is a group with a process that has its password from a Secret, and a check that wants it there.
const vault = `
apiVersion: quorate.io/v1alpha1
kind: ResourceGroup
metadata: {name: vault, namespace: demo}
spec: {clusterName: demo, preferredOwners: [node-c, node-b, node-a]}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: vault-ip, namespace: demo}
spec: {groupName: vault, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.109/24}}
---
apiVersion: quorate.io/v1alpha1
kind: Resource
metadata: {name: vault-app, namespace: demo}
spec:
  groupName: vault
  type: GenericApplication
  dependsOn: [{name: vault-ip}]
  isAliveInterval: 1s
  genericApplication:
    command: [/bin/sh, -c, "printf %s \"$PASSWORD\" >/run/vault; exec sleep 1000000"]
    env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: vault, key: password}}}]
    health: {isAlive: {exec: {command: [/bin/sh, -c, "test \"$PASSWORD\" = \"$(cat /run/vault)\" && test -n \"$PASSWORD\""]}}}
`

// A variable has what its Secret says, after a power cut too. Before agents are let read it, they say so; and
// nobody is told what is in it.
func TestSecretVariables(t *testing.T) {
	ctx := begin(t)
	beside.Create(t, ctx, cluster, vault, func(ctx context.Context) { nothingLeft(t, ctx, "10.77.2.109", "/no/mount", hosts...) })
	must(t, observe.Wait(ctx, recovery, "node-b says that it cannot read the Secret", func(ctx context.Context) (bool, string, error) {
		n, err := cluster.Node(ctx, "node-b")
		if err != nil || n.Status.Agent == nil {
			return false, "", err
		}
		text := ""
		for _, p := range n.Status.Agent.Problems {
			if p.Reason == v1alpha1.ProblemSecret && p.Object == "demo/vault" {
				text = p.Message
			}
		}
		return strings.Contains(text, "agents need a Role"), text, nil
	}))
	must(t, observe.Wait(ctx, recovery, "the resource says why it does not start", func(ctx context.Context) (bool, string, error) {
		r, err := cluster.Resource(ctx, "vault-app")
		if err != nil {
			return false, "", err
		}
		return strings.Contains(r.Status.Message, "the variable PASSWORD comes from key password of the Secret demo/vault"), r.Status.Message, nil
	}))
	beside.Delete(t, ctx, cluster, vault)
	secret := beside.Objects(t, vaultSecret)[0]
	must(t, cluster.Create(ctx, secret))
	t.Cleanup(func() { must(t, cluster.Delete(context.Background(), secret)) }) // whether it is gone, an operator may not see
	for _, object := range beside.Objects(t, strings.ReplaceAll(vault, "{name: vault, key:", "{name: lab-tsig, key:")) {
		must(t, cluster.Create(ctx, object))
	}
	must(t, cluster.WaitOnline(ctx, recovery, "vault", "node-c"))
	has := func(host string) {
		t.Helper()
		if got := shell(t, ctx, host, "cat /run/vault"); got != vaultPassword {
			t.Errorf("on %s the process has %q", host, got)
		}
	}
	has("node-c")
	// Every host that may own the group has read it ahead.
	for _, host := range hosts {
		eventually(t, ctx, host, "the Secret is known", "grep -q lab-tsig /var/lib/quorate/secrets.json && test $(stat -c %a /var/lib/quorate/secrets.json) = 600")
	}
	_, err := theLab.Kill(ctx, "node-c")
	must(t, err)
	g := movedFrom(t, ctx, site{group: "vault"}, "node-c")
	has(g.Status.Assignment.Node)
	must(t, theLab.Start(ctx, "node-c"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, "node-c"))
	for _, host := range hosts {
		log, err := os.ReadFile(theLab.LogFile(host, "agent"))
		must(t, err)
		if strings.Contains(string(log), vaultPassword) {
			t.Errorf("the password is in the agent's log of %s", host)
		}
		if out := shell(t, ctx, host, "grep -rl "+vaultPassword+" /run/quorate || true"); out != "" {
			t.Errorf("the password is in %s of %s", out, host)
		}
	}
}
