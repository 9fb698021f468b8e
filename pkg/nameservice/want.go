package nameservice

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Labels of what is made for a name.
const (
	// ManagedByLabel has the value ManagedBy.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "quorate"
	// ClusterLabel is the name of the Cluster.
	ClusterLabel = "quorate.io/cluster"
	// sliceManager is who manages the slices, as Kubernetes wants to know it.
	sliceManager = "quorate.io"
)

// Facts are all that the objects of a name are made from.
type Facts struct {
	Cluster  string
	Resource *v1alpha1.Resource
	// Siblings are the resources of its group.
	Siblings []*v1alpha1.Resource
	// HostName is the Kubernetes node of the owner, empty when there is none.
	HostName string
}

// Objects are a Service and its slices, one for each family of addresses.
type Objects struct {
	Service *corev1.Service
	Slices  []*discoveryv1.EndpointSlice
}

// Want says what should be there; nil when the resource has no Service. The slices are always both there: empty they say that nobody serves.
func Want(f *Facts) *Objects {
	n := f.Resource.Spec.NetworkName
	if n == nil || n.Service == nil {
		return nil
	}
	addresses := map[discoveryv1.AddressType][]netip.Addr{}
	for _, a := range snapshot.AddressesOf(f.Resource, f.Siblings) {
		family := discoveryv1.AddressTypeIPv4
		if a.Is6() {
			family = discoveryv1.AddressTypeIPv6
		}
		addresses[family] = append(addresses[family], a)
	}
	o := &Objects{Service: service(f)}
	if len(addresses[discoveryv1.AddressTypeIPv6]) > 0 {
		o.Service.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyPreferDualStack)
	}
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		if len(addresses[family]) > 0 {
			o.Slices = append(o.Slices, slice(f, family, addresses[family]))
		}
	}
	return o
}

func meta(f *Facts, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: f.Resource.Namespace, Name: name,
		Labels: map[string]string{ManagedByLabel: ManagedBy, ClusterLabel: f.Cluster},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Resource", Name: f.Resource.Name, UID: f.Resource.UID, Controller: new(true),
		}},
	}
}

func service(f *Facts) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta(f, snapshot.ServiceName(f.Resource.Spec.NetworkName))}
	for _, p := range f.Resource.Spec.NetworkName.Service.Ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: p.Name, Port: p.Port, Protocol: protocol(p.Protocol), TargetPort: intstr.FromInt32(p.Port),
		})
	}
	return s
}

func slice(f *Facts, family discoveryv1.AddressType, addresses []netip.Addr) *discoveryv1.EndpointSlice {
	name := snapshot.ServiceName(f.Resource.Spec.NetworkName)
	suffix := map[discoveryv1.AddressType]string{discoveryv1.AddressTypeIPv4: "-quorate-v4", discoveryv1.AddressTypeIPv6: "-quorate-v6"}[family]
	s := &discoveryv1.EndpointSlice{ObjectMeta: meta(f, name+suffix), AddressType: family}
	s.Labels[discoveryv1.LabelServiceName], s.Labels[discoveryv1.LabelManagedBy] = name, sliceManager
	for _, p := range f.Resource.Spec.NetworkName.Service.Ports {
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: new(p.Name), Port: new(p.Port), Protocol: new(protocol(p.Protocol))})
	}
	for _, a := range addresses {
		if !serves(f, a) {
			continue
		}
		e := discoveryv1.Endpoint{
			Addresses: []string{a.String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		}
		if f.HostName != "" {
			e.NodeName = new(f.HostName)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// serves says that clients reach the name at the address: both are online on the same node.
func serves(f *Facts, address netip.Addr) bool {
	st := &f.Resource.Status
	return st.State == v1alpha1.ResourceOnline && slices.ContainsFunc(f.Siblings, func(r *v1alpha1.Resource) bool {
		if r.Spec.IPAddress == nil || r.Status.State != v1alpha1.ResourceOnline || r.Status.Node != st.Node {
			return false
		}
		prefix, err := netip.ParsePrefix(r.Spec.IPAddress.Address)
		return err == nil && prefix.Addr() == address
	})
}

func protocol(p v1alpha1.Protocol) corev1.Protocol {
	if p == v1alpha1.ProtocolUDP {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// Owned says that an object is the resource's.
func Owned(o metav1.Object, r *v1alpha1.Resource) bool {
	owner := metav1.GetControllerOf(o)
	return owner != nil && owner.UID == r.UID
}

// MergeService is the Service that there is, with what is wanted of it. Everything else of it may be changed by whoever likes to: its type, its
// annotations, the ports of nodes.
func MergeService(is, want *corev1.Service) *corev1.Service {
	merged := is.DeepCopy()
	mergeMeta(merged, want)
	merged.Spec.Selector = nil
	if want.Spec.IPFamilyPolicy != nil && merged.Spec.IPFamilyPolicy != nil && *merged.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack {
		merged.Spec.IPFamilyPolicy = want.Spec.IPFamilyPolicy
	}
	merged.Spec.Ports = slices.Clone(want.Spec.Ports)
	for i, p := range merged.Spec.Ports {
		for _, old := range is.Spec.Ports {
			if old.Name == p.Name && old.Protocol == p.Protocol {
				merged.Spec.Ports[i].NodePort, merged.Spec.Ports[i].AppProtocol = old.NodePort, old.AppProtocol
			}
		}
	}
	return merged
}

// MergeSlice is the slice that there is, with what is wanted of it.
func MergeSlice(is, want *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	merged := is.DeepCopy()
	mergeMeta(merged, want)
	merged.Ports, merged.Endpoints = want.Ports, want.Endpoints
	return merged
}

func mergeMeta(merged, want metav1.Object) {
	labels := maps.Clone(merged.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, want.GetLabels())
	merged.SetLabels(labels)
	merged.SetOwnerReferences(want.GetOwnerReferences())
}
