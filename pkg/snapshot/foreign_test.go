package snapshot

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// TestForeignClearer: the owner before the lowest id, of those that may own the group, are in the view and see the disk; nobody while the
// disk is online.
func TestForeignClearer(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(o *Objects, r *v1alpha1.Resource)
		only   string
		want   string // the node, or a part of the refusal
	}{
		"the lowest id": {nil, "", "a"},
		"the owner first": {func(o *Objects, _ *v1alpha1.Resource) {
			o.Groups[0].Status.Assignment = &v1alpha1.Assignment{Node: "b", Epoch: 3}
		}, "", "b"},
		"the one that asks":      {nil, "b", "b"},
		"it is not in the view":  {nil, "c", "node c is not in the quorate view"},
		"a possible owner":       {func(_ *Objects, r *v1alpha1.Resource) { r.Spec.PossibleOwners = []string{"b", "c"} }, "", "b"},
		"one that sees the disk": {func(o *Objects, _ *v1alpha1.Resource) { o.Nodes[0].Status.Agent.Disks[0].Visible = false }, "", "b"},
		"nobody sees the disk":   {func(_ *Objects, r *v1alpha1.Resource) { r.Spec.LoopbackDisk.File = "/array/2" }, "", "/array/2 cannot be seen on a, b"},
		"no group":               {func(o *Objects, _ *v1alpha1.Resource) { o.Groups = nil }, "", "its group g does not exist"},
		"no view":                {func(o *Objects, _ *v1alpha1.Resource) { o.Fresh = false }, "", "no quorate view"},
		"no disk":                {func(_ *Objects, r *v1alpha1.Resource) { r.Spec.LoopbackDisk = nil }, "", "has no disk"},
		"online":                 {func(_ *Objects, r *v1alpha1.Resource) { r.Status.State, r.Status.Node = v1alpha1.ResourceOnline, "b" }, "", "is Online on b: take its group offline first"},
		"it stops": {func(_ *Objects, r *v1alpha1.Resource) {
			r.Status.State, r.Status.Node = v1alpha1.ResourceOfflinePending, "b"
		}, "", "is OfflinePending on b"},
		"a dead owner's word": {func(_ *Objects, r *v1alpha1.Resource) { r.Status.State, r.Status.Node = v1alpha1.ResourceOnline, "c" }, "", "a"},
		"a start that fails on it": {func(_ *Objects, r *v1alpha1.Resource) {
			r.Status.State, r.Status.Node = v1alpha1.ResourceOnlinePending, "b"
		}, "", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Objects{Name: "demo", Fresh: true, Groups: []*v1alpha1.ResourceGroup{{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "g"}}}}
			for i, name := range []string{"a", "b", "c"} {
				n := node(name, int32(i+1), nil)
				n.Status.Agent.Disks = []v1alpha1.AgentDisk{{Device: "/array/1", Visible: true}}
				o.Nodes = append(o.Nodes, n)
			}
			o.Nodes[0].Status.Agent.View = view(4, 1, 1, 2)
			r := res("disk", asDisk)
			r.Namespace, r.Spec.GroupName = "x", "g"
			o.Resources = []*v1alpha1.Resource{r}
			if tc.change != nil {
				tc.change(o, r)
			}
			n, refusal := ForeignClearer(o, r, tc.only)
			if n != nil && n.Name != tc.want || n == nil && !strings.Contains(refusal, tc.want) {
				t.Errorf("ForeignClearer() = %v, %q, want %q", n, refusal, tc.want)
			}
		})
	}
}
