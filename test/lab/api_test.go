package lab_test

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/lab/protocol"
)

// TestControlPlane: a real API server with our kinds, in which the operator is no cluster administrator, and which can be taken away
// and given back.
func TestControlPlane(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("starts a real API server")
	}
	o := lab.Options{Name: "test-api", Hosts: 1, BinDir: binDir, NoAgents: true}
	if err := lab.Down(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), o, func(p lab.Progress) { t.Logf("%6.2fs %s", p.Elapsed.Seconds(), p.Message) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
		nothingLeft(t, o.Name)
	})
	kubectl := func(limit time.Duration, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		cmd := osexec.CommandContext(ctx, assets(t, "kubectl"), append([]string{"--kubeconfig", l.Kubeconfig()}, args...)...)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the operator has a name":         {[]string{"auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"}, "lab-operator"},
		"the operator may not do all":     {[]string{"auth", "can-i", "*", "*"}, "no"},
		"the operator reads no Secret":    {[]string{"auth", "can-i", "get", "secrets", "-n", protocol.Namespace}, "no"},
		"the operator writes groups":      {[]string{"auth", "can-i", "create", "resourcegroups.quorate.io"}, "yes"},
		"the operator writes no status":   {[]string{"auth", "can-i", "update", "resourcegroups.quorate.io", "--subresource=status"}, "no"},
		"the namespace of samples exists": {[]string{"get", "namespace", "demo", "-o", "name"}, "namespace/demo"},
	} {
		if got, _ := kubectl(10*time.Second, tc.args...); got != tc.want {
			t.Errorf("%s: kubectl %v says %q, want %q", name, tc.args, got, tc.want)
		}
	}
	if got := exec(t, l, "node-a", "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "https://10.77.3.1:6443/"); got != "401" {
		t.Errorf("a host without a certificate gets %s from the API server", got)
	}
	read := func() (string, error) { return kubectl(3*time.Second, "get", "namespace", "demo", "-o", "name") }
	mustFail := func(when string) {
		t.Helper()
		if out, err := read(); err == nil {
			t.Errorf("%s the API server answers %q", when, out)
		}
	}
	mustWork := func(when string) {
		t.Helper()
		if out, err := read(); err != nil {
			t.Errorf("%s: %v: %s", when, err, out)
		}
	}
	must(t, l.FreezeAPI(t.Context()))
	mustFail("frozen,")
	must(t, l.ThawAPI(t.Context()))
	mustWork("after a thaw")
	must(t, l.StopAPI(t.Context()))
	mustFail("stopped,")
	if err := l.StopAPI(t.Context()); err == nil {
		t.Error("what is stopped can be stopped")
	}
	must(t, l.StartAPI(t.Context()))
	mustWork("started again, with its data")
	must(t, l.Cut(t.Context(), lab.Link{A: "node-a", B: "api", Network: "mgmt"}))
	if _, err := l.Exec(t.Context(), "node-a", "curl", "-sk", "-m", "0.5", "https://10.77.3.1:6443/"); err == nil {
		t.Error("a host that is cut off reaches the API server")
	}
	mustWork("for the operator")
}

// assets is the path of a binary of the control plane.
func assets(t *testing.T, name string) string {
	t.Helper()
	dir := lab.ControlPlaneDir()
	path := filepath.Join(dir, name)
	_, err := os.Stat(path)
	if err != nil {
		t.Fatalf("%v: build the control plane with make controlplane", err)
	}
	return path
}
