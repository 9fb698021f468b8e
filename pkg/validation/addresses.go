package validation

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// addressOf is the address that clients use, with its network and the path of the field; ok is false for other types.
func addressOf(r *v1alpha1.Resource) (network, address, field string, ok bool) {
	switch {
	case r.Spec.IPAddress != nil:
		return r.Spec.IPAddress.Network, r.Spec.IPAddress.Address, "spec.ipAddress", true
	case r.Spec.NetworkLoadBalancer != nil:
		return r.Spec.NetworkLoadBalancer.Network, r.Spec.NetworkLoadBalancer.ClusterIP, "spec.networkLoadBalancer", true
	}
	return "", "", "", false
}

func addressField(r *v1alpha1.Resource) string {
	switch {
	case r.Spec.IPAddress != nil:
		return "spec.ipAddress.address"
	case r.Spec.Container != nil:
		return "spec.container.address"
	}
	return "spec.networkLoadBalancer.clusterIP"
}

func unknownNetworks(s *scope) []Finding {
	if s.Cluster == nil {
		return nil
	}
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		network, _, field, ok := addressOf(r)
		if !ok || s.groups[snapshot.GroupKeyOf(r)] == nil {
			return Finding{}, false
		}
		switch known := s.networks[network]; {
		case known == nil:
			return aboutResource(r, field+".network", v1alpha1.ResourceReasonUnknownNetwork,
				fmt.Sprintf("Cluster %s has no network %q; it has %v", s.Name, network, slices.Sorted(maps.Keys(s.networks)))), true
		case !known.Role.ServesClients():
			return aboutResource(r, field+".network", v1alpha1.ResourceReasonUnknownNetwork,
				fmt.Sprintf("network %q of Cluster %s has role %s: it serves no clients", network, s.Name, known.Role)), true
		}
		return Finding{}, false
	})
}

func addressesOutside(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		network, address, _, ok := addressOf(r)
		known := s.networks[network]
		if !ok || known == nil || s.groups[snapshot.GroupKeyOf(r)] == nil {
			return Finding{}, false
		}
		prefix, err := netip.ParsePrefix(address)
		if err != nil {
			return aboutResource(r, addressField(r), v1alpha1.ReasonInvalid,
				fmt.Sprintf("%q is not an address with a prefix length, such as 192.168.7.50/24", address)), true
		}
		inside := slices.ContainsFunc(known.CIDRs, func(cidr string) bool {
			parsed, err := netip.ParsePrefix(cidr)
			return err == nil && parsed.Contains(prefix.Addr())
		})
		return aboutResource(r, addressField(r), v1alpha1.ResourceReasonAddressOutsideNetwork,
			fmt.Sprintf("%s is outside network %q of Cluster %s, which has %v", address, network, s.Name, known.CIDRs)), !inside
	})
}

// addressesTwice gives an address to one user only: a node, the cluster itself, or the older resource keeps it.
func addressesTwice(s *scope) []Finding {
	taken, own := map[netip.Addr]string{}, "Cluster "+s.Name
	for _, n := range s.Nodes {
		for _, a := range n.Spec.Addresses {
			if addr, err := netip.ParseAddr(a.Address); err == nil {
				taken[addr] = "Node " + n.Name
			}
		}
	}
	if s.Cluster != nil && s.Cluster.Spec.Access != nil {
		if prefix, err := netip.ParsePrefix(s.Cluster.Spec.Access.Address); err == nil {
			taken[prefix.Addr()] = cmp.Or(taken[prefix.Addr()], own)
		}
	}
	users := slices.Clone(s.Resources)
	slices.SortFunc(users, olderFirst)
	var found []Finding
	for _, r := range users {
		_, address, _, ok := addressOf(r)
		if c := r.Spec.Container; c != nil && c.Address != "" {
			address, ok = c.Address, true
		}
		prefix, err := netip.ParsePrefix(address)
		if !ok || err != nil || s.groups[snapshot.GroupKeyOf(r)] == nil {
			continue
		}
		if user, used := taken[prefix.Addr()]; used && (user != own || !snapshot.IsCore(r, s.Name)) {
			found = append(found, aboutResource(r, addressField(r), v1alpha1.ResourceReasonAddressInUse,
				fmt.Sprintf("%s is the address of %s", prefix.Addr(), user)))
			continue
		}
		taken[prefix.Addr()] = cmp.Or(taken[prefix.Addr()], "Resource "+r.Namespace+"/"+r.Name)
	}
	return found
}

// olderFirst orders by creation, then by name: who was there first keeps what two want.
func olderFirst(a, b *v1alpha1.Resource) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
