package api

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// core is an object of the core group of the cluster demo as the manager makes it, with what is changed of it.
func core(t *testing.T, kind, change string) *unstructured.Unstructured {
	t.Helper()
	o := object(map[string]string{
		"ResourceGroup": `{apiVersion: quorate.io/v1alpha1, kind: ResourceGroup, metadata: {name: core-demo}, spec: {clusterName: demo}}`,
		"Resource": `{apiVersion: quorate.io/v1alpha1, kind: Resource, metadata: {name: core-demo-address},
  spec: {groupName: core-demo, type: IPAddress, ipAddress: {network: lan, address: 10.77.2.9/24}}}`,
	}[kind])
	return merge(t, merge(t, o, `{metadata: {namespace: quorate-system, labels: {quorate.io/core-group: demo}, ownerReferences: [
  {apiVersion: quorate.io/v1alpha1, kind: Cluster, name: demo, uid: u, controller: true}]}}`), change)
}

// TestManagerMakesOnlyCoreGroups: of all that the API has, the manager makes, changes and deletes the core group of a cluster.
func TestManagerMakesOnlyCoreGroups(t *testing.T) {
	m := manager(t)
	none := []string{"makes and deletes no object of quorate.io but those of core groups"}
	for name, tc := range map[string]struct {
		object *unstructured.Unstructured
		want   []string
	}{
		"group":             {core(t, "ResourceGroup", `{}`), nil},
		"address":           {core(t, "Resource", `{}`), nil},
		"without label":     {core(t, "ResourceGroup", `{metadata: {labels: null}}`), none},
		"without owner":     {core(t, "ResourceGroup", `{metadata: {ownerReferences: null}}`), none},
		"of another owner":  {core(t, "ResourceGroup", `{metadata: {labels: {quorate.io/core-group: other}}}`), none},
		"elsewhere":         {core(t, "ResourceGroup", `{metadata: {namespace: default}}`), none},
		"by another name":   {core(t, "ResourceGroup", `{metadata: {name: demo}}`), none},
		"of another":        {core(t, "ResourceGroup", `{spec: {clusterName: other}}`), []string{"a core group is of its own Cluster"}},
		"a process":         {core(t, "Resource", `{spec: {type: GenericApplication, ipAddress: null, genericApplication: {command: [/bin/true]}}}`), []string{"has an IPAddress and a NetworkName"}},
		"for another group": {core(t, "Resource", `{spec: {groupName: shop}}`), []string{"has an IPAddress and a NetworkName"}},
		"a node":            {merge(t, base(t, "Node"), `{metadata: {labels: {quorate.io/core-group: demo}}}`), []string{"forbidden"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Create(t.Context(), tc.object, client.DryRunAll)
			if len(tc.want) > 0 {
				wantError(t, err, tc.want...)
			} else if err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
	group := core(t, "ResourceGroup", `{}`)
	create(t, m, group)
	change{by: m, object: group, patch: `{spec: {priority: 1000}}`}.try(t)
	change{by: m, object: group, patch: `{metadata: {labels: {a: b}}}`}.try(t)
	change{by: m, object: group, patch: `{metadata: {labels: {quorate.io/core-group: other}}, spec: {priority: 2000}}`, want: []string{"may not write a spec"}}.try(t)
	if err := m.Delete(t.Context(), group); err != nil {
		t.Errorf("the manager cannot delete a core group: %v", err)
	}
}

// TestCoreGroupIsProtected: nobody but the manager changes a core group, adds to it or deletes it; it may be moved.
func TestCoreGroupIsProtected(t *testing.T) {
	m := manager(t)
	group, address := core(t, "ResourceGroup", `{}`), core(t, "Resource", `{}`)
	create(t, m, group, address)
	t.Cleanup(func() {
		for _, o := range []client.Object{group, address} {
			if err := m.Delete(context.WithoutCancel(t.Context()), o); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	})
	op := mustClientAs(t, "lab-operator", "quorate:admins")
	for _, by := range []client.Client{op, admin} {
		made := []string{"core group of Cluster demo", "made from its spec.access: change that"}
		change{by: by, object: group, patch: `{metadata: {annotations: {quorate.io/move-to: node-b}}}`}.try(t)
		change{by: by, object: address, patch: `{metadata: {annotations: {quorate.io/simulate-failure: a}}}`}.try(t)
		change{by: by, object: group, patch: `{spec: {desiredState: Offline}}`, want: made}.try(t)
		change{by: by, object: address, patch: `{spec: {ipAddress: {address: 10.77.2.10/24}}}`, want: made}.try(t)
		change{by: by, object: group, patch: `{metadata: {labels: {quorate.io/core-group: null}}}`, want: made}.try(t)
		change{by: by, object: address, patch: `{metadata: {ownerReferences: null}}`, want: made}.try(t)
		for _, o := range []client.Object{group, address} {
			wantError(t, by.Delete(t.Context(), o), "core group of Cluster demo", "remove that to delete it")
		}
		wantError(t, by.Create(t.Context(), core(t, "ResourceGroup", `{metadata: {name: mine}}`)), "quorate.io/core-group is the manager's")
		wantError(t, by.Create(t.Context(), core(t, "ResourceGroup", `{metadata: {name: core-mine, labels: null}}`)), "names that begin with core-")
		wantError(t, by.Create(t.Context(), core(t, "Resource", `{metadata: {name: more, labels: null}}`)), "names that begin with core-")
		if err := by.Create(t.Context(), core(t, "ResourceGroup", `{metadata: {name: core-mine, namespace: default, labels: null}}`), client.DryRunAll); err != nil {
			t.Errorf("in another namespace: %v", err)
		}
	}
	collector := mustClientAs(t, "system:serviceaccount:kube-system:generic-garbage-collector", "system:masters")
	change{by: collector, object: group, patch: `{spec: {priority: 1000}}`, want: []string{"core group of Cluster demo"}}.try(t)
	if err := collector.Delete(t.Context(), address); err != nil {
		t.Errorf("the garbage collector cannot delete what is of a Cluster that has gone: %v", err)
	}
	var left v1alpha1.ResourceList
	if err := admin.List(t.Context(), &left, client.InNamespace(v1alpha1.SystemNamespace)); err != nil || len(left.Items) > 0 {
		t.Errorf("left are %v, %v", left.Items, err)
	}
}
