package api

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	apply "github.com/quorate/quorate/api/applyconfiguration/v1alpha1"
	"github.com/quorate/quorate/api/v1alpha1"
)

// TestAgentWritesOnlyItsMember: a resource that several nodes have at once has a writer for each entry, and the manager for the rest.
func TestAgentWritesOnlyItsMember(t *testing.T) {
	r := merge(t, base(t, "Resource"), `{metadata: {name: shared}}`)
	create(t, admin, r)
	a, b, m := agent(t, "node-a"), agent(t, "node-b"), manager(t)
	entryA, entryB := `{node: node-a, epoch: 1, state: Online}`, `{node: node-b, epoch: 2, state: OnlinePending}`
	steps := []change{
		{by: a, status: true, patch: `{status: {members: [` + entryB + `]}}`, want: []string{"node-a", "only its own entry of status.members"}},
		{by: a, status: true, patch: `{status: {members: [` + entryA + `]}}`},
		{by: b, status: true, patch: `{status: {members: [` + entryB + `]}}`, want: []string{"node-b", "only its own entry"}},
		{by: b, status: true, patch: `{status: {members: [` + entryA + `, ` + entryB + `]}}`},
		{by: b, status: true, patch: `{status: {members: [{node: node-a, epoch: 1, state: Failed}, ` + entryB + `]}}`, want: []string{"only its own entry"}},
		{by: a, status: true, patch: `{status: {state: Online, members: [` + entryA + `, ` + entryB + `]}}`, want: []string{"only to its own node"}},
		{by: b, status: true, patch: `{status: {members: [` + entryA + `, {node: node-b, epoch: 1, state: Online}]}}`, want: []string{"epoch of a member never falls"}},
		{by: b, status: true, patch: `{status: {members: [` + entryA + `, {node: node-b, epoch: 4, state: Online}]}}`},
		{by: m, status: true, patch: `{status: {state: Online, message: "Online on node-a, node-b"}}`},
		{by: m, status: true, patch: `{status: {members: [{node: node-a, epoch: 9, state: Online}]}}`, want: []string{"only remove entries of status.members"}},
		{by: m, status: true, patch: `{status: {members: [{node: node-b, epoch: 4, state: Online}]}}`},
		{by: a, status: true, patch: `{status: {members: [{node: node-a, epoch: 5, state: Online}, {node: node-b, epoch: 4, state: Online}]}}`},
		{by: a, status: true, patch: `{status: {members: [{node: node-a, epoch: 5, state: Online}]}}`, want: []string{"only its own entry"}},
	}
	for i, step := range steps {
		step.object = r
		step.try(t)
		if t.Failed() {
			t.Fatalf("step %d: %s", i, step.patch)
		}
	}
}

// TestMembersAreAppliedSideBySide: agents apply their entries again and again, and none takes another's away.
func TestMembersAreAppliedSideBySide(t *testing.T) {
	r := merge(t, base(t, "Resource"), `{metadata: {name: side-by-side}}`)
	create(t, admin, r)
	for epoch := int64(1); epoch <= 2; epoch++ {
		for _, node := range []string{"node-a", "node-b", "node-a"} { // the last says the same once more
			entry := apply.Resource(r.GetName(), r.GetNamespace()).WithStatus(apply.ResourceStatus().WithMembers(
				apply.ResourceMember().WithNode(node).WithEpoch(epoch).WithState(v1alpha1.ResourceOnline)))
			if err := agent(t, node).Status().Apply(t.Context(), entry, client.FieldOwner(v1alpha1.AgentMemberManager+node), client.ForceOwnership); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got v1alpha1.Resource
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(r), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Status.Members) != 2 || got.Status.Members[0].Epoch != 2 || got.Status.Members[1].Epoch != 2 {
		t.Errorf("members %+v: want those of both nodes, at epoch 2", got.Status.Members)
	}
}

// TestBalancedGroups: what the API itself refuses of groups of mode LoadBalanced.
func TestBalancedGroups(t *testing.T) {
	g := merge(t, base(t, "ResourceGroup"), `{metadata: {name: balanced}, spec: {mode: LoadBalanced}}`)
	create(t, admin, g)
	m := manager(t)
	steps := []change{
		{by: admin, patch: `{spec: {mode: Failover}}`, want: []string{"spec.mode", "mode is immutable"}},
		{by: m, status: true, patch: `{status: {members: [{node: node-a, nodeID: 1, generation: 1, epoch: 7, reason: FirstPlacement}], membersOnline: 0/1}}`},
		{by: m, status: true, patch: `{status: {members: [{node: node-a, nodeID: 1, generation: 1, epoch: 6}]}}`, want: []string{"epoch of a member never falls"}},
		{by: m, status: true, patch: `{status: {members: [{node: node-a, nodeID: 1, generation: 1, epoch: 8, withdrawn: true}]}}`},
		{by: agent(t, "node-a"), status: true, patch: `{status: {members: []}}`, want: []string{"forbidden"}},
	}
	for i, step := range steps {
		step.object = g
		step.try(t)
		if t.Failed() {
			t.Fatalf("step %d: %s", i, step.patch)
		}
	}
}
