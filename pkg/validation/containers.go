package validation

import (
	"fmt"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// containers wants a container's mounts to come from mounted disks of its group, which are there before it, and refuses what is not there
// yet.
func containers(s *scope) []Finding {
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		c := r.Spec.Container
		if c == nil {
			return Finding{}, false
		}
		if c.ClusterSupport {
			return aboutResource(r, "spec.container.clusterSupport", v1alpha1.ResourceReasonTypeNotSupported, "this version does not do it: remove the field"), true
		}
		if c.UseNetworkName && !s.reaches(r, func(p *v1alpha1.Resource) bool { return p.Spec.NetworkName != nil }) {
			return aboutResource(r, "spec.container.useNetworkName", v1alpha1.ResourceReasonMissingDependency,
				"the container can have the network name of its group only if the resource depends on a NetworkName: name it in spec.dependsOn"), true
		}
		g := s.groups[snapshot.GroupKeyOf(r)]
		if g != nil && snapshot.Balanced(g) && c.Address != "" {
			return aboutResource(r, "spec.container.address", v1alpha1.ResourceReasonNotShareable,
				fmt.Sprintf("a container with an address cannot be in group %s, which has mode LoadBalanced and is online on every node that may take it: "+
					"an address is one host's at a time", g.Name)), true
		}
		for i, d := range c.Devices {
			if f, bad := s.diskOfOther(r, fmt.Sprintf("spec.container.devices[%d]", i), d); bad {
				return f, true
			}
		}
		for i, m := range c.Mounts {
			if f, bad := s.mountOf(r, fmt.Sprintf("spec.container.mounts[%d].disk", i), m.Disk); bad && m.HostPath == "" {
				return f, true
			}
		}
		return Finding{}, false
	})
}

// diskOfOther refuses a device that is another group's disk: that group's fencing knows nothing of the container.
func (s *scope) diskOfOther(r *v1alpha1.Resource, field, device string) (Finding, bool) {
	for _, other := range s.Resources {
		disk := snapshot.Disk(other)
		if disk != "" && snapshot.GroupKeyOf(other) != snapshot.GroupKeyOf(r) && wholeDisk(disk) == wholeDisk(device) {
			return aboutResource(r, field, v1alpha1.ResourceReasonDiskInUse,
				fmt.Sprintf("%s is the disk of Resource %s/%s of group %s", device, other.Namespace, other.Name, other.Spec.GroupName)), true
		}
	}
	return Finding{}, false
}

func (s *scope) mountOf(r *v1alpha1.Resource, field, name string) (Finding, bool) {
	disk := s.sibling(r, name)
	switch {
	case disk == nil:
		return aboutResource(r, field, v1alpha1.ResourceReasonMissingDependency,
			fmt.Sprintf("group %s has no Resource %q: a container sees disks of its own group only", r.Spec.GroupName, name)), true
	case snapshot.MountPath(disk) == "":
		return aboutResource(r, field, v1alpha1.ReasonInvalid,
			fmt.Sprintf("Resource %q is no disk with a mountPath", name)), true
	case !s.reaches(r, func(p *v1alpha1.Resource) bool { return p.Name == name }):
		return aboutResource(r, field, v1alpha1.ResourceReasonMissingDependency,
			fmt.Sprintf("the container must depend on the disk: add {name: %s} to spec.dependsOn", name)), true
	}
	return Finding{}, false
}

// hostPart is a path or device of the hosts that a resource uses, and the field that says so.
type hostPart struct{ field, path string }

// hostPaths are the directories that a resource uses on the hosts.
func hostPaths(r *v1alpha1.Resource) []hostPart {
	if mount := snapshot.MountPath(r); mount != "" {
		return []hostPart{{mountField(r), mount}}
	}
	var parts []hostPart
	if r.Spec.Container != nil {
		for i, m := range r.Spec.Container.Mounts {
			if m.HostPath != "" {
				parts = append(parts, hostPart{fmt.Sprintf("spec.container.mounts[%d].hostPath", i), m.HostPath})
			}
		}
	}
	return parts
}

// hostDevices are the devices that a resource uses.
func hostDevices(r *v1alpha1.Resource) []hostPart {
	if disk := snapshot.Disk(r); disk != "" {
		return []hostPart{{diskField(r), disk}}
	}
	var parts []hostPart
	if r.Spec.Container != nil {
		for i, d := range r.Spec.Container.Devices {
			parts = append(parts, hostPart{fmt.Sprintf("spec.container.devices[%d]", i), d})
		}
	}
	return parts
}

// allows says whether an entry of the Cluster allows a path or device.
type allows func(path string, e v1alpha1.AllowedResourceTypes) bool

// refused is the first of the parts that an entry does not allow.
func refused(parts []hostPart, e v1alpha1.AllowedResourceTypes, ok allows) (hostPart, bool) {
	for _, p := range parts {
		if !ok(p.path, e) {
			return p, true
		}
	}
	return hostPart{}, false
}

// refusedByAll is what the last of the entries refuses, if every one refuses something.
func refusedByAll(entries []v1alpha1.AllowedResourceTypes, parts []hostPart, ok allows) (part hostPart, all bool) {
	for _, e := range entries {
		var bad bool
		if part, bad = refused(parts, e, ok); !bad {
			return hostPart{}, false
		}
	}
	return part, true
}
