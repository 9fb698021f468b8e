package validation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// dependencies are the names that a resource depends on, with the path of the field that says so.
func dependencies(r *v1alpha1.Resource) (names, fields []string) {
	for i, d := range r.Spec.DependsOn {
		if d.Name != "" {
			names = append(names, d.Name)
			fields = append(fields, fmt.Sprintf("spec.dependsOn[%d].name", i))
		}
		for j, name := range d.AnyOf {
			names = append(names, name)
			fields = append(fields, fmt.Sprintf("spec.dependsOn[%d].anyOf[%d]", i, j))
		}
	}
	return names, fields
}

func (s *scope) sibling(r *v1alpha1.Resource, name string) *v1alpha1.Resource {
	for _, other := range s.resources[snapshot.GroupKeyOf(r)] {
		if other.Name == name {
			return other
		}
	}
	return nil
}

// elsewhere tells of a resource of the name in another group: resources that depend on each other are moved together.
func (s *scope) elsewhere(r *v1alpha1.Resource, name string) string {
	for _, other := range s.Resources {
		if other.Namespace == r.Namespace && other.Name == name && other.Spec.GroupName != r.Spec.GroupName {
			return fmt.Sprintf(": it belongs to group %s, and what depends on each other is in one group; set spec.groupName of both to the same one",
				other.Spec.GroupName)
		}
	}
	return ""
}

func missingDependencies(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		names, fields := dependencies(r)
		for i, name := range names {
			if s.sibling(r, name) == nil {
				return aboutResource(r, fields[i], v1alpha1.ResourceReasonMissingDependency,
					fmt.Sprintf("group %s has no Resource %q", r.Spec.GroupName, name)+s.elsewhere(r, name)), true
			}
		}
		return Finding{}, false
	})
}

func dependencyCycles(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		circle := findCycle(r.Name, func(name string) []string {
			next := s.sibling(r, name)
			if next == nil {
				return nil
			}
			names, _ := dependencies(next)
			return names
		})
		return aboutResource(r, "spec.dependsOn", v1alpha1.ResourceReasonDependencyCycle,
			"resources depend on each other in a circle: "+strings.Join(circle, " -> ")), circle != nil
	})
}

// findCycle returns a way from start back to start, both ends included, or nil. The shortest one is found.
func findCycle[K comparable](start K, next func(K) []K) []K {
	cameFrom := map[K]K{}
	queue := []K{start}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, to := range next(at) {
			if to == start {
				way := []K{start}
				for ; at != start; at = cameFrom[at] {
					way = append(way, at)
				}
				way = append(way, start)
				slices.Reverse(way)
				return way
			}
			if _, seen := cameFrom[to]; !seen {
				cameFrom[to] = at
				queue = append(queue, to)
			}
		}
	}
	return nil
}

// missingProviders wants an address for a name, a name for a process that uses it, and a disk that holds the path for a share.
func missingProviders(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		switch {
		case r.Spec.NetworkName != nil && !s.reaches(r, func(p *v1alpha1.Resource) bool { return p.Spec.IPAddress != nil }):
			return aboutResource(r, "spec.dependsOn", v1alpha1.ResourceReasonMissingDependency,
				"a NetworkName must depend on an IPAddress of its group"), true
		case r.Spec.GenericApplication != nil && r.Spec.GenericApplication.UseNetworkName &&
			!s.reaches(r, func(p *v1alpha1.Resource) bool { return p.Spec.NetworkName != nil }):
			return aboutResource(r, "spec.genericApplication.useNetworkName", v1alpha1.ResourceReasonMissingDependency,
				"the process can have the network name of its group only if the resource depends on a NetworkName: name it in spec.dependsOn"), true
		case r.Spec.FileShare != nil && !s.reaches(r, func(p *v1alpha1.Resource) bool { return below(r.Spec.FileShare.Path, snapshot.MountPath(p)) }):
			return aboutResource(r, "spec.fileShare.path", v1alpha1.ResourceReasonMissingDependency,
				fmt.Sprintf("the share must depend on the disk of its group that is mounted at or above %s", r.Spec.FileShare.Path)), true
		}
		return Finding{}, false
	})
}

// reaches says that the resource depends, directly or not, on one of its group that is as wanted.
func (s *scope) reaches(r *v1alpha1.Resource, wanted func(*v1alpha1.Resource) bool) bool {
	seen := map[string]bool{}
	queue := []*v1alpha1.Resource{r}
	for len(queue) > 0 {
		names, _ := dependencies(queue[0])
		queue = queue[1:]
		for _, name := range names {
			provider := s.sibling(r, name)
			if provider == nil || seen[name] {
				continue
			}
			if wanted(provider) {
				return true
			}
			seen[name] = true
			queue = append(queue, provider)
		}
	}
	return false
}
