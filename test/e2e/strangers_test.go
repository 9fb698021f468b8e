package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// agentStatus is what `quorate-agent status` tells on a host.
func agentStatus(ctx context.Context, host string) (string, error) {
	return theLab.Exec(ctx, host, "/opt/quorate/bin/quorate-agent", "status", "-o", "json")
}

// An agent with another key never joins, disturbs nobody, and says why; with the right one it joins again.
func TestWrongKey(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	const host, cached = "node-c", "/var/lib/quorate/cluster.json"
	link := lab.Link{A: host, B: "api", Network: "mgmt"} // or it would read the right key from the API
	must(t, theLab.Cut(ctx, link))
	must(t, theLab.StopProcess(ctx, host, "agent"))
	content, err := theLab.Exec(ctx, host, "cat", cached)
	must(t, err)
	var settings map[string]any
	must(t, json.Unmarshal([]byte(content), &settings))
	other := make([]byte, 32)
	_, err = rand.Read(other)
	must(t, err)
	settings["keys"] = [][]byte{other}
	changed, err := json.Marshal(settings)
	must(t, err)
	must(t, theLab.ExecStreams(ctx, lab.Streams{In: strings.NewReader(string(changed))}, host, "sh", "-c", "cat > "+cached))
	a, b := probe(t, ctx, shop), probe(t, ctx, news)
	must(t, theLab.StartProcess(ctx, host, "agent"))
	must(t, observe.Wait(ctx, 20*time.Second, "the agent says that its key is wrong", func(ctx context.Context) (bool, string, error) {
		out, err := agentStatus(ctx, host)
		return err == nil && strings.Contains(out, v1alpha1.ProblemWrongKey), out, err
	}))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeDown, host))
	out, err := agentStatus(ctx, "node-a")
	must(t, err)
	if !strings.Contains(out, v1alpha1.ProblemWrongKey) {
		t.Errorf("node-a does not tell that it drops what %s sends: %s", host, out)
	}
	quiet(t, shop, a)
	quiet(t, news, b)
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
	must(t, theLab.Heal(ctx, link)) // it reads the right key
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, host))
}

// An agent that is told another cluster's name never joins, and says why.
func TestWrongCluster(t *testing.T) {
	ctx := begin(t)
	before := epochs(t, ctx)
	const host = "node-c"
	must(t, theLab.StopProcess(ctx, host, "agent"))
	out, err := theLab.Exec(ctx, host, "sh", "-c", fmt.Sprintf(`mkdir -p /tmp/state /tmp/run
timeout 5 /opt/quorate/bin/quorate-agent run --node %s --cluster elsewhere --kubeconfig /opt/quorate/etc/agent.kubeconfig \
  --state-dir /tmp/state --run-dir /tmp/run 2>&1; true`, host))
	must(t, err)
	if !strings.Contains(out, "elsewhere") || !strings.Contains(out, "demo") {
		t.Errorf("the agent does not say that its node is of another cluster:\n%s", out)
	}
	if after := epochs(t, ctx); after != before {
		t.Errorf("moved: %s before, %s after", before, after)
	}
	must(t, theLab.StartProcess(ctx, host, "agent"))
	must(t, cluster.WaitNodes(ctx, recovery, v1alpha1.NodeUp, host))
}
