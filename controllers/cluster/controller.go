package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// Reconciler keeps the status and the core group of a Cluster.
type Reconciler struct {
	Client    client.Client
	Inventory *inventory.Reader
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	// NewID makes the id of a new cluster (16 hexadecimal digits) and the token of its formation.
	NewID func() string
}

// SetupWithManager starts the reconciler with the manager. It only shows things, so it leaves a failover's first moments to the group
// controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, signs *inventory.Signs, delay time.Duration) error {
	h := inventory.Handler(mgr.GetClient(), delay)
	return ctrl.NewControllerManagedBy(mgr).
		Named("cluster").
		Watches(&v1alpha1.Cluster{}, h).
		Watches(&v1alpha1.Node{}, h).
		Watches(&v1alpha1.QuorumConfig{}, h).
		Watches(&v1alpha1.ResourceGroup{}, h).
		Watches(&v1alpha1.Resource{}, h, builder.WithPredicates(core())).
		WatchesRawSource(signs.Source()).
		Complete(r)
}

// Reconcile brings the core group and the status of the Cluster named by the request up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	o, err := r.Inventory.Read(ctx, request.Name)
	if err != nil || request.Name == inventory.Orphans {
		return ctrl.Result{}, err
	}
	kept := r.keepCore(ctx, o)
	if o.Cluster == nil {
		return ctrl.Result{}, kept
	}
	result, err := r.show(ctx, o)
	return result, errors.Join(kept, err)
}

// show brings the status up to date.
func (r *Reconciler) show(ctx context.Context, o *snapshot.Objects) (ctrl.Result, error) {
	before := o.Cluster
	written := before.DeepCopy()
	wait := form(o, &written.Status, r.Clock.Now(), r.NewID)
	o.Cluster = written
	written.Status = *status.Cluster(o, r.Clock.Now())
	if equality.Semantic.DeepEqual(before.Status, written.Status) {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	// With the resourceVersion: of two managers that form a cluster at once, one wins.
	if err := r.Client.Status().Update(ctx, written); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("writing the status of cluster %s: %w", o.Name, err))
	}
	chronicle.Emit(r.Recorder, written, status.ClusterEvents(&before.Status, &written.Status))
	return ctrl.Result{RequeueAfter: wait}, nil
}
