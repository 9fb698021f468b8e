package api

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// kubectl runs the real kubectl with an administrator's kubeconfig.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	user, err := testEnv.AddUser(envtest.User{Name: "root", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), append([]string{"--kubeconfig", path}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestPrinterColumns reads what people see, by the short names.
func TestPrinterColumns(t *testing.T) {
	now := time.Now().UTC().Format(time.RFC3339)
	ready := `conditions: [{type: Ready, status: "True", reason: Ready, message: "", lastTransitionTime: "` + now + `"}]`
	cluster, node, quorum := base(t, "Cluster"), base(t, "Node"), base(t, "QuorumConfig")
	group, resource := base(t, "ResourceGroup"), base(t, "Resource")
	create(t, admin, cluster, node, quorum, group, resource)
	for _, c := range []change{
		{object: cluster, patch: `{status: {quorate: true, nodesUp: 2, nodesTotal: 3, groupsOnline: 1, groupsTotal: 1, failuresLeft: 1, membership: {viewID: {number: 1, coordinator: 1}, since: "` + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z") + `"}, ` + ready + `}}`},
		{object: node, patch: `{status: {id: 1, state: Up, role: Active, ` + ready + `}}`},
		{object: quorum, patch: `{status: {votesRequired: 2, votesPresent: 3, witness: {state: None}, ` + ready + `}}`},
		{object: group, patch: `{status: {state: Online, owner: node, since: "` + now + `", lastFailover: {time: "` + now + `"}, ` + ready + `}}`},
		{object: resource, patch: `{status: {state: Online, node: node, lastTransitionTime: "` + now[:19] + `.000000Z", ` + ready + `}}`},
	} {
		c.by, c.status = admin, true
		c.try(t)
	}
	// AGE stands for any age.
	cases := map[string][][]string{
		"qcl":   {{"NAME", "QUORATE", "NODES UP", "NODES", "GROUPS ONLINE", "GROUPS", "FAILURES LEFT", "SINCE", "READY"}, {"c", "true", "2", "3", "1", "1", "1", "AGE", "True"}},
		"qnode": {{"NAME", "CLUSTER", "ID", "STATE", "AVAILABILITY", "ROLE", "SINCE", "READY"}, {"node", "c", "1", "Up", "Available", "Active", "AGE", "True"}},
		"qq":    {{"NAME", "MODE", "REQUIRED", "PRESENT", "WITNESS", "SINCE", "READY"}, {"c", "NodeMajority", "2", "3", "None", "AGE", "True"}},
		"rg":    {{"NAME", "STATE", "OWNER", "SINCE", "LAST-FAILOVER", "READY"}, {"g", "Online", "node", "AGE", "AGE", "True"}},
		"res":   {{"NAME", "TYPE", "GROUP", "STATE", "OWNER", "SINCE", "READY"}, {"r", "IPAddress", "g", "Online", "node", "AGE", "True"}},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSpace(kubectl(t, "get", name)), "\n")
			var got [][]string
			for _, line := range lines {
				got = append(got, columns(line))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("category", func(t *testing.T) {
		out := kubectl(t, "get", "quorate", "-o", "name")
		for _, want := range []string{"cluster.quorate.io/c", "node.quorate.io/node", "quorumconfig.quorate.io/c", "resourcegroup.quorate.io/g", "resource.quorate.io/r"} {
			if !strings.Contains(out, want) {
				t.Errorf("kubectl get quorate lacks %s:\n%s", want, out)
			}
		}
	})
}

// columns splits a line of kubectl's table at two or more spaces.
func columns(line string) []string {
	var cells []string
	for _, cell := range strings.Split(line, "  ") {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		if _, err := time.ParseDuration(cell); err == nil && cell != "0" {
			cell = "AGE"
		}
		cells = append(cells, cell)
	}
	return cells
}

// TestKustomizations builds what is installed, and asks the server about the workloads.
func TestKustomizations(t *testing.T) {
	for _, dir := range []string{"api", "default"} {
		out := kubectl(t, "kustomize", filepath.Join(config, dir))
		path := filepath.Join(t.TempDir(), dir+".yaml")
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", path)
	}
}
