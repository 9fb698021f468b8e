package api

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

func TestReporterLease(t *testing.T) {
	lease := func(name, holder string) *unstructured.Unstructured {
		return object(`{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: ` + name + `, namespace: quorate-system}, spec: {holderIdentity: ` + holder + `}}`)
	}
	a, b := agent(t, "node-a"), agent(t, "node-b")
	own := lease(v1alpha1.ReporterLeaseName("demo"), "node-a")
	wantError(t, a.Create(t.Context(), lease("quorate-manager", "node-a")), "CLUSTER-reporter")
	wantError(t, a.Create(t.Context(), lease("demo-reporter", "node-b")), "own name")
	create(t, a, own)
	change{by: b, object: own, patch: `{spec: {renewTime: "2026-01-01T00:00:00.000000Z"}}`, want: []string{"own name"}}.try(t)
	change{by: b, object: own, patch: `{spec: {holderIdentity: node-b}}`}.try(t)
	change{by: a, object: own, patch: `{spec: {holderIdentity: node-b}}`, want: []string{"own name"}}.try(t)
	if err := b.Delete(t.Context(), own); err == nil {
		t.Error("an agent deleted the Lease")
	}
}

func TestSecrets(t *testing.T) {
	for _, key := range []client.ObjectKey{
		{Namespace: "quorate-system", Name: "demo-heartbeat-key"},
		{Namespace: "quorate-system", Name: "other"},
		{Namespace: "default", Name: "demo-heartbeat-key"},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := admin.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { remove(t, secret) })
	}
	cases := map[string]struct {
		by              client.Client
		namespace, name string
		want            []string
	}{
		"agent, its key":        {agent(t, "node-a"), "quorate-system", "demo-heartbeat-key", nil},
		"agent, other Secret":   {agent(t, "node-a"), "quorate-system", "other", []string{"forbidden"}},
		"agent, elsewhere":      {agent(t, "node-a"), "default", "demo-heartbeat-key", []string{"forbidden"}},
		"manager":               {manager(t), "quorate-system", "demo-heartbeat-key", []string{"forbidden"}},
		"administrator of ours": {mustClientAs(t, "lab-operator", "quorate:admins"), "quorate-system", "demo-heartbeat-key", []string{"forbidden"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var s corev1.Secret
			err := tc.by.Get(t.Context(), client.ObjectKey{Namespace: tc.namespace, Name: tc.name}, &s)
			if len(tc.want) > 0 {
				wantError(t, err, tc.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	var list corev1.SecretList
	wantError(t, agent(t, "node-a").List(t.Context(), &list), "forbidden")
	wantError(t, agent(t, "node-a").List(t.Context(), &list, client.InNamespace("quorate-system")), "forbidden")
}

// TestAdministratorsWriteNoStatus: statuses have one writer each, and that is no person.
func TestAdministratorsWriteNoStatus(t *testing.T) {
	op := mustClientAs(t, "lab-operator", "quorate:admins")
	group := base(t, "ResourceGroup")
	create(t, op, group)
	change{by: op, object: group, patch: `{metadata: {annotations: {quorate.io/move-to: best/1}}}`}.try(t)
	change{by: op, object: group, status: true, patch: `{status: {state: Online}}`, want: []string{"forbidden"}}.try(t)
	if err := op.Delete(t.Context(), group); err != nil {
		t.Error(err)
	}
}
