package validation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

func unknownCluster(s *scope) []Finding {
	if s.Cluster != nil {
		return nil
	}
	var found []Finding
	for _, g := range s.Groups {
		found = append(found, aboutGroup(g, "spec.clusterName", v1alpha1.ReasonClusterNotFound,
			fmt.Sprintf("there is no Cluster %q: make it, or make the group again with another name", g.Spec.ClusterName)))
	}
	return found
}

func missingGroup(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		if s.groups[snapshot.GroupKeyOf(r)] != nil {
			return Finding{}, false
		}
		return aboutResource(r, "spec.groupName", v1alpha1.ResourceReasonGroupNotFound,
			fmt.Sprintf("there is no ResourceGroup %q in namespace %s", r.Spec.GroupName, r.Namespace)), true
	})
}

// unsupported refuses what the API describes and this version does not do, so that nobody waits for it.
func unsupported(s *scope) []Finding {
	supported := []v1alpha1.ResourceType{v1alpha1.TypePhysicalDisk, v1alpha1.TypeLoopbackDisk, v1alpha1.TypeIPAddress, v1alpha1.TypeNetworkName, v1alpha1.TypeGenericApplication, v1alpha1.TypeGenericService, v1alpha1.TypeOCF,
		v1alpha1.TypeContainer}
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		return aboutResource(r, "spec.type", v1alpha1.ResourceReasonTypeNotSupported,
			fmt.Sprintf("this version does not run resources of type %s", r.Spec.Type)), !slices.Contains(supported, r.Spec.Type)
	})
}

func noCommonOwner(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		resources := s.resources[snapshot.Key(g)]
		owners := snapshot.PossibleOwners(resources)
		if owners == nil {
			continue
		}
		if len(owners) == 0 {
			found = append(found, aboutGroup(g, "resources[].spec.possibleOwners", v1alpha1.GroupReasonNoPossibleOwner,
				"its resources share no possible owner: "+ownerLists(resources)))
			continue
		}
		if len(s.nodes) > 0 && !slices.ContainsFunc(owners, func(n string) bool { return s.nodes[n] }) {
			found = append(found, aboutGroup(g, "resources[].spec.possibleOwners", v1alpha1.GroupReasonNoPossibleOwner,
				fmt.Sprintf("none of its possible owners (%s) is a node of cluster %s: %s", strings.Join(owners, ", "), s.Name, ownerLists(resources))))
		}
	}
	return found
}

func ownerLists(resources []*v1alpha1.Resource) string {
	var lists []string
	for _, r := range resources {
		if len(r.Spec.PossibleOwners) > 0 {
			lists = append(lists, fmt.Sprintf("Resource %s: spec.possibleOwners is [%s]", r.Name, strings.Join(r.Spec.PossibleOwners, ", ")))
		}
	}
	return strings.Join(lists, "; ")
}

func groupCycles(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		circle := findCycle(snapshot.Key(g), func(key model.GroupKey) []model.GroupKey {
			next := s.groups[key]
			if next == nil {
				return nil
			}
			keys := make([]model.GroupKey, 0, len(next.Spec.DependsOn))
			for _, d := range next.Spec.DependsOn {
				keys = append(keys, model.GroupKey{Namespace: next.Namespace, Name: d.Name})
			}
			return keys
		})
		if circle == nil {
			continue
		}
		names := make([]string, 0, len(circle))
		for _, key := range circle {
			names = append(names, key.Name)
		}
		found = append(found, aboutGroup(g, "spec.dependsOn", v1alpha1.GroupReasonDependencyCycle,
			"groups depend on each other in a circle: "+strings.Join(names, " -> ")))
	}
	return found
}

func unknownTimeZones(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		window := g.Spec.Failback.Window
		if window == nil || window.TimeZone == "" {
			continue
		}
		if _, err := time.LoadLocation(window.TimeZone); err != nil {
			found = append(found, aboutGroup(g, "spec.failback.window.timeZone", v1alpha1.ReasonInvalid,
				fmt.Sprintf("%q is not a time zone that is known here: use an IANA name such as Europe/Berlin", window.TimeZone)))
		}
	}
	return found
}

// unknownNames only warns: a preferred owner may join later, or have left for good, and neither may keep a group from running.
func unknownNames(s *scope) []Finding {
	var found []Finding
	for _, g := range s.Groups {
		for _, name := range g.Spec.PreferredOwners {
			if len(s.nodes) > 0 && !s.nodes[name] {
				found = append(found, warn(aboutGroup(g, "spec.preferredOwners", v1alpha1.GroupReasonUnknownNode,
					fmt.Sprintf("cluster %s has no node %q", s.Name, name))))
			}
		}
		for _, d := range g.Spec.DependsOn {
			if s.groups[model.GroupKey{Namespace: g.Namespace, Name: d.Name}] == nil {
				found = append(found, warn(aboutGroup(g, "spec.dependsOn", v1alpha1.GroupReasonWaitingForGroup,
					fmt.Sprintf("cluster %s has no group %q in namespace %s: the group waits for it", s.Name, d.Name, g.Namespace))))
			}
		}
	}
	return append(found, s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		for _, name := range r.Spec.PossibleOwners {
			if len(s.nodes) > 0 && !s.nodes[name] {
				return warn(aboutResource(r, "spec.possibleOwners", v1alpha1.ResourceReasonUnknownNode,
					fmt.Sprintf("cluster %s has no node %q", s.Name, name))), true
			}
		}
		return Finding{}, false
	})...)
}
