package snapshot

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestCore: a core group is known by its label and its owner together, in its namespace, and comes before every other group.
func TestCore(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.ResourceGroup)
		want   int
	}{
		"core":              {func(*v1alpha1.ResourceGroup) {}, 4000},
		"of another":        {func(g *v1alpha1.ResourceGroup) { g.Spec.ClusterName = "other" }, 3000},
		"without label":     {func(g *v1alpha1.ResourceGroup) { g.Labels = nil }, 3000},
		"without owner":     {func(g *v1alpha1.ResourceGroup) { g.OwnerReferences = nil }, 3000},
		"owner of no group": {func(g *v1alpha1.ResourceGroup) { g.OwnerReferences[0].Kind = "Node" }, 3000},
		"another owner":     {func(g *v1alpha1.ResourceGroup) { g.OwnerReferences[0].Name = "other" }, 3000},
		"elsewhere":         {func(g *v1alpha1.ResourceGroup) { g.Namespace = "demo" }, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			g := &v1alpha1.ResourceGroup{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: v1alpha1.SystemNamespace, Name: "core-demo", UID: "u", Labels: map[string]string{v1alpha1.CoreGroupLabel: "demo"},
					OwnerReferences: []metav1.OwnerReference{{Kind: "Cluster", Name: "demo", Controller: new(true)}},
				},
				Spec: v1alpha1.ResourceGroupSpec{ClusterName: "demo", Priority: new(int32(3000))},
			}
			tc.change(g)
			o := &Objects{Name: "demo", Groups: []*v1alpha1.ResourceGroup{g}}
			if s := Build(o, Options{}); s.Groups[0].Priority != tc.want {
				t.Errorf("priority %d, want %d", s.Groups[0].Priority, tc.want)
			}
		})
	}
}
