package coregroup

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

func cluster(name string, access *v1alpha1.ClusterAccess) *v1alpha1.Cluster {
	return &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}, Spec: v1alpha1.ClusterSpec{Access: access}}
}

func TestWant(t *testing.T) {
	dns := &v1alpha1.DNSRegistration{Server: "192.0.2.1", Zone: "example.org"}
	for name, tc := range map[string]struct {
		access *v1alpha1.ClusterAccess
		want   string
	}{
		"none":    {nil, ""},
		"address": {&v1alpha1.ClusterAccess{Network: "lan", Address: "192.0.2.9/24"}, "core-prod: core-prod-address(lan 192.0.2.9/24)"},
		"name": {
			&v1alpha1.ClusterAccess{Network: "lan", Address: "2001:db8::9/64", NetworkName: "prod", DNS: dns},
			"core-prod: core-prod-address(lan 2001:db8::9/64) core-prod-name(prod in example.org, on core-prod-address)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(t, Want(cluster("prod", tc.access))); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	going := cluster("prod", &v1alpha1.ClusterAccess{})
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	if Want(going) != nil || Want(nil) != nil {
		t.Error("a Cluster that is gone, or goes, has a core group")
	}
}

func describe(t *testing.T, o *Objects) string {
	if o == nil {
		return ""
	}
	text := o.Group.Name + ":"
	if snapshot.CoreOf(o.Group) != o.Group.Spec.ClusterName {
		t.Errorf("%s is not known as a core group: %+v", o.Group.Name, o.Group.ObjectMeta)
	}
	for _, r := range o.Resources {
		if r.Spec.GroupName != o.Group.Name || snapshot.CoreOf(r) != o.Group.Spec.ClusterName {
			t.Errorf("%s is not of the group: %+v", r.Name, r)
		}
		switch {
		case r.Spec.IPAddress != nil:
			text += " " + r.Name + "(" + r.Spec.IPAddress.Network + " " + r.Spec.IPAddress.Address + ")"
		case r.Spec.NetworkName != nil:
			text += " " + r.Name + "(" + r.Spec.NetworkName.Name + " in " + r.Spec.NetworkName.DNS.Zone + ", on " + r.Spec.DependsOn[0].Name + ")"
		}
	}
	return text
}

// TestLongNames: names stay DNS labels, and those of two clusters differ.
func TestLongNames(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{strings.Repeat("a", 50), strings.Repeat("a", 51), strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", strings.Repeat("a", 40) + strings.Repeat("-", 22) + "b"} {
		o := Want(cluster(name, &v1alpha1.ClusterAccess{NetworkName: "x", DNS: &v1alpha1.DNSRegistration{}}))
		for _, n := range []string{o.Group.Name, o.Resources[0].Name, o.Resources[1].Name} {
			if len(n) > 63 || strings.Contains(n, "--") || seen[n] {
				t.Errorf("%s: %s has %d characters, or is not the only one", name, n, len(n))
			}
			seen[n] = true
		}
		if snapshot.CoreOf(o.Group) != name {
			t.Errorf("%s is not the core group of %s", o.Group.Name, name)
		}
	}
}

// TestMerge: an edit is put back, annotations and finalizers stay.
func TestMerge(t *testing.T) {
	o := Want(cluster("prod", &v1alpha1.ClusterAccess{Network: "lan", Address: "192.0.2.9/24"}))
	is := o.Group.DeepCopy()
	is.Annotations, is.Finalizers = map[string]string{v1alpha1.MoveToAnnotation: "best"}, []string{v1alpha1.OfflineFirstFinalizer}
	if _, changed := MergeGroup(is, o.Group); changed {
		t.Error("a request to move is a change")
	}
	is.Spec.DesiredState, is.Spec.PreferredOwners = v1alpha1.DesiredOffline, []string{"a"}
	merged, changed := MergeGroup(is, o.Group)
	if !changed || merged.Spec.DesiredState != v1alpha1.DesiredOnline || merged.Spec.PreferredOwners != nil || len(merged.Annotations) != 1 || len(merged.Finalizers) != 1 {
		t.Errorf("%t, %+v", changed, merged)
	}
	r := o.Resources[0].DeepCopy()
	r.Spec.PossibleOwners = []string{"a"}
	if merged, changed := MergeResource(r, o.Resources[0]); !changed || merged.Spec.PossibleOwners != nil {
		t.Errorf("%t, %+v", changed, merged)
	}
	other := cluster("prod", &v1alpha1.ClusterAccess{Network: "lan", Address: "192.0.2.10/24"})
	other.UID = "v"
	if merged, changed := MergeResource(o.Resources[0], Want(other).Resources[0]); !changed || merged.Spec.IPAddress.Address != "192.0.2.10/24" || merged.OwnerReferences[0].UID != "v" {
		t.Errorf("%t, %+v", changed, merged)
	}
}
