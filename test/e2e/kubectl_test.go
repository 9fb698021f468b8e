package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/whatif"
)

// kubectl is the real one, built with the control plane.
func kubectl(t *testing.T) string {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run these tests with `make test` or `make test-e2e`")
	}
	return filepath.Join(assets, "kubectl")
}

// plugin runs kubectl quorate as a person on this machine does. It returns what it prints and its exit code.
func plugin(t *testing.T, ctx context.Context, args ...string) (out []byte, code int) {
	t.Helper()
	c := exec.CommandContext(ctx, kubectl(t), append([]string{"quorate"}, args...)...)
	c.Env = append(os.Environ(), "KUBECONFIG="+theLab.Kubeconfig(), "PATH="+os.Getenv("QUORATE_BIN")+":"+os.Getenv("PATH"))
	out, err := c.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if len(exit.Stderr) > 0 {
			t.Logf("kubectl quorate %s: %s", strings.Join(args, " "), exit.Stderr)
		}
		return out, exit.ExitCode()
	}
	must(t, err)
	return out, 0
}

// foretold is where the plugin says that a group will be once a node is down.
func foretold(t *testing.T, ctx context.Context, s site, down string) string {
	t.Helper()
	out, code := plugin(t, ctx, "simulate", "--event", "node-down="+down, "-o", "json")
	result := &whatif.Result{}
	if code != 0 || json.Unmarshal(out, result) != nil || len(result.Steps) != 2 {
		t.Fatalf("simulate: exit code %d: %s", code, out)
	}
	if last := result.Steps[1]; !last.Quorate || len(last.Unplaced) > 0 {
		t.Errorf("simulate: %+v", last)
	}
	return result.Placement["demo/"+s.group]
}

// explained wants the plugin to say of every node what holds for it, now that one is down.
func explained(t *testing.T, ctx context.Context, s site, owner, down string) {
	t.Helper()
	out, code := plugin(t, ctx, "explain", "rg/"+s.group, "-n", "demo")
	if code != 0 {
		t.Fatalf("explain: exit code %d", code)
	}
	for _, want := range []string{owner, down + " ", string(model.ReasonNodeDown)} {
		if !strings.Contains(string(out), want) {
			t.Errorf("explain does not speak of %q:\n%s", want, out)
		}
	}
}

// replayed wants that some leading manager has kept the decision that moved the group, and that the plugin decides the same again.
func replayed(t *testing.T, ctx context.Context, s site, to string) {
	t.Helper()
	for _, host := range hosts[:2] {
		file := filepath.Join(t.TempDir(), "decision.json.gz")
		out, err := theLab.Exec(ctx, host, "/opt/quorate/bin/quorate-manager", "decisions", "--decisions-dir", "/var/lib/quorate/decisions", "latest")
		if err != nil {
			continue // this manager has decided nothing, or its host is down
		}
		must(t, os.WriteFile(file, []byte(out), 0o600))
		text, code := plugin(t, ctx, "explain", "--replay", file)
		if code == 0 && strings.Contains(string(text), s.group) && strings.Contains(string(text), to) {
			return
		}
		t.Logf("the latest decision of %s, exit code %d:\n%s", host, code, text)
	}
	t.Errorf("no manager has kept a decision by which %s went to %s", s.group, to)
}

// An operator has a healthy resource fail: it and what depends on it are started anew where they are, and the plugin tells of it.
func TestSimulatedFailure(t *testing.T) {
	ctx := begin(t)
	s := shop
	before := ask(t, ctx, s)
	out, code := plugin(t, ctx, "fail", "res/"+s.group+"-ip", "-n", "demo", "--timeout", recovery.String())
	if code != 0 {
		t.Fatalf("fail: exit code %d:\n%s", code, out)
	}
	for _, want := range []string{"told to fail on " + before.Host, "Online", "restarts here: 1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("fail does not tell %q:\n%s", want, out)
		}
	}
	must(t, cluster.WaitOnline(ctx, recovery, s.group, before.Host))
	if after := ask(t, ctx, s); after.Host != before.Host || after.PID == before.PID {
		t.Errorf("%s is served by process %d on %s, before it was %d on %s: want what depends on the address started anew", s.group, after.PID, after.Host, before.PID, before.Host)
	}
}
