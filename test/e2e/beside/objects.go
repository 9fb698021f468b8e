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

// Create makes the objects of manifests, and deletes them when the test ends; gone then waits until nothing of them is left on any host.
func Create(t *testing.T, ctx context.Context, c *observe.Cluster, manifests string, gone func(context.Context)) {
	t.Helper()
	for _, object := range Objects(t, manifests) {
		Must(t, c.Create(ctx, object))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*Recovery)
		defer cancel()
		Delete(t, ctx, c, manifests)
		gone(ctx)
	})
}

// Delete deletes the objects of manifests, and waits until they are gone. What is not there is gone.
func Delete(t *testing.T, ctx context.Context, c *observe.Cluster, manifests string) {
	t.Helper()
	all := Objects(t, manifests)
	for _, object := range all {
		Must(t, client.IgnoreNotFound(c.Delete(ctx, object)))
	}
	Must(t, observe.Wait(ctx, Recovery, "the objects are deleted", func(ctx context.Context) (bool, string, error) {
		for _, object := range all {
			err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
			if !apierrors.IsNotFound(err) {
				return false, object.GetKind() + " " + object.GetName() + " is there, finalizers " + strings.Join(object.GetFinalizers(), ", "), err
			}
		}
		return true, "", nil
	}))
}
