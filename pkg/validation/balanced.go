package validation

import (
	"fmt"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// exclusive are the types that one node has at a time, with what to do instead.
var exclusive = map[v1alpha1.ResourceType]string{
	v1alpha1.TypePhysicalDisk: "a disk is written by one node at a time: put it, and what uses it, into a group of mode Failover",
	v1alpha1.TypeLoopbackDisk: "a disk is written by one node at a time: put it, and what uses it, into a group of mode Failover",
	v1alpha1.TypeIPAddress:    "an address is answered by one node at a time: put it into a group of mode Failover; what is on every node listens on the node's own addresses",
	v1alpha1.TypeNetworkName:  "a network name stands for one address: put both into a group of mode Failover",
	v1alpha1.TypeFileShare:    "a share is of a disk, which one node has at a time: put both into a group of mode Failover",
}

// notShareable refuses what only one node may have in a group that is on many.
func notShareable(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		g, why := s.groups[snapshot.GroupKeyOf(r)], exclusive[r.Spec.Type]
		if g == nil || !snapshot.Balanced(g) || why == "" {
			return Finding{}, false
		}
		return aboutResource(r, "spec.type", v1alpha1.ResourceReasonNotShareable,
			fmt.Sprintf("%s cannot be in group %s, which has mode LoadBalanced and is online on every node that may take it: %s", r.Spec.Type, g.Name, why)), true
	})
}

// withoutEffect warns of settings that a group on every node has no use for.
func withoutEffect(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		if !snapshot.Balanced(g) {
			continue
		}
		const all = "has no effect in mode LoadBalanced, which is online on every node that may take it"
		if len(g.Spec.PreferredOwners) > 0 {
			found = append(found, warn(aboutGroup(g, "spec.preferredOwners", v1alpha1.ReasonInvalid,
				all+": possibleOwners of its resources say which those are")))
		}
		if p := g.Spec.Failback.Policy; p != "" && p != v1alpha1.FailbackNever {
			found = append(found, warn(aboutGroup(g, "spec.failback.policy", v1alpha1.ReasonInvalid, all+": a node that returns joins at once")))
		}
	}
	return found
}
