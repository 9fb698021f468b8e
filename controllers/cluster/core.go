package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/coregroup"
	"github.com/quorate/quorate/pkg/snapshot"
)

// core lets through what happens to resources of core groups: the address and name of a cluster.
func core() predicate.Predicate {
	is := func(o client.Object) bool { return snapshot.CoreOf(o) != "" }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return is(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return is(e.ObjectOld) || is(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return is(e.Object) },
	}
}

// keepCore makes the core group what spec.access says: what is missing is made, what differs is put back, what is too much is deleted, and goes
// when it is offline. The Cluster stays until then, or the hosts would never be told to stop. Each step is safe to be the last one before a crash.
func (r *Reconciler) keepCore(ctx context.Context, o *snapshot.Objects) error {
	is, err := r.readCore(ctx, o.Name)
	if err != nil {
		return err
	}
	want := coregroup.Want(o.Cluster)
	if want == nil && is.Group == nil && len(is.Resources) == 0 {
		return r.hold(ctx, o, false)
	}
	if want == nil {
		want = &coregroup.Objects{}
		if nobodyStops(o) { // then what is deleted goes because the Cluster has gone
			return errors.Join(r.remove(ctx, is, want), r.hold(ctx, o, false))
		}
		return r.remove(ctx, is, want)
	}
	if err := r.hold(ctx, o, true); err != nil {
		return err
	}
	return errors.Join(r.make(ctx, is, want), r.remove(ctx, is, want))
}

// nobodyStops says that the Cluster is to go and no view is known that would take its core group offline.
func nobodyStops(o *snapshot.Objects) bool {
	return o.Cluster != nil && o.Cluster.DeletionTimestamp != nil && (len(o.Nodes) == 0 || o.View() == nil)
}

// readCore reads what there is of the core group, whether or not its Cluster and its group are there.
func (r *Reconciler) readCore(ctx context.Context, cluster string) (*coregroup.Objects, error) {
	var groups v1alpha1.ResourceGroupList
	var resources v1alpha1.ResourceList
	for _, list := range []client.ObjectList{&groups, &resources} {
		if err := r.Inventory.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing what there is of the core group of cluster %s: %w", cluster, err)
		}
	}
	is := &coregroup.Objects{}
	for i := range groups.Items {
		if snapshot.IsCore(&groups.Items[i], cluster) {
			is.Group = &groups.Items[i]
		}
	}
	for i := range resources.Items {
		if snapshot.IsCore(&resources.Items[i], cluster) {
			is.Resources = append(is.Resources, &resources.Items[i])
		}
	}
	return is, nil
}

// make makes what is missing, and puts back what differs.
func (r *Reconciler) make(ctx context.Context, is, want *coregroup.Objects) error {
	if is.Group == nil {
		if err := r.create(ctx, want.Group, want.Group.Spec.ClusterName); err != nil {
			return err
		}
	} else if merged, changed := coregroup.MergeGroup(is.Group, want.Group); changed && is.Group.DeletionTimestamp == nil {
		if err := r.update(ctx, merged); err != nil {
			return err
		}
	}
	for _, w := range want.Resources {
		there := find(is.Resources, w.Name)
		if there == nil {
			if err := r.create(ctx, w, want.Group.Spec.ClusterName); err != nil {
				return err
			}
			continue
		}
		if merged, changed := coregroup.MergeResource(there, w); changed && there.DeletionTimestamp == nil {
			if err := r.update(ctx, merged); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes what is there and not wanted.
func (r *Reconciler) remove(ctx context.Context, is, want *coregroup.Objects) error {
	var errs []error
	for _, there := range is.Resources {
		if find(want.Resources, there.Name) == nil {
			errs = append(errs, r.delete(ctx, there))
		}
	}
	if is.Group != nil && want.Group == nil {
		errs = append(errs, r.delete(ctx, is.Group))
	}
	return errors.Join(errs...)
}

func find(resources []*v1alpha1.Resource, name string) *v1alpha1.Resource {
	for _, r := range resources {
		if r.Name == name {
			return r
		}
	}
	return nil
}

func (r *Reconciler) create(ctx context.Context, o client.Object, cluster string) error {
	err := r.Client.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		return aboutCore("making", o, err)
	}
	there := o.DeepCopyObject().(client.Object)
	if err := r.Inventory.Client.Get(ctx, client.ObjectKeyFromObject(o), there); err != nil || snapshot.IsCore(there, cluster) {
		return aboutCore("reading", o, err) // the cache is behind, the watch brings the next round
	}
	return fmt.Errorf("there is a %T %s/%s that is not of cluster %s: delete it, its name is that of the cluster's core group",
		o, o.GetNamespace(), o.GetName(), cluster)
}

func (r *Reconciler) update(ctx context.Context, o client.Object) error {
	return aboutCore("putting back", o, r.Client.Update(ctx, o))
}

func (r *Reconciler) delete(ctx context.Context, o client.Object) error {
	if o.GetDeletionTimestamp() != nil {
		return nil // it goes when it is offline
	}
	uid := o.GetUID()
	return aboutCore("deleting", o, r.Client.Delete(ctx, o, client.Preconditions{UID: &uid}))
}

func aboutCore(doing string, o client.Object, err error) error {
	if err == nil || apierrors.IsNotFound(err) && doing != "making" || apierrors.IsConflict(err) {
		return nil // gone, or written by somebody else meanwhile: the watch brings the next round
	}
	return fmt.Errorf("%s %s/%s of the core group: %w", doing, o.GetNamespace(), o.GetName(), err)
}

// hold keeps the Cluster from going, or lets it go.
func (r *Reconciler) hold(ctx context.Context, o *snapshot.Objects, on bool) error {
	if o.Cluster == nil || controllerutil.ContainsFinalizer(o.Cluster, v1alpha1.OfflineFirstFinalizer) == on || on && o.Cluster.DeletionTimestamp != nil {
		return nil
	}
	changed := o.Cluster.DeepCopy()
	if on {
		controllerutil.AddFinalizer(changed, v1alpha1.OfflineFirstFinalizer)
	} else {
		controllerutil.RemoveFinalizer(changed, v1alpha1.OfflineFirstFinalizer)
	}
	if err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(o.Cluster, client.MergeFromWithOptimisticLock{})); err != nil {
		if client.IgnoreNotFound(err) == nil || apierrors.IsConflict(err) {
			return nil
		}
		return fmt.Errorf("holding or letting go of cluster %s: %w", o.Name, err)
	}
	o.Cluster = changed
	return nil
}
