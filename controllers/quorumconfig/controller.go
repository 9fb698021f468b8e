package quorumconfig

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/status"
)

// Reconciler keeps the status of a QuorumConfig.
type Reconciler struct {
	Client    client.Client
	Inventory *inventory.Reader
	Clock     clock.PassiveClock
}

// SetupWithManager starts the reconciler with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, signs *inventory.Signs, delay time.Duration) error {
	h := inventory.Handler(mgr.GetClient(), delay)
	return ctrl.NewControllerManagedBy(mgr).
		Named("quorumconfig").
		Watches(&v1alpha1.Cluster{}, h).
		Watches(&v1alpha1.Node{}, h).
		Watches(&v1alpha1.QuorumConfig{}, h).
		WatchesRawSource(signs.Source()).
		Complete(r)
}

// Reconcile brings the status of the QuorumConfig of the cluster named by the request up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	o, err := r.Inventory.Read(ctx, request.Name)
	if err != nil || o.Quorum == nil {
		return ctrl.Result{}, err
	}
	after := status.Quorum(o, r.Clock.Now())
	if equality.Semantic.DeepEqual(&o.Quorum.Status, after) {
		return ctrl.Result{}, nil
	}
	written := o.Quorum.DeepCopy()
	written.Status = *after
	if err := r.Client.Status().Update(ctx, written); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("writing the status of quorum configuration %s: %w", request.Name, err))
	}
	return ctrl.Result{}, nil
}
