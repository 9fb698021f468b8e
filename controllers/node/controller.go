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
	view := o.View()
	failed := map[string]error{}
	for i, n := range o.Nodes {
		if o.Nodes[i], err = r.act(ctx, n, view); err != nil {
			failed[n.Name] = err
		}
	}
	return r.writeNodes(ctx, o, ids, view, failed)
}

// act carries out what operators have asked for with annotations, and returns the node as it is then.
func (r *Reconciler) act(ctx context.Context, n *v1alpha1.Node, view *model.View) (*v1alpha1.Node, error) {
	n, err := r.confirm(ctx, n, view)
	if err != nil {
		return n, err
	}
	return r.clear(ctx, n)
}

// writeNodes computes the statuses of all nodes together, and writes those that differ, but for nodes about which something has failed
// before.
func (r *Reconciler) writeNodes(
	ctx context.Context, o *snapshot.Objects, ids map[string]int32, view *model.View, failed map[string]error,
) (ctrl.Result, error) {
	now := r.Clock.Now()
	owned, shared := groupsByOwner(o)
	facts := make([]*status.NodeFacts, len(o.Nodes))
	for i, n := range o.Nodes {
		numbered := n.DeepCopy()
		if numbered.Status.ID == 0 {
			numbered.Status.ID = ids[n.Name]
		}
		facts[i] = &status.NodeFacts{
			Node: numbered, Cluster: o.Cluster, View: view, Nodes: o.Nodes, Owns: owned[n.Name], Members: shared[n.Name], Now: now,
		}
	}
	var errs []error
	var again time.Duration
	for i, st := range status.Nodes(facts) {
		n := o.Nodes[i]
		err := failed[n.Name]
		if err == nil {
			err = r.writeNode(ctx, o, n, st, owned[n.Name]+shared[n.Name], view)
		}
		errs = append(errs, err)
		if q := st.Quarantine; q != nil && q.Until != nil {
			if left := max(q.Until.Sub(now), time.Second); again == 0 || left < again {
				again = left
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return result(err)
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

func result(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return ctrl.Result{}, err
}

// groupsByOwner counts what each node has: groups that it owns, and groups of mode LoadBalanced that it is a member of.
func groupsByOwner(o *snapshot.Objects) (owned, shared map[string]int) {
	owned, shared = map[string]int{}, map[string]int{}
	for _, g := range o.Groups {
		for _, m := range g.Status.Members {
			shared[m.Node]++
		}
		if g.Status.Assignment != nil && g.Status.Assignment.Node != "" {
			owned[g.Status.Assignment.Node]++
		}
	}
	return owned, shared
}

// writeNode writes one node's status and finalizer if they differ.
func (r *Reconciler) writeNode(
	ctx context.Context, o *snapshot.Objects, before *v1alpha1.Node, st *v1alpha1.NodeStatus, owns int, view *model.View,
) error {
	written := before.DeepCopy()
	written.Status = *st
	if !equality.Semantic.DeepEqual(before.Status, written.Status) {
		// With the resourceVersion: the counts of joins and exits are made from what was there.
		if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return describe("writing the status of", before, err)
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
