package nodeagent

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/snapshot"
)

// TestNeedsImageHere: an image is wanted where the group may run, which is where each of its resources may.
func TestNeedsImageHere(t *testing.T) {
	self, container := &Settings{NodeName: "a"}, &v1alpha1.Container{Image: "box"}
	resource := func(c *v1alpha1.Container, owners ...string) *v1alpha1.Resource {
		return &v1alpha1.Resource{Spec: v1alpha1.ResourceSpec{PossibleOwners: owners, ResourceParameters: v1alpha1.ResourceParameters{Container: c}}}
	}
	for what, c := range map[string]struct {
		resource *v1alpha1.Resource
		others   []*v1alpha1.Resource
		self     *Settings
		want     bool
	}{
		"anywhere":                 {resource(container), nil, self, true},
		"here too":                 {resource(container, "b", "a"), nil, self, true},
		"elsewhere":                {resource(container, "b"), nil, self, false},
		"its disk is elsewhere":    {resource(container), []*v1alpha1.Resource{resource(nil, "b")}, self, false},
		"its disk is here too":     {resource(container, "a", "c"), []*v1alpha1.Resource{resource(nil, "b", "a")}, self, true},
		"nowhere":                  {resource(container, "c"), []*v1alpha1.Resource{resource(nil, "b")}, self, false},
		"another type":             {resource(nil, "b"), nil, self, true},
		"a node of no cluster yet": {resource(container, "b"), nil, nil, true},
	} {
		owners := ownersOf(append(c.others, c.resource))[snapshot.GroupKeyOf(c.resource)]
		if got := needsImageHere(&c.resource.Spec, owners, c.self); got != c.want {
			t.Errorf("%s: got %t", what, got)
		}
	}
}

// TestStock: of what several resources say of one image the best counts, and what is missing is told although there is no room for all.
func TestStock(t *testing.T) {
	s := stock{}
	s.add(nil)
	for _, state := range []v1alpha1.ImageState{v1alpha1.ImageMissing, v1alpha1.ImageFetching, v1alpha1.ImageUnknown} {
		s.add(&v1alpha1.AgentImage{Name: "box", State: state})
	}
	s.add(&v1alpha1.AgentImage{Name: "a", State: v1alpha1.ImagePresent})
	want := []v1alpha1.AgentImage{{Name: "a", State: v1alpha1.ImagePresent}, {Name: "box", State: v1alpha1.ImageFetching}}
	if diff := cmp.Diff(want, s.list()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range maxImages {
		s.add(&v1alpha1.AgentImage{Name: fmt.Sprintf("%03d", i), State: v1alpha1.ImagePresent})
	}
	list := s.list()
	if last := list[len(list)-1]; len(list) != maxImages || last.Name != "box" {
		t.Errorf("%d images, the last of them %v", len(list), last)
	}
}

// shelf is a resource type whose host has some images.
type shelf struct {
	resourcetype.Type
	states map[string]v1alpha1.ImageState
}

func (shelf) Check(context.Context, json.RawMessage) []resourcetype.Problem { return nil }

func (s shelf) Image(_ context.Context, raw json.RawMessage) *v1alpha1.AgentImage {
	var spec v1alpha1.ResourceSpec
	if json.Unmarshal(raw, &spec) != nil || spec.Container == nil {
		return nil
	}
	return &v1alpha1.AgentImage{Name: spec.Container.Image, State: s.states[spec.Container.Image]}
}

// TestLook: what a look finds is told image by image, and nothing is told of resources without one.
func TestLook(t *testing.T) {
	types := resourcetype.NewRegistry()
	types.Register("Container", shelf{states: map[string]v1alpha1.ImageState{"box": v1alpha1.ImagePresent, "crate": v1alpha1.ImageMissing}})
	s, found := &surveyor{types: types}, &findings{disks: map[string]v1alpha1.AgentDisk{}, images: stock{}}
	for _, image := range []string{"crate", "box", "crate", ""} {
		r := &v1alpha1.Resource{Spec: v1alpha1.ResourceSpec{Type: v1alpha1.TypeContainer}}
		if image != "" {
			r.Spec.Container = &v1alpha1.Container{Image: image}
		}
		s.look(t.Context(), r, found)
	}
	want := []v1alpha1.AgentImage{{Name: "box", State: v1alpha1.ImagePresent}, {Name: "crate", State: v1alpha1.ImageMissing}}
	if diff := cmp.Diff(want, found.images.list()); diff != "" || len(found.problems)+len(found.disks) > 0 {
		t.Errorf("%+v, (-want +got):\n%s", found, diff)
	}
}

// TestLookAtOnce: only a resource with an image that no other one has named has a look begin before its time.
func TestLookAtOnce(t *testing.T) {
	s := &surveyor{named: map[string]bool{"box": true}, wake: make(chan struct{}, 1)}
	container := func(image string) *v1alpha1.Resource {
		return &v1alpha1.Resource{Spec: v1alpha1.ResourceSpec{ResourceParameters: v1alpha1.ResourceParameters{Container: &v1alpha1.Container{Image: image}}}}
	}
	for what, c := range map[string]struct {
		object client.Object
		want   bool
	}{
		"known": {container("box"), false}, "new": {container("crate"), true}, "another type": {&v1alpha1.Resource{}, false},
		"another kind": {&v1alpha1.Node{}, false}, "everything": {nil, true},
	} {
		s.touched(c.object)
		s.touched(c.object) // and waits for nobody
		got := false
		select {
		case <-s.wake:
			got = true
		default:
		}
		if got != c.want {
			t.Errorf("%s: a look begins: %t", what, got)
		}
	}
}
