package nodeagent

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// resourceGroupIndex finds the resources of a group in a cache.
const resourceGroupIndex = "spec.groupName"

// directTimeout bounds what is asked of the server itself: the goroutine that asks is the one that stops everything when quorum is
// lost, which it must not learn a second late.
const directTimeout = 400 * time.Millisecond

// keyInSecret and previousInSecret are the data keys of the Secret with the heartbeat keys.
const (
	keyInSecret      = "key"
	previousInSecret = "previous"
)

// world is what the agent reads of the API. Objects that come from the cache are shared: nothing changes them.
type world struct {
	// cached answers from memory, perhaps a little late; direct asks the server for its present truth.
	cached, direct client.Reader
	// copied says that it is the copy that a journal goes by, and not what the API server shows.
	copied bool
}

func get[T client.Object](ctx context.Context, r client.Reader, key client.ObjectKey, into T) (T, error) {
	err := r.Get(ctx, key, into, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsNotFound(err):
		var none T
		return none, nil
	case err != nil:
		var none T
		return none, fmt.Errorf("reading %T %s: %w", into, key, err)
	}
	return into, nil
}

// node, cluster, quorum and group return nil for an object that does not exist.
func (w *world) node(ctx context.Context, name string) (*v1alpha1.Node, error) {
	return get(ctx, w.cached, client.ObjectKey{Name: name}, &v1alpha1.Node{})
}

func (w *world) cluster(ctx context.Context, name string) (*v1alpha1.Cluster, error) {
	return get(ctx, w.cached, client.ObjectKey{Name: name}, &v1alpha1.Cluster{})
}

func (w *world) quorum(ctx context.Context, name string) (*v1alpha1.QuorumConfig, error) {
	return get(ctx, w.cached, client.ObjectKey{Name: name}, &v1alpha1.QuorumConfig{})
}

func (w *world) group(ctx context.Context, key client.ObjectKey) (*v1alpha1.ResourceGroup, error) {
	return get(ctx, w.cached, key, &v1alpha1.ResourceGroup{})
}

func (w *world) resource(ctx context.Context, key client.ObjectKey) (*v1alpha1.Resource, error) {
	return get(ctx, w.cached, key, &v1alpha1.Resource{})
}

// freshCluster asks the server: the first formation is decided on its answer (rule R11).
func (w *world) freshCluster(ctx context.Context, name string) (*v1alpha1.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	return get(ctx, w.direct, client.ObjectKey{Name: name}, &v1alpha1.Cluster{})
}

// vanished asks the server whether the group of that uid is really gone (rule O11).
func (w *world) vanished(ctx context.Context, key client.ObjectKey, uid string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	g, err := get(ctx, w.direct, key, &v1alpha1.ResourceGroup{})
	if err != nil {
		return false, err
	}
	return g == nil || string(g.UID) != uid, nil
}

func (w *world) nodes(ctx context.Context) ([]*v1alpha1.Node, error) {
	var list v1alpha1.NodeList
	if err := w.cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return pointers(list.Items), nil
}

// groups are all groups of the cluster.
func (w *world) groups(ctx context.Context, cluster string) ([]*v1alpha1.ResourceGroup, error) {
	var list v1alpha1.ResourceGroupList
	if err := w.cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	return slices.DeleteFunc(pointers(list.Items), func(g *v1alpha1.ResourceGroup) bool { return g.Spec.ClusterName != cluster }), nil
}

func (w *world) resources(ctx context.Context, group client.ObjectKey) ([]*v1alpha1.Resource, error) {
	var list v1alpha1.ResourceList
	err := w.cached.List(ctx, &list, client.InNamespace(group.Namespace), client.MatchingFields{resourceGroupIndex: group.Name},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the resources of %s: %w", group, err)
	}
	return pointers(list.Items), nil
}

func (w *world) allResources(ctx context.Context) ([]*v1alpha1.Resource, error) {
	var list v1alpha1.ResourceList
	if err := w.cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing resources: %w", err)
	}
	return pointers(list.Items), nil
}

// keys reads the heartbeat keys, the one that signs first. No error tells anything of their content.
func (w *world) keys(ctx context.Context, ref v1alpha1.SecretReference) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	var secret corev1.Secret
	if err := w.direct.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &secret); err != nil {
		return nil, fmt.Errorf("reading the heartbeat key from Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	current := secret.Data[keyInSecret]
	if len(current) < minKeySize {
		return nil, fmt.Errorf("heartbeat key: data key %[3]q of Secret %[1]s/%[2]s has %[4]d bytes, it needs at least %[5]d",
			ref.Namespace, ref.Name, keyInSecret, len(current), minKeySize)
	}
	keys := [][]byte{current}
	if previous := secret.Data[previousInSecret]; len(previous) >= minKeySize {
		keys = append(keys, previous)
	}
	return keys, nil
}

const minKeySize = 16

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
