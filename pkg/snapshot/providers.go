package snapshot

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
)

// Providers are the resources that a resource depends on, directly or through others, each once: the way down a dependency before the
// next one. all are the resources of its group.
func Providers(r *v1alpha1.Resource, all []*v1alpha1.Resource) iter.Seq[*v1alpha1.Resource] {
	return func(yield func(*v1alpha1.Resource) bool) {
		byName := make(map[string]*v1alpha1.Resource, len(all))
		for _, other := range all {
			byName[other.Name] = other
		}
		seen := map[string]bool{r.Name: true}
		var visit func(r *v1alpha1.Resource) bool
		visit = func(r *v1alpha1.Resource) bool {
			for _, d := range r.Spec.DependsOn {
				for _, name := range append(slices.Clone(d.AnyOf), d.Name) {
					other := byName[name]
					if other == nil || seen[name] {
						continue
					}
					seen[name] = true
					if !yield(other) || !visit(other) {
						return false
					}
				}
			}
			return true
		}
		visit(r)
	}
}

// AddressesOf are the addresses of the IPAddress resources that a resource depends on, sorted. What is not an address is left out:
// validation has refused it.
func AddressesOf(r *v1alpha1.Resource, all []*v1alpha1.Resource) []netip.Addr {
	var found []netip.Addr
	for provider := range Providers(r, all) {
		if provider.Spec.IPAddress == nil {
			continue
		}
		if prefix, err := netip.ParsePrefix(provider.Spec.IPAddress.Address); err == nil {
			found = append(found, prefix.Addr())
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}

// ServiceName is the name of a network name's Service.
func ServiceName(n *v1alpha1.NetworkName) string {
	if n.Service != nil && n.Service.Name != "" {
		return n.Service.Name
	}
	return n.Name
}
