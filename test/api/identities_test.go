package api

import (
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apply "github.com/quorate/quorate/api/applyconfiguration/v1alpha1"
	"github.com/quorate/quorate/api/v1alpha1"
)

func agent(t *testing.T, node string) client.Client {
	t.Helper()
	return mustClientAs(t, v1alpha1.AgentUserPrefix+node, v1alpha1.AgentUserGroup)
}

func manager(t *testing.T) client.Client {
	t.Helper()
	return mustClientAs(t, v1alpha1.ManagerUser, v1alpha1.ManagerUserGroup)
}

func TestAgentWritesOnlyItsNode(t *testing.T) {
	own := merge(t, base(t, "Node"), `{metadata: {name: node-a}}`)
	other := merge(t, base(t, "Node"), `{metadata: {name: node-b}}`)
	create(t, admin, own, other)
	change{by: admin, object: own, status: true, patch: `{status: {id: 1, state: Up, conditions: [` + condition + `]}}`}.try(t)
	a := agent(t, "node-a")
	cases := map[string]change{
		"own agent status":      {object: own, status: true, patch: `{status: {agent: {version: v1, problems: [{reason: NoKey, object: ""}]}}}`},
		"own agent status away": {object: own, status: true, patch: `{status: {agent: null}}`},
		"other node":            {object: other, status: true, patch: `{status: {agent: {version: v1}}}`, want: []string{"node-a", "may not write Node 'node-b'"}},
		"own state":             {object: own, status: true, patch: `{status: {state: Down}}`, want: []string{"only status.agent"}},
		"own id away":           {object: own, status: true, patch: `{status: {conditions: null}}`, want: []string{"only status.agent"}},
		"own join count":        {object: own, status: true, patch: `{status: {joins: 7, agent: {version: v1}}}`, want: []string{"only status.agent"}},
		"own spec":              {object: own, patch: `{spec: {votes: 0}}`, want: []string{"forbidden"}},
		"own labels":            {object: own, patch: `{metadata: {labels: {a: b}}}`, want: []string{"forbidden"}},
		"a group":               {object: base(t, "ResourceGroup"), status: true, patch: `{status: {state: Online}}`, want: []string{"forbidden"}},
		"the cluster":           {object: base(t, "Cluster"), status: true, patch: `{status: {quorate: true}}`, want: []string{"forbidden"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.by = a
			tc.try(t)
		})
	}
	t.Run("identity without a node", func(t *testing.T) {
		nobody := mustClientAs(t, "somebody", v1alpha1.AgentUserGroup)
		change{by: nobody, object: own, status: true, patch: `{status: {agent: {version: v1}}}`, want: []string{"may not write Node"}}.try(t)
	})
	t.Run("spec through the status", func(t *testing.T) {
		change{by: a, object: own, status: true, patch: `{spec: {votes: 0}, metadata: {labels: {a: b}}, status: {agent: {version: v2}}}`}.try(t)
		var got v1alpha1.Node
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(own), &got); err != nil {
			t.Fatal(err)
		}
		if *got.Spec.Votes != 1 || len(got.Labels) != 0 || got.Status.Agent.Version != "v2" {
			t.Errorf("votes %d, labels %v, version %q: only the version should have changed", *got.Spec.Votes, got.Labels, got.Status.Agent.Version)
		}
	})
}

const condition = `{type: Ready, status: "True", reason: Up, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}`

// TestServiceAccountOfAgent: an agent of the DaemonSet is known by the Kubernetes node that its token is bound to.
func TestServiceAccountOfAgent(t *testing.T) {
	own := merge(t, base(t, "Node"), `{metadata: {name: node-t}}`)
	other := merge(t, base(t, "Node"), `{metadata: {name: node-u}}`)
	create(t, admin, own, other)
	account := func(extra map[string][]string) client.Client {
		cfg := rest.CopyConfig(testEnv.Config)
		cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:quorate-system:quorate-agent", Extra: extra}
		c, err := client.New(cfg, client.Options{Scheme: scheme})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bound := account(map[string][]string{"authentication.kubernetes.io/node-name": {"node-t"}})
	write := `{status: {agent: {version: v1}}}`
	change{by: bound, object: own, status: true, patch: write}.try(t)
	change{by: bound, object: other, status: true, patch: write, want: []string{"may not write Node 'node-u'"}}.try(t)
	change{by: account(nil), object: own, status: true, patch: write, want: []string{"may not write Node 'node-t'"}}.try(t)
}

// TestServerSideApply shares a Node's status between its two writers.
func TestServerSideApply(t *testing.T) {
	own := merge(t, base(t, "Node"), `{metadata: {name: node-s}}`)
	create(t, admin, own)
	for range 2 { // A second round must not conflict.
		// An apply configuration is spent by Apply, which fills in the answer: make a new one each time.
		byManager := apply.Node("node-s").WithStatus(apply.NodeStatus().WithID(1).WithState(v1alpha1.NodeUp))
		byAgent := apply.Node("node-s").WithStatus(apply.NodeStatus().WithAgent(apply.AgentStatus().WithVersion("v1").
			WithGroups(apply.AgentGroup().WithUID("u").WithEpoch(3))))
		if err := manager(t).Status().Apply(t.Context(), byManager, client.FieldOwner(v1alpha1.ManagerFieldManager)); err != nil {
			t.Fatal(err)
		}
		if err := agent(t, "node-s").Status().Apply(t.Context(), byAgent, client.FieldOwner(v1alpha1.AgentFieldManager)); err != nil {
			t.Fatal(err)
		}
	}
	var got v1alpha1.Node
	if err := admin.Get(t.Context(), client.ObjectKey{Name: "node-s"}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Status.State != v1alpha1.NodeUp || got.Status.Agent == nil || got.Status.Agent.Groups[0].Epoch != 3 {
		t.Errorf("status = %+v: want the parts of both writers", got.Status)
	}
}

// TestAgentWritesOnlyItsResources walks through owners and epochs: a stale owner loses.
func TestAgentWritesOnlyItsResources(t *testing.T) {
	r := base(t, "Resource")
	create(t, admin, r)
	a, b, m := agent(t, "node-a"), agent(t, "node-b"), manager(t)
	accepted := `{type: Accepted, status: "True", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}`
	steps := []change{
		{by: m, status: true, patch: `{status: {conditions: [` + accepted + `]}}`},
		{by: a, status: true, patch: `{status: {node: node-b, epoch: 1, state: Online}}`, want: []string{"only to its own node"}},
		{by: a, status: true, patch: `{status: {epoch: 1, state: Online}}`, want: []string{"only to its own node"}},
		{by: a, status: true, patch: `{status: {node: node-a, epoch: 1, state: OnlinePending}}`},
		{by: a, status: true, patch: `{status: {node: node-a, epoch: 1, state: Online, conditions: [` + accepted + `, ` + condition + `]}}`},
		{by: a, status: true, patch: `{status: {state: Online, conditions: []}}`, want: []string{"condition Accepted"}},
		{by: b, status: true, patch: `{status: {node: node-b, epoch: 1, state: Online}}`, want: []string{"stale epoch", "node-a", "epoch 1"}},
		{by: b, status: true, patch: `{status: {node: node-b, epoch: 2, state: Online}}`},
		{by: a, status: true, patch: `{status: {node: node-a, epoch: 1, state: Offline}}`, want: []string{"epoch never falls"}},
		{by: a, status: true, patch: `{status: {node: node-a, epoch: 2, state: Offline}}`, want: []string{"stale epoch"}},
		{by: m, status: true, patch: `{status: {node: "", epoch: 3, state: Unknown}}`},
		{by: b, status: true, patch: `{status: {node: node-b, epoch: 2, state: Online}}`, want: []string{"epoch never falls"}},
		{by: a, status: true, patch: `{status: {node: node-a, epoch: 3, state: Online}}`},
		{by: a, patch: `{spec: {groupName: other}}`, want: []string{"forbidden"}},
	}
	for i, step := range steps {
		step.object = r
		step.try(t)
		if t.Failed() {
			t.Fatalf("step %d: %s", i, step.patch)
		}
	}
}

func TestManagerWritesNoSpec(t *testing.T) {
	node := merge(t, base(t, "Node"), `{metadata: {name: node-m}}`)
	group := merge(t, base(t, "ResourceGroup"), `{metadata: {annotations: {quorate.io/move-to: best, mine: x}, labels: {a: b}}}`)
	resource, cluster := base(t, "Resource"), base(t, "Cluster")
	create(t, admin, node, group, resource, cluster)
	change{by: agent(t, "node-m"), object: node, status: true, patch: `{status: {agent: {version: v1}}}`}.try(t)
	cases := map[string]change{
		"finalizer":          {object: group, patch: `{metadata: {finalizers: [quorate.io/offline-first]}}`},
		"annotation of ours": {object: group, patch: `{metadata: {annotations: {quorate.io/move-to: null}}}`},
		"other annotation":   {object: group, patch: `{metadata: {annotations: {mine: null}}}`, want: []string{"only finalizers and annotations"}},
		"label":              {object: group, patch: `{metadata: {labels: {a: c}}}`, want: []string{"only finalizers and annotations"}},
		"group marked":       {object: group, patch: `{metadata: {annotations: {quorate.io/asked-on-host: "9.1.a.1/u"}}, spec: {desiredState: Offline, priority: 1000}}`, want: []string{"may not write a spec"}},
		"node marked":        {object: node, patch: `{metadata: {annotations: {quorate.io/asked-on-host: "9.1.a.1/u"}}, spec: {votes: 0, availability: Drained}}`, want: []string{"may not write a spec"}},
		"group spec":         {object: group, patch: `{spec: {desiredState: Offline}}`, want: []string{"may not write a spec"}},
		"resource spec":      {object: resource, patch: `{spec: {desiredState: Offline}}`, want: []string{"may not write a spec"}},
		"node spec":          {object: node, patch: `{spec: {votes: 0}}`, want: []string{"may not write a spec"}},
		"cluster spec":       {object: cluster, patch: `{spec: {maintenance: true}}`, want: []string{"may not write a spec"}},
		"cluster finalizer":  {object: cluster, patch: `{metadata: {finalizers: [quorate.io/offline-first]}}`},
		"node status":        {object: node, status: true, patch: `{status: {state: Up, id: 9}}`},
		"agent status":       {object: node, status: true, patch: `{status: {agent: {version: v2}}}`, want: []string{"status.agent"}},
		"agent status away":  {object: node, status: true, patch: `{status: {agent: null}}`, want: []string{"status.agent"}},
		"group status":       {object: group, status: true, patch: `{status: {state: Online}}`},
		"resource status":    {object: resource, status: true, patch: `{status: {state: Unknown, epoch: 4}}`},
	}
	m := manager(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.by = m
			tc.try(t)
		})
	}
	// What was asked for on a host is written with its mark, once.
	change{by: m, object: group, patch: `{metadata: {annotations: {quorate.io/asked-on-host: "9.1.a.2/u"}}, spec: {desiredState: Offline}}`}.try(t)
	change{by: m, object: group, patch: `{spec: {desiredState: Online}}`, want: []string{"may not write a spec"}}.try(t)
	change{by: m, object: node, patch: `{metadata: {annotations: {quorate.io/asked-on-host: "9.1.a.3/u"}}, spec: {availability: Drained, failbackOnResume: None}}`}.try(t)
	change{by: m, object: resource, patch: `{metadata: {annotations: {quorate.io/asked-on-host: "9.1.a.4/u"}}, spec: {desiredState: Offline}}`, want: []string{"may not write a spec"}}.try(t)
	// The finalizer would keep the group for ever.
	change{by: m, object: group, patch: `{metadata: {finalizers: null}}`}.try(t)
	change{by: m, object: cluster, patch: `{metadata: {finalizers: null}}`}.try(t)
	if err := m.Delete(t.Context(), group); err == nil {
		t.Error("a manager deleted a group")
	}
}
