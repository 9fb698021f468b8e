package validation

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// notAllowed refuses what no entry of the Cluster's allowedResourceTypes allows: the type in the namespace, and with it the path
// and the device on the hosts. The cluster's own address and name need no entry: spec.access says it all.
func notAllowed(s *scope) []Finding {
	if s.Cluster == nil {
		return nil
	}
	return s.eachResource(func(r *v1alpha1.Resource) (Finding, bool) {
		if s.groups[snapshot.GroupKeyOf(r)] == nil || snapshot.IsCore(r, s.Name) {
			return Finding{}, false
		}
		return s.allowed(r)
	})
}

func (s *scope) allowed(r *v1alpha1.Resource) (Finding, bool) {
	var entries []v1alpha1.AllowedResourceTypes
	for _, entry := range s.Cluster.Spec.AllowedResourceTypes {
		if listed(entry.Namespaces, r.Namespace) && listed(entry.Types, string(r.Spec.Type)) {
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		return aboutResource(r, "spec.type", v1alpha1.ResourceReasonNotAllowed,
			fmt.Sprintf("Cluster %s: spec.allowedResourceTypes does not allow %s in namespace %s", s.Name, r.Spec.Type, r.Namespace)), true
	}
	if slices.ContainsFunc(entries, func(e v1alpha1.AllowedResourceTypes) bool {
		_, path := refused(hostPaths(r), e, mountAllowed)
		_, device := refused(hostDevices(r), e, deviceAllowed)
		return !path && !device
	}) {
		return Finding{}, false
	}
	if part, bad := refusedByAll(entries, hostPaths(r), mountAllowed); bad {
		return aboutResource(r, part.field, v1alpha1.ResourceReasonNotAllowed,
			fmt.Sprintf("%s is below none of the mountRoots that Cluster %s allows namespace %s", part.path, s.Name, r.Namespace)), true
	}
	part, bad := refusedByAll(entries, hostDevices(r), deviceAllowed)
	if !bad { // each is allowed somewhere, but no entry allows them together
		part = append(hostDevices(r), hostPaths(r)...)[0]
	}
	return aboutResource(r, part.field, v1alpha1.ResourceReasonNotAllowed,
		fmt.Sprintf("%s is none of the devices that Cluster %s allows namespace %s", part.path, s.Name, r.Namespace)), true
}

func listed(list []string, value string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, value)
}

func mountAllowed(mount string, e v1alpha1.AllowedResourceTypes) bool {
	return slices.ContainsFunc(e.MountRoots, func(root string) bool { return below(mount, root) && path.Clean(mount) != path.Clean(root) })
}

func deviceAllowed(device string, e v1alpha1.AllowedResourceTypes) bool {
	return slices.ContainsFunc(e.Devices, func(pattern string) bool {
		matches, err := path.Match(pattern, path.Clean(device))
		return err == nil && matches
	})
}

// below says that p is root or in it, once both are cleaned of dots.
func below(p, root string) bool {
	if p == "" || root == "" {
		return false
	}
	p, root = path.Clean(p), path.Clean(root)
	return p == root || root == "/" || strings.HasPrefix(p, root+"/")
}

func mountField(r *v1alpha1.Resource) string {
	if r.Spec.PhysicalDisk != nil {
		return "spec.physicalDisk.mountPath"
	}
	return "spec.loopbackDisk.mountPath"
}

func diskField(r *v1alpha1.Resource) string {
	if r.Spec.PhysicalDisk != nil {
		return "spec.physicalDisk.device"
	}
	return "spec.loopbackDisk.file"
}

// partition is how udev names the partitions of a disk.
var partition = regexp.MustCompile(`^(/dev/disk/by-.*)-part[0-9]+$`)

// wholeDisk is the disk of a partition, as far as its name tells.
func wholeDisk(device string) string {
	device = path.Clean(device)
	if found := partition.FindStringSubmatch(device); found != nil {
		return found[1]
	}
	return device
}

// mayShare says that two resources of a group use different parts of one disk.
func mayShare(a, b *v1alpha1.Resource) bool {
	if snapshot.GroupKeyOf(a) != snapshot.GroupKeyOf(b) || a.Spec.PhysicalDisk == nil || b.Spec.PhysicalDisk == nil {
		return false
	}
	return a.Spec.PhysicalDisk.LVM != nil || path.Clean(a.Spec.PhysicalDisk.Device) != path.Clean(b.Spec.PhysicalDisk.Device)
}

// disksTwice gives a disk to one group only: fencing works on whole disks. The older resource keeps it. Several volumes or partitions
// of one disk may belong to one group.
func disksTwice(s *scope) []Finding {
	users := map[string][]*v1alpha1.Resource{}
	for _, r := range s.Resources {
		if disk := snapshot.Disk(r); disk != "" && s.groups[snapshot.GroupKeyOf(r)] != nil {
			users[wholeDisk(disk)] = append(users[wholeDisk(disk)], r)
		}
	}
	var found []Finding
	for _, disk := range sortedKeys(users) {
		list := users[disk]
		slices.SortFunc(list, olderFirst)
		for _, r := range list[1:] {
			if mayShare(r, list[0]) {
				continue
			}
			found = append(found, aboutResource(r, diskField(r), v1alpha1.ResourceReasonDiskInUse,
				fmt.Sprintf("%s is the disk of Resource %s/%s of group %s", disk, list[0].Namespace, list[0].Name, list[0].Spec.GroupName)))
		}
	}
	return found
}
