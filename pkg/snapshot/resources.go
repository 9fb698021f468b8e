package snapshot

import (
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Disk is the device or backing file of a disk resource; empty for other types.
func Disk(r *v1alpha1.Resource) string {
	switch {
	case r.Spec.PhysicalDisk != nil:
		return r.Spec.PhysicalDisk.Device
	case r.Spec.LoopbackDisk != nil:
		return r.Spec.LoopbackDisk.File
	}
	return ""
}

// MountPath is where a disk resource is mounted; empty for other types, and for a disk that is not mounted.
func MountPath(r *v1alpha1.Resource) string {
	switch {
	case r.Spec.PhysicalDisk != nil:
		return r.Spec.PhysicalDisk.MountPath
	case r.Spec.LoopbackDisk != nil:
		return r.Spec.LoopbackDisk.MountPath
	}
	return ""
}

func disksOf(resources []*v1alpha1.Resource) []string {
	var disks []string
	for _, r := range resources {
		if disk := Disk(r); disk != "" && !slices.Contains(disks, disk) {
			disks = append(disks, disk)
		}
	}
	return disks
}

// imagesOf are the images of the group's containers, as the resources name them.
func imagesOf(resources []*v1alpha1.Resource) []string {
	var images []string
	for _, r := range resources {
		if r.Spec.Container != nil && !slices.Contains(images, r.Spec.Container.Image) {
			images = append(images, r.Spec.Container.Image)
		}
	}
	return images
}

// PossibleOwners is the intersection of the resources' lists (A21); nil means every node, an empty list means none.
func PossibleOwners(resources []*v1alpha1.Resource) []string {
	var owners []string
	limited := false
	for _, r := range resources {
		switch list := r.Spec.PossibleOwners; {
		case len(list) == 0:
		case !limited:
			owners, limited = slices.Clone(list), true
		default:
			owners = slices.DeleteFunc(owners, func(n string) bool { return !slices.Contains(list, n) })
		}
	}
	if limited && owners == nil {
		owners = []string{}
	}
	return owners
}

// ownerLists are the lists of the resources that have one.
func ownerLists(resources []*v1alpha1.Resource) []model.OwnerList {
	var lists []model.OwnerList
	for _, r := range resources {
		if len(r.Spec.PossibleOwners) > 0 {
			lists = append(lists, model.OwnerList{Resource: r.Name, Owners: r.Spec.PossibleOwners})
		}
	}
	return lists
}

// needsFencing says that some resource has neither a disk nor an address, its own or one that it depends on, to prove its old owner
// harmless (rules O13, O14). Advisory disks prove nothing.
func needsFencing(resources []*v1alpha1.Resource, advisory map[string]bool) bool {
	byName := make(map[string]*v1alpha1.Resource, len(resources))
	for _, r := range resources {
		byName[r.Name] = r
	}
	for _, r := range resources {
		if !covered(r, byName, advisory, map[string]bool{}) {
			return true
		}
	}
	return false
}

// covered says that a proof for the resource, or for one that it cannot run without, comes from a disk or from the kernel.
func covered(r *v1alpha1.Resource, byName map[string]*v1alpha1.Resource, advisory, seen map[string]bool) bool {
	if seen[r.Name] {
		return false
	}
	seen[r.Name] = true
	defer delete(seen, r.Name) // it holds the way to here, not all that was looked at
	switch {
	case r.Spec.IPAddress != nil:
		return true
	case Disk(r) != "":
		return !advisory[Disk(r)]
	}
	for _, d := range r.Spec.DependsOn {
		// Of alternatives any one may be the one that is online, so all have to be covered.
		names := d.AnyOf
		if d.Name != "" {
			names = []string{d.Name}
		}
		if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
			provider := byName[name]
			return provider == nil || !covered(provider, byName, advisory, seen)
		}) {
			return true
		}
	}
	return false
}
