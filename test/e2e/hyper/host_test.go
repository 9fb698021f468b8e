package hyper

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/test/e2e/beside"
	"github.com/quorate/quorate/test/observe"
)

const agentCommand = "/opt/quorate/bin/quorate-agent"

// onHost runs a command of an operator on a host.
func onHost(t *testing.T, ctx context.Context, host string, args ...string) (string, error) {
	t.Helper()
	out, err := bed.Exec(ctx, host, append([]string{agentCommand}, args...)...)
	t.Logf("%s$ quorate-agent %s\n%s%v", host, strings.Join(args, " "), out, err)
	return out, err
}

// mustOnHost wants the command to succeed and to say something.
func mustOnHost(t *testing.T, ctx context.Context, host, want string, args ...string) {
	t.Helper()
	if out, err := onHost(t, ctx, host, args...); err != nil || !strings.Contains(out, want) {
		t.Fatalf("want %q", want)
	}
}

// refusedOnHost wants the command to fail and to say why.
func refusedOnHost(t *testing.T, ctx context.Context, host, want string, args ...string) {
	t.Helper()
	if out, err := onHost(t, ctx, host, args...); err == nil || !strings.Contains(out+err.Error(), want) {
		t.Errorf("want a refusal with %q", want)
	}
}

// told waits for an Event of an object with all the words.
func told(t *testing.T, ctx context.Context, kind, name string, words ...string) {
	t.Helper()
	must(t, observe.Wait(ctx, recovery, fmt.Sprintf("an Event of %s %s with %q", kind, name, words), func(ctx context.Context) (bool, string, error) {
		events, err := bed.Cluster.Events(ctx, kind, name)
		return err == nil && slices.ContainsFunc(events, func(e string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e, w) })
		}), fmt.Sprintf("%q, %v", events, err), nil
	}))
}

// The control plane is gone, and operators steer from the hosts: a move, a drain and a resume, offline and online, each from another host. When
// it is back, what they asked for is in the specs with who asked, and nothing moves because of that.
func TestOperatorsOnHosts(t *testing.T) {
	ctx := begin(t)
	refusedOnHost(t, ctx, "node-b", "kubectl annotate rg/shop", "move", "rg/shop", "node-b")
	refusedOnHost(t, ctx, "node-b", "kubectl quorate explain rg/shop", "explain", "rg/shop")
	must(t, bed.StopAPI(ctx))
	deciding(t, ctx, bed, bed.Hosts...)

	out, err := onHost(t, ctx, "node-c", "explain", "rg/shop", "-o", "json")
	must(t, err)
	e := &explain.Explained{}
	must(t, json.Unmarshal([]byte(out), e))
	if e.Owner != "node-a" || len(e.Nodes) != len(bed.Hosts) || e.State != string(v1alpha1.GroupOnline) {
		t.Errorf("explained: %+v", e)
	}
	refusedOnHost(t, ctx, "node-b", `there is no group "shpo"; did you mean "shop"?`, "move", "rg/shpo", "node-b")

	mustOnHost(t, ctx, "node-b", "Online on node-c", "move", "rg/shop", "node-c")
	bed.Visited(t, ctx, shop)
	mustOnHost(t, ctx, "node-a", "node-b is drained", "drain", "node-b")
	refusedOnHost(t, ctx, "node-c", "drained", "move", "rg/news", "node-b")
	mustOnHost(t, ctx, "node-b", "is Offline", "offline", "rg/news", "-n", "demo")
	if _, err := bed.Visit(ctx, news); err == nil {
		t.Error("news is served although it was taken offline")
	}
	mustOnHost(t, ctx, "node-b", "is Online on", "online", "rg/news")
	s, err := observe.AgentStatus(ctx, bed, "node-a")
	must(t, err)
	if !slices.ContainsFunc(s.Decided, func(d nodeagent.LocalDecision) bool {
		return d.Object == "node/node-b" && strings.Contains(d.By, "on node-a")
	}) {
		t.Errorf("the status of node-a tells of %+v", s.Decided)
	}

	on := [2]string{bed.Visited(t, ctx, shop).Host, bed.Visited(t, ctx, news).Host}
	pids := [2]string{process(t, ctx, bed, shop, on[0]), process(t, ctx, bed, news, on[1])}
	a, b := watch(t, ctx, bed, shop), watch(t, ctx, bed, news)
	must(t, startAPI(ctx, bed.Hosts...))
	must(t, written(ctx, bed.Hosts...))
	wishes(t, ctx)
	time.Sleep(3 * time.Second)
	a.quiet(t)
	b.quiet(t)
	if now := [2]string{process(t, ctx, bed, shop, on[0]), process(t, ctx, bed, news, on[1])}; now != pids {
		t.Errorf("the catching up has restarted processes: %v, then %v", pids, now)
	}
	n, err := bed.Cluster.Node(ctx, "node-b")
	must(t, err)
	before := n.DeepCopy()
	n.Spec.Availability = v1alpha1.AvailabilityAvailable
	must(t, bed.Cluster.Patch(ctx, n, client.MergeFrom(before)))
	must(t, bed.Home(ctx, shop, news)) // what an operator has moved does not fail back by itself
}

// wishes wants in the API server what was asked for on the hosts, with the Events.
func wishes(t *testing.T, ctx context.Context) {
	t.Helper()
	n, err := bed.Cluster.Node(ctx, "node-b")
	must(t, err)
	if n.Spec.Availability != v1alpha1.AvailabilityDrained || n.Annotations[v1alpha1.AskedOnHostAnnotation] == "" {
		t.Errorf("node-b is %q, marked %v", n.Spec.Availability, n.Annotations)
	}
	for _, s := range []beside.Site{shop, news} {
		g, err := bed.Cluster.Group(ctx, s.Group)
		must(t, err)
		if g.Spec.DesiredState == v1alpha1.DesiredOffline || g.Annotations[v1alpha1.MoveToAnnotation] != "" {
			t.Errorf("%s is wanted %q, with %v", s.Group, g.Spec.DesiredState, g.Annotations)
		}
	}
	told(t, ctx, "Node", "node-b", "on node-a wants it drained")
	told(t, ctx, "ResourceGroup", shop.Group, "on node-b wants it moved to node-c")
	told(t, ctx, "ResourceGroup", news.Group, "on node-b wants it offline")
}
