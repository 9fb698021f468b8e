package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of all kinds.
const GroupName = "quorate.io"

// SchemeGroupVersion is the group and version of the kinds of this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// schemeBuilder collects what AddToScheme adds.
var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme adds the kinds of this package to a scheme.
var AddToScheme = schemeBuilder.AddToScheme

// Resource qualifies a resource name with the API group. It is used for errors of the API machinery.
func resourceName(name string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(name).GroupResource()
}

// Group resources of the kinds, for errors and events.
var (
	ClusterResource       = resourceName("clusters")
	NodeResource          = resourceName("nodes")
	QuorumConfigResource  = resourceName("quorumconfigs")
	ResourceGroupResource = resourceName("resourcegroups")
	ResourceResource      = resourceName("resources")
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Cluster{}, &ClusterList{},
		&Node{}, &NodeList{},
		&QuorumConfig{}, &QuorumConfigList{},
		&ResourceGroup{}, &ResourceGroupList{},
		&Resource{}, &ResourceList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
