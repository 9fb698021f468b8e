package controllers_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/controllers/controllertest"
)

// TestIdleWritesNothing: a healthy cluster that nothing happens to is not written to, by the same managers or by new ones, however
// much time passes and whatever is applied again.
func TestIdleWritesNothing(t *testing.T) {
	w := controllertest.NewWorld(t, env, "idle", "idle-a", "idle-b", "idle-c")
	w.Group("shop", 1, "idle-a")
	w.Group("news", 2, "idle-b")
	w.Settle()
	cases := []struct {
		name string
		do   func()
	}{
		{name: "nothing", do: func() {}},
		{name: "time", do: func() { w.Step(7 * time.Hour) }},
		{name: "new manager", do: w.NewManager},
		{name: "manifests applied again", do: func() {
			for range 2 {
				manifest := &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "quorate.io/v1alpha1", "kind": "ResourceGroup",
					"metadata": map[string]any{"namespace": "idle", "name": "shop"},
					"spec":     map[string]any{"clusterName": "idle", "preferredOwners": []any{"idle-a"}},
				}}
				if err := env.Admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(manifest), client.FieldOwner("kubectl"), client.ForceOwnership); err != nil {
					t.Fatal(err)
				}
			}
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tc.do()
			writes, err := w.Pass()
			if err != nil {
				t.Fatal(err)
			}
			if writes != 0 {
				t.Errorf("%d writes, want none", writes)
			}
		})
	}
}
