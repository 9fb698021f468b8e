package controllers_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

func accepted(list []metav1.Condition) metav1.Condition {
	if c := meta.FindStatusCondition(list, v1alpha1.ConditionAccepted); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// TestBadInput: what only several objects together show to be wrong is refused with a message that names object and field, and
// nothing is assigned.
func TestBadInput(t *testing.T) {
	cases := map[string]struct {
		bad      func(w *controllertest.World, r []*v1alpha1.Resource)
		resource string // that is not accepted; empty for none
		want     []string
	}{
		"address outside its network": {
			bad:      func(_ *controllertest.World, r []*v1alpha1.Resource) { r[1].Spec.IPAddress.Address = "10.99.0.1/24" },
			resource: "shop-ip", want: []string{"shop-ip", "spec.ipAddress.address", "10.99.0.1/24"},
		},
		"missing dependency": {
			bad:      func(_ *controllertest.World, r []*v1alpha1.Resource) { r[2].Spec.DependsOn[0].Name = "nothing" },
			resource: "shop-app", want: []string{"shop-app", "spec.dependsOn[0].name", `"nothing"`},
		},
		"cycle": {
			bad: func(_ *controllertest.World, r []*v1alpha1.Resource) {
				r[0].Spec.DependsOn = []v1alpha1.Dependency{{Name: "shop-app"}}
			},
			resource: "shop-disk", want: []string{"spec.dependsOn", "shop-app -> shop-disk -> shop-app"},
		},
		"no common owner": {
			bad: func(_ *controllertest.World, r []*v1alpha1.Resource) {
				r[0].Spec.PossibleOwners, r[1].Spec.PossibleOwners = []string{"bad-a"}, []string{"bad-b"}
			},
			want: []string{"ResourceGroup", "shop", "spec.possibleOwners", "share no possible owner"},
		},
		"mount path not allowed": {
			bad:      func(_ *controllertest.World, r []*v1alpha1.Resource) { r[0].Spec.LoopbackDisk.MountPath = "/etc/shop" },
			resource: "shop-disk", want: []string{"shop-disk", "spec.loopbackDisk.mountPath", "/etc/shop"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := controllertest.NewWorld(t, env, "bad-"+word(name), "bad-a", "bad-b")
			w.Create(&v1alpha1.ResourceGroup{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "shop"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: w.Name},
			})
			resources := controllertest.GroupResources(w.Name, "shop", 1)
			tc.bad(w, resources)
			for _, r := range resources {
				w.Create(r)
			}
			w.Settle()
			g := w.G("shop")
			c := accepted(g.Status.Conditions)
			if c.Status != metav1.ConditionFalse {
				t.Errorf("the group is accepted: %+v", c)
			}
			for _, part := range tc.want {
				if !strings.Contains(c.Message, part) {
					t.Errorf("message lacks %q: %s", part, c.Message)
				}
			}
			if tc.resource != "" && accepted(w.R(tc.resource).Status.Conditions).Status != metav1.ConditionFalse {
				t.Errorf("resource %s is accepted", tc.resource)
			}
			if g.Status.Assignment != nil {
				t.Errorf("the group was assigned: %+v", g.Status.Assignment)
			}
		})
	}
}

func TestUnknownCluster(t *testing.T) {
	w := controllertest.NewWorld(t, env, "nocluster")
	w.Create(&v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "lost"}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "nocluster"},
	})
	w.Delete(controllertest.NewCluster("nocluster"))
	w.Settle()
	c := accepted(w.G("lost").Status.Conditions)
	if c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonClusterNotFound || !strings.Contains(c.Message, "spec.clusterName") {
		t.Errorf("condition: %+v", c)
	}
}
