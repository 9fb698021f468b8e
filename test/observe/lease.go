package observe

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

func (c *Cluster) lease(ctx context.Context, namespace, name string) (string, error) {
	lease := &coordinationv1.Lease{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, lease); err != nil {
		return "", fmt.Errorf("reading lease %s/%s: %w", namespace, name, err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

// CountWrites watches everything of ours, and all Leases and Events, for a while, and counts the changes by object.
func (c *Cluster) CountWrites(ctx context.Context, length time.Duration) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	changes := make(chan string)
	var watchers sync.WaitGroup
	for _, list := range []client.ObjectList{
		&v1alpha1.ClusterList{}, &v1alpha1.NodeList{}, &v1alpha1.QuorumConfigList{}, &v1alpha1.ResourceGroupList{}, &v1alpha1.ResourceList{},
		&coordinationv1.LeaseList{}, &corev1.EventList{},
	} {
		if err := c.List(ctx, list); err != nil {
			return nil, fmt.Errorf("listing %T: %w", list, err)
		}
		changed, err := c.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})
		if err != nil {
			return nil, fmt.Errorf("watching %T: %w", list, err)
		}
		watchers.Go(func() {
			for event := range changed.ResultChan() {
				if object, ok := event.Object.(client.Object); ok {
					changes <- fmt.Sprintf("%T %s", object, client.ObjectKeyFromObject(object))
				}
			}
		})
		context.AfterFunc(ctx, changed.Stop)
	}
	go func() { watchers.Wait(); close(changes) }()
	count := map[string]int{}
	for name := range changes {
		count[strings.TrimPrefix(name, "*")]++
	}
	return count, nil
}
