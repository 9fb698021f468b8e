package beside

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/test/observe"
)

// Objects reads manifests.
func Objects(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return all
		}
		Must(t, err)
		all = append(all, object)
	}
}

// Create makes the objects of manifests, and deletes them when the test ends; gone then waits until nothing of them is left.
func (b *Bed) Create(t *testing.T, ctx context.Context, manifests string, gone func(context.Context)) {
	t.Helper()
	all := Objects(t, manifests)
	for _, object := range all {
		Must(t, b.Cluster.Create(ctx, object))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Recovery)
		defer cancel()
		for _, object := range all {
			Must(t, client.IgnoreNotFound(b.Cluster.Delete(ctx, object)))
		}
		gone(ctx)
		Must(t, observe.Wait(ctx, Recovery, "the objects are deleted", func(ctx context.Context) (bool, string, error) {
			for _, object := range all {
				err := b.Cluster.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopy())
				if !apierrors.IsNotFound(err) {
					return false, object.GetKind() + " " + object.GetName() + " is there", err
				}
			}
			return true, "", nil
		}))
	})
}
