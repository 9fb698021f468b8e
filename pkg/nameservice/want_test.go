package nameservice

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

func facts() *Facts {
	resource := func(name string, on ...v1alpha1.Dependency) *v1alpha1.Resource {
		r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: "uid-1"}}
		r.Spec.DependsOn = on
		r.Status.State, r.Status.Node = v1alpha1.ResourceOnline, "node-a"
		return r
	}
	v4, v6, other := resource("ip4"), resource("ip6"), resource("other")
	v4.Spec.IPAddress = &v1alpha1.IPAddress{Address: "192.0.2.7/24"}
	v6.Spec.IPAddress = &v1alpha1.IPAddress{Address: "2001:db8::7/64"}
	other.Spec.IPAddress = &v1alpha1.IPAddress{Address: "192.0.2.8/24"}
	name := resource("name", v1alpha1.Dependency{Name: "ip4"}, v1alpha1.Dependency{AnyOf: []string{"ip6"}})
	name.Spec.NetworkName = &v1alpha1.NetworkName{Name: "sales", Service: &v1alpha1.NameService{Ports: []v1alpha1.ServicePort{
		{Name: "http", Port: 80, Protocol: v1alpha1.ProtocolTCP}, {Name: "dns", Port: 53, Protocol: v1alpha1.ProtocolUDP},
	}}}
	return &Facts{Cluster: "prod", Resource: name, Siblings: []*v1alpha1.Resource{v4, v6, other, name}, HostName: "host-1"}
}

// endpoints are the addresses that are ready, by slice.
func endpoints(o *Objects) map[string][]string {
	found := map[string][]string{}
	for _, s := range o.Slices {
		found[s.Name] = []string{}
		for _, e := range s.Endpoints {
			if *e.Conditions.Ready && *e.NodeName == "host-1" {
				found[s.Name] = append(found[s.Name], e.Addresses...)
			}
		}
	}
	return found
}

// TestEndpoints: an endpoint is what the name depends on and is online with it, on the same node.
func TestEndpoints(t *testing.T) {
	const v4, v6 = "sales-quorate-v4", "sales-quorate-v6"
	for name, tc := range map[string]struct {
		change func(f *Facts)
		want   map[string][]string
	}{
		"online":                            {func(*Facts) {}, map[string][]string{v4: {"192.0.2.7"}, v6: {"2001:db8::7"}}},
		"the name pending":                  {func(f *Facts) { f.Resource.Status.State = v1alpha1.ResourceOnlinePending }, map[string][]string{v4: {}, v6: {}}},
		"one address offline":               {func(f *Facts) { f.Siblings[1].Status.State = v1alpha1.ResourceOffline }, map[string][]string{v4: {"192.0.2.7"}, v6: {}}},
		"an address that has not moved yet": {func(f *Facts) { f.Siblings[0].Status.Node = "node-b" }, map[string][]string{v4: {}, v6: {"2001:db8::7"}}},
		"IPv4 alone":                        {func(f *Facts) { f.Resource.Spec.DependsOn = f.Resource.Spec.DependsOn[:1] }, map[string][]string{v4: {"192.0.2.7"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts()
			tc.change(f)
			if diff := cmp.Diff(tc.want, endpoints(Want(f))); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestService(t *testing.T) {
	f := facts()
	o := Want(f)
	s := o.Service
	if s.Namespace != "demo" || s.Name != "sales" || s.Spec.Selector != nil || len(s.Spec.Ports) != 2 || s.Spec.Ports[1].Protocol != corev1.ProtocolUDP ||
		s.Spec.Ports[0].TargetPort.IntValue() != 80 || !Owned(s, f.Resource) || *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack {
		t.Errorf("Service %+v", s)
	}
	for _, slice := range o.Slices {
		if slice.Labels["kubernetes.io/service-name"] != "sales" || slice.Labels[ClusterLabel] != "prod" || !Owned(slice, f.Resource) || *slice.Ports[0].Port != 80 {
			t.Errorf("slice %+v", slice)
		}
	}
	f.Resource.Spec.NetworkName.Service.Name = "shop"
	if got := Want(f).Service.Name; got != "shop" {
		t.Errorf("the Service has the name %s", got)
	}
	f.Resource.Spec.NetworkName.Service = nil
	if Want(f) != nil {
		t.Error("a name without a service has one")
	}
}

// TestMerge: what others set of the Service stays, what is the name's is put right, and nothing is written twice.
func TestMerge(t *testing.T) {
	f := facts()
	want := Want(f)
	is := want.Service.DeepCopy()
	is.ResourceVersion, is.Spec.ClusterIP, is.Spec.Type = "7", "10.0.0.9", corev1.ServiceTypeNodePort
	is.Annotations, is.Labels["team"] = map[string]string{"a": "b"}, "shop"
	is.Spec.Ports[0].NodePort = 30080
	if diff := cmp.Diff(is, MergeService(is, want.Service)); diff != "" {
		t.Errorf("what is as it should be is changed (-was +is):\n%s", diff)
	}
	spoiled := is.DeepCopy()
	spoiled.Spec.Selector, spoiled.OwnerReferences, spoiled.Labels = map[string]string{"app": "x"}, nil, map[string]string{"team": "shop"}
	spoiled.Spec.Ports[1].Port = 54
	if diff := cmp.Diff(is, MergeService(spoiled, want.Service)); diff != "" {
		t.Errorf("what was spoiled is not as it should be (-want +got):\n%s", diff)
	}
	slice := want.Slices[0].DeepCopy()
	slice.Endpoints, slice.Labels = nil, nil
	if diff := cmp.Diff(want.Slices[0], MergeSlice(slice, want.Slices[0])); diff != "" {
		t.Errorf("slice (-want +got):\n%s", diff)
	}
}
