package cluster

import (
	"bytes"
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// apiClient is a manager's client: it reads from the manager's cache and writes to the server. What the controllers do not call is
// not there.
type apiClient struct {
	client.Client
	m *manager
}

var _ client.Client = (*apiClient)(nil)

func conflict(o client.Object) error {
	r := refOf(o)
	return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: r.kind}, r.name,
		fmt.Errorf("the object has been modified"))
}

func notFound(o client.Object) error {
	r := refOf(o)
	return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: r.kind}, r.name)
}

func (c *apiClient) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	r := refOf(into)
	r.name = key.Name
	found := c.m.cache.objects[r]
	switch into := into.(type) {
	case *v1alpha1.Cluster:
		if o, ok := found.(*v1alpha1.Cluster); ok {
			*into = *o
			return nil
		}
	case *v1alpha1.QuorumConfig:
		if o, ok := found.(*v1alpha1.QuorumConfig); ok {
			*into = *o
			return nil
		}
	case *v1alpha1.ResourceGroup:
		if o, ok := found.(*v1alpha1.ResourceGroup); ok {
			*into = *o
			return nil
		}
	}
	return notFound(into)
}

func (c *apiClient) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.NodeList:
		list.Items = values[v1alpha1.Node](c.m.cache.list("Node"))
	case *v1alpha1.ResourceGroupList:
		list.Items = values[v1alpha1.ResourceGroup](c.m.cache.list("ResourceGroup"))
	case *v1alpha1.ResourceList:
		list.Items = values[v1alpha1.Resource](c.m.cache.list("Resource"))
	case *v1alpha1.QuorumConfigList:
		list.Items = values[v1alpha1.QuorumConfig](c.m.cache.list("QuorumConfig"))
	default:
		return fmt.Errorf("the simulation lists no %T", list)
	}
	return nil
}

func values[T any](objects []client.Object) []T {
	out := make([]T, len(objects))
	for i, o := range objects {
		out[i] = *any(o).(*T)
	}
	return out
}

// mayWrite is what can come between a manager and the server.
func (c *apiClient) mayWrite() error {
	m := c.m
	switch {
	case !m.alive:
		return errKilled
	case m.c.api.down || m.cut:
		return apierrors.NewServiceUnavailable("the API server is out of reach")
	}
	if m.dieAfter > 0 {
		if m.dieAfter--; m.dieAfter == 0 {
			m.c.Trace("mgr %s dies between two writes", m.name)
			m.die()
			m.c.After(m.c.Between(50*time.Millisecond, 2*time.Second), m.start)
			return errKilled
		}
	}
	return nil
}

// answered says that the answer to a write that was made is not lost.
func (c *apiClient) answered() error {
	if c.m.c.Chance(c.m.c.lostAnswers) {
		return apierrors.NewTimeoutError("the answer is lost", 1)
	}
	return nil
}

// current returns the object as it is when the caller knows its present version; locked is false for a write that does not ask.
func (c *apiClient) current(o client.Object, locked bool) (client.Object, error) {
	now := c.m.c.api.objects[refOf(o)]
	switch {
	case now == nil || now.GetUID() != o.GetUID():
		return nil, notFound(o)
	case locked && now.GetResourceVersion() != o.GetResourceVersion() && enforced(ruleSwap):
		return nil, conflict(o)
	}
	return now, nil
}

func (c *apiClient) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
	if err := c.mayWrite(); err != nil {
		return err
	}
	now, err := c.current(o, true) // all patches of metadata carry a resourceVersion
	if err != nil {
		return err
	}
	changed := now.DeepCopyObject().(client.Object)
	changed.SetFinalizers(o.GetFinalizers())
	changed.SetAnnotations(o.GetAnnotations())
	carriedIn(changed, o)
	c.m.c.api.put(changed)
	if changed.GetDeletionTimestamp() != nil && len(changed.GetFinalizers()) == 0 {
		c.m.c.api.remove(refOf(o))
	}
	o.SetResourceVersion(changed.GetResourceVersion())
	return c.answered()
}

func (c *apiClient) Status() client.SubResourceWriter { return &statusClient{c: c} }

type statusClient struct {
	client.SubResourceWriter
	c *apiClient
}

func (s *statusClient) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	return s.write(o, true)
}

func (s *statusClient) Patch(_ context.Context, o client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := patch.Data(o)
	if err != nil {
		return err
	}
	return s.write(o, bytes.Contains(data, []byte(`"resourceVersion"`)))
}

func (s *statusClient) write(o client.Object, locked bool) error {
	if err := s.c.mayWrite(); err != nil {
		return err
	}
	now, err := s.c.current(o, locked)
	if err != nil {
		return err
	}
	changed := now.DeepCopyObject().(client.Object)
	written := o.DeepCopyObject()
	switch changed := changed.(type) {
	case *v1alpha1.Cluster:
		changed.Status = written.(*v1alpha1.Cluster).Status
	case *v1alpha1.QuorumConfig:
		changed.Status = written.(*v1alpha1.QuorumConfig).Status
	case *v1alpha1.Node:
		changed.Status = written.(*v1alpha1.Node).Status
	case *v1alpha1.ResourceGroup:
		changed.Status = written.(*v1alpha1.ResourceGroup).Status
	case *v1alpha1.Resource:
		if locked {
			changed.Status = written.(*v1alpha1.Resource).Status
		} else { // only the conditions are patched without a resourceVersion
			changed.Status.Conditions = written.(*v1alpha1.Resource).Status.Conditions
		}
	}
	s.c.m.c.api.put(changed)
	o.SetResourceVersion(changed.GetResourceVersion())
	return s.c.answered()
}

// discard takes the controllers' Events.
type discard struct{}

func (discard) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}
