package api

import (
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// base returns the smallest object of a kind that is accepted.
func base(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	bases := map[string]string{
		"Cluster": `
metadata: {name: c}
spec:
  networks: [{name: lan, role: InternalAndClient, cidrs: [192.168.7.0/24]}, {name: store, role: Internal, cidrs: [10.0.0.0/8]}]
  heartbeat: {keySecretRef: {namespace: quorate-system, name: key}}`,
		"Node": `
metadata: {name: node}
spec: {clusterName: c, addresses: [{network: lan, address: 192.168.7.1}]}`,
		"QuorumConfig": `
metadata: {name: c}
spec: {clusterName: c}`,
		"ResourceGroup": `
metadata: {name: g, namespace: default}
spec: {clusterName: c}`,
		"Resource": `
metadata: {name: r, namespace: default}
spec: {groupName: g, type: IPAddress, ipAddress: {network: lan, address: 192.168.7.50/24}}`,
	}
	o := object("apiVersion: quorate.io/v1alpha1\nkind: " + kind + bases[kind])
	return o
}

// merge applies a JSON merge patch, written in YAML.
func merge(t *testing.T, o *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	t.Helper()
	p, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if text, err = jsonpatch.MergePatch(text, p); err != nil {
		t.Fatal(err)
	}
	merged := &unstructured.Unstructured{}
	if err := merged.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return merged
}

// tryCreate asks the server whether it would accept the object.
func tryCreate(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	return admin.Create(t.Context(), o, client.DryRunAll, &client.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
}

type refusal struct {
	// patch makes the accepted base object of the kind a bad one.
	patch string
	// want are parts of the server's answer: the field, and what is wrong.
	want []string
}

func testRefusals(t *testing.T, kind string, cases map[string]refusal) {
	t.Helper()
	if err := tryCreate(t, base(t, kind)); err != nil {
		t.Fatalf("the base object itself is refused: %v", err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			wantError(t, tryCreate(t, merge(t, base(t, kind), tc.patch)), tc.want...)
		})
	}
}
