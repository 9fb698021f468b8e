package node

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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// afterConflict is how soon a lost write is tried again.
const afterConflict = 50 * time.Millisecond

// Reconciler keeps the status of all Nodes of a cluster, but for what their agents write.
type Reconciler struct {
	Client    client.Client
	Inventory *inventory.Reader
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
}

// SetupWithManager starts the reconciler with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, signs *inventory.Signs, delay time.Duration) error {
	h := inventory.Handler(mgr.GetClient(), delay)
	return ctrl.NewControllerManagedBy(mgr).
		Named("node").
		Watches(&v1alpha1.Cluster{}, h).
		Watches(&v1alpha1.Node{}, h).
		Watches(&v1alpha1.ResourceGroup{}, h).
		WatchesRawSource(signs.Source()).
		Complete(r)
}

// Reconcile brings the Nodes of the cluster named by the request up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if request.Name == inventory.Orphans {
		return ctrl.Result{}, nil
	}
	o, err := r.Inventory.Read(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	ids, err := r.reserveIDs(ctx, o)
	if err != nil {
		return result(err)
	}
	owned := groupsByOwner(o)
	view := o.View()
	var errs []error
	for i, n := range o.Nodes {
		if n, err = r.confirm(ctx, n, view); err != nil {
			errs = append(errs, err)
			continue
		}
		o.Nodes[i] = n
		errs = append(errs, r.writeNode(ctx, o, n, ids[n.Name], owned[n.Name], view))
	}
	return result(errors.Join(errs...))
}

func result(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return ctrl.Result{}, err
}

func groupsByOwner(o *snapshot.Objects) map[string]int {
	owned := map[string]int{}
	for _, g := range o.Groups {
		if g.Status.Assignment != nil && g.Status.Assignment.Node != "" {
			owned[g.Status.Assignment.Node]++
		}
	}
	return owned
}

// writeNode writes one node's status and finalizer if they differ.
func (r *Reconciler) writeNode(ctx context.Context, o *snapshot.Objects, n *v1alpha1.Node, id int32, owns int, view *model.View) error {
	before := n
	numbered := before.DeepCopy()
	if numbered.Status.ID == 0 {
		numbered.Status.ID = id
	}
	written := numbered.DeepCopy()
	written.Status = *status.Node(&status.NodeFacts{Node: numbered, Cluster: o.Cluster, View: view, Nodes: o.Nodes, Owns: owns, Now: r.Clock.Now()})
	if !equality.Semantic.DeepEqual(before.Status, written.Status) {
		// With the resourceVersion: the count of joins is made from what was there.
		if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return describe("writing the status of", n, err)
		}
		chronicle.Emit(r.Recorder, written, status.NodeEvents(&before.Status, &written.Status))
	}
	return r.writeFinalizer(ctx, o, written, owns, view)
}

func describe(doing string, n *v1alpha1.Node, err error) error {
	if apierrors.IsConflict(err) {
		return err
	}
	return client.IgnoreNotFound(fmt.Errorf("%s node %s: %w", doing, n.Name, err))
}
