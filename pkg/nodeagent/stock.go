package nodeagent

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// maxImages is how many images status.agent has room for.
const maxImages = 256

// stock is what the host has of the images that it needs, by the names that resources give.
type stock map[string]v1alpha1.AgentImage

// add takes what one resource says of its image. Of two that name the same one, whoever fetches it does so for both.
func (s stock) add(image *v1alpha1.AgentImage) {
	if image == nil {
		return
	}
	rank := []v1alpha1.ImageState{v1alpha1.ImageMissing, v1alpha1.ImageUnknown, v1alpha1.ImageFetching, v1alpha1.ImagePresent}
	if known, ok := s[image.Name]; !ok || slices.Index(rank, known.State) < slices.Index(rank, image.State) {
		i := *image
		i.Message = cut(i.Message, maxProblemText)
		s[i.Name] = i
	}
}

// list is in order of the names. When there is no room for all, those that the host has are left out first: what is not told counts as there.
func (s stock) list() []v1alpha1.AgentImage {
	list := make([]v1alpha1.AgentImage, 0, len(s))
	for _, image := range s {
		list = append(list, image)
	}
	here := func(i v1alpha1.AgentImage) int {
		if i.State == v1alpha1.ImagePresent {
			return 1
		}
		return 0
	}
	byName := func(a, b v1alpha1.AgentImage) int { return cmp.Compare(a.Name, b.Name) }
	if len(list) > maxImages {
		slices.SortFunc(list, func(a, b v1alpha1.AgentImage) int { return cmp.Or(cmp.Compare(here(a), here(b)), byName(a, b)) })
		list = list[:maxImages]
	}
	slices.SortFunc(list, byName)
	return list
}

// ownersOf are the possible owners of the groups of resources; nil means every node.
func ownersOf(resources []*v1alpha1.Resource) map[model.GroupKey][]string {
	byGroup := map[model.GroupKey][]*v1alpha1.Resource{}
	for _, r := range resources {
		byGroup[snapshot.GroupKeyOf(r)] = append(byGroup[snapshot.GroupKeyOf(r)], r)
	}
	owners := map[model.GroupKey][]string{}
	for key, list := range byGroup {
		owners[key] = snapshot.PossibleOwners(list)
	}
	return owners
}

// needsImageHere says that the resource is none of a group that other nodes only may own, as far as images go: nobody fetches one to where
// it never runs. owners are those of the group.
func needsImageHere(spec *v1alpha1.ResourceSpec, owners []string, self *Settings) bool {
	return spec.Container == nil || mayOwn(owners, self)
}

// mayOwn says that this node may own a group; so it is while the node does not know who it is.
func mayOwn(owners []string, self *Settings) bool {
	return self == nil || owners == nil || slices.Contains(owners, self.NodeName)
}
