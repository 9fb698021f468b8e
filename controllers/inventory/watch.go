package inventory

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/nameservice"
)

// queue is the work queue of a controller.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Handler enqueues the cluster that an object belongs to. With a delay, events that come close together are handled together, and a
// controller that only shows things stays out of the way of the one that decides.
func Handler(reader client.Reader, delay time.Duration) handler.EventHandler {
	enqueue := func(ctx context.Context, o client.Object, q queue) {
		if o == nil {
			return
		}
		for _, cluster := range clustersOf(ctx, reader, o) {
			request := reconcile.Request{NamespacedName: types.NamespacedName{Name: cluster}}
			if delay > 0 {
				q.AddAfter(request, delay)
			} else {
				q.Add(request)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if r, ok := e.ObjectOld.(*v1alpha1.Resource); ok && r.Spec.GroupName != e.ObjectNew.(*v1alpha1.Resource).Spec.GroupName {
				enqueue(ctx, r, q)
			}
			enqueue(ctx, e.ObjectNew, q)
		},
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, e.Object, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { enqueue(ctx, e.Object, q) },
	}
}

// quorumConfigs are the names of all QuorumConfigs, and name itself: two must not have one witness, so what one says matters to the others.
func quorumConfigs(ctx context.Context, reader client.Reader, name string) []string {
	names := []string{name}
	var list v1alpha1.QuorumConfigList
	if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return names // the others hear of it at their next round
	}
	for i := range list.Items {
		if other := list.Items[i].Name; other != name {
			names = append(names, other)
		}
	}
	return names
}

func clustersOf(ctx context.Context, reader client.Reader, o client.Object) []string {
	switch object := o.(type) {
	case *v1alpha1.Cluster:
		return []string{object.Name}
	case *v1alpha1.Node:
		return []string{object.Spec.ClusterName}
	case *v1alpha1.QuorumConfig:
		return quorumConfigs(ctx, reader, object.Name)
	case *v1alpha1.ResourceGroup:
		return []string{object.Spec.ClusterName, Orphans} // its resources may only now have, or have no more, a group
	case *v1alpha1.Resource:
		if core := object.Labels[v1alpha1.CoreGroupLabel]; core != "" {
			return []string{core, Orphans} // its cluster makes it anew, or takes it away, whether the group is there or not
		}
		var group v1alpha1.ResourceGroup
		key := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.GroupName}
		if err := reader.Get(ctx, key, &group, client.UnsafeDisableDeepCopy); err != nil {
			return []string{Orphans}
		}
		return []string{group.Spec.ClusterName}
	case *corev1.Service, *discoveryv1.EndpointSlice:
		if cluster := object.GetLabels()[nameservice.ClusterLabel]; cluster != "" {
			return []string{cluster}
		}
	}
	return nil
}

// Source enqueues a cluster when its reporter falls silent or is heard again.
func (s *Signs) Source() source.Source {
	return source.Func(func(_ context.Context, q queue) error {
		s.Subscribe(func(cluster string) {
			q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: cluster}})
		})
		return nil
	})
}
