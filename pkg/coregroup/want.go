package coregroup

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// Suffixes of the names of the resources; that of the group has none.
const (
	addressSuffix = "-address"
	nameSuffix    = "-name"
)

// longestName is how much of a Cluster's name fits into the names of the resources, which are DNS labels of 63 at most.
const longestName = 63 - len(v1alpha1.CoreGroupPrefix) - len(addressSuffix)

// Objects are a core group. The resources are in the order in which they are made: the name depends on the address.
type Objects struct {
	Group     *v1alpha1.ResourceGroup
	Resources []*v1alpha1.Resource
}

// Want says what should be there; nil when the Cluster has no spec.access, or is gone or going. Everything that the API server would default is
// set, so that what is there can be compared.
func Want(c *v1alpha1.Cluster) *Objects {
	if c == nil || c.DeletionTimestamp != nil || c.Spec.Access == nil {
		return nil
	}
	access := c.Spec.Access
	o := &Objects{Group: &v1alpha1.ResourceGroup{ObjectMeta: meta(c, ""), Spec: v1alpha1.ResourceGroupSpec{
		Description: "the address and name of cluster " + c.Name + ", made from its spec.access",
		ClusterName: c.Name, Mode: v1alpha1.GroupModeFailover, DesiredState: v1alpha1.DesiredOnline, Priority: new(int32(highestPriority)),
		Failover: v1alpha1.Failover{Threshold: new(int32(v1alpha1.DefaultFailoverThreshold)), Period: &metav1.Duration{Duration: v1alpha1.DefaultFailoverPeriod}},
		Failback: v1alpha1.Failback{Policy: v1alpha1.FailbackNever, Delay: &metav1.Duration{}},
	}}}
	o.add(c, addressSuffix, v1alpha1.TypeIPAddress, nil, v1alpha1.ResourceParameters{
		IPAddress: &v1alpha1.IPAddress{Network: access.Network, Address: access.Address},
	})
	if access.NetworkName != "" {
		o.add(c, nameSuffix, v1alpha1.TypeNetworkName, []v1alpha1.Dependency{{Name: o.Resources[0].Name}}, v1alpha1.ResourceParameters{
			NetworkName: &v1alpha1.NetworkName{Name: access.NetworkName, DNS: access.DNS.DeepCopy()},
		})
	}
	return o
}

// highestPriority is what the API knows as high; the core group comes before the others of it.
const highestPriority = 3000

func (o *Objects) add(c *v1alpha1.Cluster, suffix string, t v1alpha1.ResourceType, on []v1alpha1.Dependency, parameters v1alpha1.ResourceParameters) {
	o.Resources = append(o.Resources, &v1alpha1.Resource{ObjectMeta: meta(c, suffix), Spec: v1alpha1.ResourceSpec{
		GroupName: o.Group.Name, DesiredState: v1alpha1.DesiredOnline, DependsOn: on, Type: t, ResourceParameters: parameters,
		Restart: v1alpha1.Restart{
			Policy: v1alpha1.RestartThenFailover, Threshold: new(int32(v1alpha1.DefaultRestartThreshold)),
			Period: &metav1.Duration{Duration: v1alpha1.DefaultRestartPeriod}, Delay: &metav1.Duration{Duration: v1alpha1.DefaultRestartDelay},
		},
	}})
}

func meta(c *v1alpha1.Cluster, suffix string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.CoreGroupPrefix + short(c.Name) + suffix,
		Labels: map[string]string{v1alpha1.CoreGroupLabel: c.Name},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Cluster", Name: c.Name, UID: c.UID, Controller: new(true),
		}},
	}
}

// short is the Cluster's name, or what tells it from others where it is too long.
func short(cluster string) string {
	if len(cluster) <= longestName {
		return cluster
	}
	sum := sha256.Sum256([]byte(cluster))
	hash := hex.EncodeToString(sum[:4])
	return strings.TrimRight(cluster[:longestName-1-len(hash)], "-") + "-" + hash
}

// MergeGroup is the group that there is, with what is wanted of it, and whether it differs. Annotations are anybody's: a move is asked for with one.
func MergeGroup(is, want *v1alpha1.ResourceGroup) (*v1alpha1.ResourceGroup, bool) {
	merged := is.DeepCopy()
	mergeMeta(merged, want)
	want.Spec.DeepCopyInto(&merged.Spec)
	return merged, !equality.Semantic.DeepEqual(is, merged)
}

// MergeResource is the resource that there is, with what is wanted of it, and whether it differs.
func MergeResource(is, want *v1alpha1.Resource) (*v1alpha1.Resource, bool) {
	merged := is.DeepCopy()
	mergeMeta(merged, want)
	want.Spec.DeepCopyInto(&merged.Spec)
	return merged, !equality.Semantic.DeepEqual(is, merged)
}

func mergeMeta(merged, want metav1.Object) {
	merged.SetLabels(want.GetLabels())
	merged.SetOwnerReferences(want.GetOwnerReferences())
}
