package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/nameservice"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// conflictRetry is how soon a Service that somebody else has is looked at again: nobody tells when it goes.
const conflictRetry = 15 * time.Second

// made are the Services and slices that were made for the names of a cluster.
type made struct {
	// mu guards the maps while resources are written side by side.
	mu       sync.Mutex
	services map[client.ObjectKey]*corev1.Service
	slices   map[client.ObjectKey]*discoveryv1.EndpointSlice
	// foreign are the resources whose Service is somebody else's: slices of theirs would be its endpoints.
	foreign map[types.UID]bool
}

// take takes what was made out of those that no name has asked for yet.
func take[T client.Object](m *made, from map[client.ObjectKey]T, want T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := client.ObjectKeyFromObject(want)
	known := from[key]
	delete(from, key)
	return known
}

func (m *made) setForeign(uid types.UID, foreign bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.foreign[uid] = foreign
}

// readMade reads what was made for a cluster's names.
func (r *Reconciler) readMade(ctx context.Context, cluster string) (*made, error) {
	m := &made{
		services: map[client.ObjectKey]*corev1.Service{}, slices: map[client.ObjectKey]*discoveryv1.EndpointSlice{}, foreign: map[types.UID]bool{},
	}
	if r.Services == nil || cluster == inventory.Orphans {
		return m, nil
	}
	ours := client.MatchingLabels{nameservice.ManagedByLabel: nameservice.ManagedBy, nameservice.ClusterLabel: cluster}
	var services corev1.ServiceList
	if err := r.Services.List(ctx, &services, ours, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Services of names: %w", err)
	}
	for i := range services.Items {
		if s := &services.Items[i]; s.Labels[nameservice.ClusterLabel] == cluster && s.Labels[nameservice.ManagedByLabel] == nameservice.ManagedBy {
			m.services[client.ObjectKeyFromObject(s)] = s
		}
	}
	var endpoints discoveryv1.EndpointSliceList
	if err := r.Services.List(ctx, &endpoints, ours, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the EndpointSlices of names: %w", err)
	}
	for i := range endpoints.Items {
		if s := &endpoints.Items[i]; s.Labels[nameservice.ClusterLabel] == cluster && s.Labels[nameservice.ManagedByLabel] == nameservice.ManagedBy {
			m.slices[client.ObjectKeyFromObject(s)] = s
		}
	}
	return m, nil
}

// serve brings the Service and the slices of a name up to date. It returns a sentence when somebody else has an object of the name: that is left
// alone.
func (r *Reconciler) serve(ctx context.Context, at *round, res *v1alpha1.Resource) (conflict string, err error) {
	n := res.Spec.NetworkName
	if r.Services == nil || n == nil || n.Service == nil || res.DeletionTimestamp != nil && len(res.Finalizers) == 0 {
		return "", nil
	}
	if _, bad := validation.FirstError(at.findings.OfResource(res.Namespace, res.Name)); bad {
		return "", nil // what is there stays as it is
	}
	want := at.wants(res)
	known := take(at.made, at.made.services, want.Service)
	conflict, err = put(ctx, r, res, known, want.Service, nameservice.MergeService)
	if err != nil || conflict != "" {
		at.made.setForeign(res.UID, conflict != "")
		return conflict, err
	}
	for _, slice := range want.Slices {
		known := take(at.made, at.made.slices, slice)
		conflict, err = put(ctx, r, res, known, slice, nameservice.MergeSlice)
		if err != nil || conflict != "" {
			return conflict, err
		}
	}
	return "", nil
}

// wants are the Service and the slices that should be there.
func (at *round) wants(res *v1alpha1.Resource) *nameservice.Objects {
	facts := &nameservice.Facts{Cluster: at.Name, Resource: res, Siblings: at.members[snapshot.GroupKeyOf(res)]}
	if owner := at.Node(res.Status.Node); owner != nil {
		facts.HostName = owner.Spec.HostName
	}
	return nameservice.Want(facts)
}

// object is a Service or a slice.
type object[T any] interface {
	*T
	client.Object
}

// put makes the object, or brings the one that there is up to date.
func put[T any, P object[T]](ctx context.Context, r *Reconciler, res *v1alpha1.Resource, known, want P, merge func(is, want P) P) (conflict string, err error) {
	what := fmt.Sprintf("the %s %s", strings.TrimPrefix(fmt.Sprintf("%T", *want), "v1."), client.ObjectKeyFromObject(want))
	if known == nil {
		// The cache has only what was made for names, and may not show yet what an earlier round has made.
		is := P(new(T))
		err := r.Direct.Get(ctx, client.ObjectKeyFromObject(want), is)
		switch {
		case apierrors.IsNotFound(err):
			return wrote(what, r.Client.Create(ctx, want))
		case err != nil:
			return "", fmt.Errorf("looking for %s: %w", what, err)
		case !nameservice.Owned(is, res):
			return what + " is there already and is not of this name: choose another in spec.networkName.service.name, or remove it", nil
		}
		known = is
	}
	if !nameservice.Owned(known, res) {
		return what + " is of another resource, of the same name or of an earlier one: it goes with that", nil
	}
	merged := merge(known, want)
	if equality.Semantic.DeepEqual(known, merged) {
		return "", nil
	}
	return wrote(what, r.Client.Update(ctx, merged))
}

// wrote says how a write has ended.
func wrote(what string, err error) (conflict string, failed error) {
	switch {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err): // these bring another round
		return "", nil
	case apierrors.IsInvalid(err):
		return what + " is refused: " + err.Error(), nil
	}
	return "", fmt.Errorf("writing %s: %w", what, err)
}

// sweep removes what no name wants any more. Kubernetes removes what belonged to a resource that is gone by itself, too.
func (r *Reconciler) sweep(ctx context.Context, at *round) error {
	var errs []error
	for key, s := range at.made.services {
		if !at.spared(s) {
			errs = append(errs, remove(ctx, r.Client, s, "the Service "+key.String()))
		}
	}
	for key, s := range at.made.slices {
		if !at.spared(s) {
			errs = append(errs, remove(ctx, r.Client, s, "the EndpointSlice "+key.String()))
		}
	}
	return errors.Join(errs...)
}

// spared says that the object stays although nothing was done about it in this round: it is nobody's of ours, its resource is on its way out or
// not usable just now, or still wants it.
func (at *round) spared(o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != "Resource" || owner.APIVersion != v1alpha1.SchemeGroupVersion.String() {
		return true
	}
	for _, res := range at.Resources {
		if res.UID != owner.UID {
			continue
		}
		if _, bad := validation.FirstError(at.findings.OfResource(res.Namespace, res.Name)); bad || res.DeletionTimestamp != nil {
			return true
		}
		want := at.wants(res)
		return want != nil && !at.made.foreign[res.UID] && (want.Service.Name == o.GetName() ||
			slices.ContainsFunc(want.Slices, func(s *discoveryv1.EndpointSlice) bool { return s.Name == o.GetName() }))
	}
	return false
}

func remove(ctx context.Context, c client.Client, o client.Object, what string) error {
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := o.GetUID()
	err := c.Delete(ctx, o, client.Preconditions{UID: &uid})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing %s, which no name wants any more: %w", what, err)
	}
	return nil
}
