package snapshot

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// corePriority puts a cluster's core group before every other one, whose priority is 3000 at most.
const corePriority = 4000

// CoreOf is the name of the Cluster to whose core group the object belongs, empty for any other object. It bears the label, and the Cluster is its
// controller: admission policies let nobody but the manager make such an object.
func CoreOf(o metav1.Object) string {
	cluster, owner := o.GetLabels()[v1alpha1.CoreGroupLabel], metav1.GetControllerOf(o)
	if cluster == "" || o.GetNamespace() != v1alpha1.SystemNamespace || owner == nil || owner.Kind != "Cluster" || owner.Name != cluster {
		return ""
	}
	return cluster
}

// IsCore says that the object belongs to the core group of the cluster.
func IsCore(o metav1.Object, cluster string) bool { return cluster != "" && CoreOf(o) == cluster }

// CoreGroup is the core group of the cluster, nil when there is none.
func (o *Objects) CoreGroup() *v1alpha1.ResourceGroup {
	for _, g := range o.Groups {
		if IsCore(g, o.Name) {
			return g
		}
	}
	return nil
}

func priorityOf(g *v1alpha1.ResourceGroup) int {
	if IsCore(g, g.Spec.ClusterName) {
		return corePriority
	}
	return intOr(g.Spec.Priority, defaultPriority)
}
