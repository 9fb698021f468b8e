package validation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// namesTwice gives a network name to one user only, and a Service to one name of the namespace: the cluster itself, or the older resource keeps
// it. The name is a host name, so it is unique in the cluster whatever the zone.
func namesTwice(s *scope) []Finding {
	type service struct{ namespace, name string }
	names, services, own := map[string]string{}, map[service]string{}, "Cluster "+s.Name
	if s.Cluster != nil && s.Cluster.Spec.Access != nil && s.Cluster.Spec.Access.NetworkName != "" {
		names[s.Cluster.Spec.Access.NetworkName] = own
	}
	users := slices.DeleteFunc(slices.Clone(s.Resources), func(r *v1alpha1.Resource) bool {
		return r.Spec.NetworkName == nil || s.groups[snapshot.GroupKeyOf(r)] == nil
	})
	slices.SortFunc(users, olderFirst)
	var found []Finding
	for _, r := range users {
		n, self := r.Spec.NetworkName, "Resource "+r.Namespace+"/"+r.Name
		if user, used := names[n.Name]; used && (user != own || !snapshot.IsCore(r, s.Name)) {
			found = append(found, aboutResource(r, "spec.networkName.name", v1alpha1.ResourceReasonNameInUse,
				fmt.Sprintf("%q is the network name of %s: a name is unique in the cluster, choose another", n.Name, user)))
			continue
		}
		names[n.Name] = cmp.Or(names[n.Name], self)
		if n.Service == nil {
			continue
		}
		wanted := service{r.Namespace, snapshot.ServiceName(n)}
		if user, used := services[wanted]; used {
			found = append(found, aboutResource(r, "spec.networkName.service.name", v1alpha1.ResourceReasonNameInUse,
				fmt.Sprintf("the Service %q of the namespace is that of %s: choose another name for it", wanted.name, user)))
			continue
		}
		services[wanted] = self
	}
	return found
}
