package resourcegroup

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/replay"
	"github.com/quorate/quorate/pkg/snapshot"
)

// afterConflict is how soon a lost write is decided again; the watch usually brings the newer object before.
const afterConflict = 20 * time.Millisecond

// Reconciler decides about all groups of a cluster.
type Reconciler struct {
	Client    client.Client
	Inventory *inventory.Reader
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	// Past records Events of entries of a journal at their own times; nil records none.
	Past chronicle.Past
	// ParallelWrites bounds how many groups are written at a time; 0 means inventory.Parallel. With 1 they are written in the order of the plan.
	ParallelWrites int
	// Keep is given the inputs of every round that moves something; nil keeps none. It must not wait.
	Keep func(*replay.Record)

	recent   inventory.Recent[*v1alpha1.ResourceGroup]
	memories sync.Map // *decision.Memory by the cluster's name
}

// memory is what is remembered of the cluster's last round. One round at a time is made of a cluster.
func (r *Reconciler) memory(cluster string) *decision.Memory {
	m, _ := r.memories.LoadOrStore(cluster, &decision.Memory{})
	return m.(*decision.Memory)
}

// SetupWithManager starts the reconciler with the manager. Nothing delays it: it is on the path of a failover.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, signs *inventory.Signs) error {
	h := inventory.Handler(mgr.GetClient(), 0)
	return ctrl.NewControllerManagedBy(mgr).
		Named("resourcegroup").
		Watches(&v1alpha1.Cluster{}, h).
		Watches(&v1alpha1.Node{}, h).
		Watches(&v1alpha1.ResourceGroup{}, h).
		Watches(&v1alpha1.Resource{}, h).
		WatchesRawSource(signs.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(r)
}

// Reconcile decides about the groups of the cluster named by the request.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	if request.Name == inventory.Orphans {
		return ctrl.Result{}, nil
	}
	o, err := r.Inventory.Read(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.overlay(o)
	now := r.Clock.Now()
	if err := r.removeBegunMoves(ctx, o); err != nil {
		return outcomeOf(err)
	}
	if o.JournalPending() {
		// What was decided without the API server comes first. Its end is a change of a Node, which brings the next round.
		r.memory(request.Name).Forget()
		return outcomeOf(r.catchUp(ctx, o))
	}
	highestView := r.Inventory.Liveness.HighestView(request.Name)
	memory := r.memory(request.Name)
	round := memory.Round(o, highestView, now)
	err = r.write(ctx, round)
	if r.Keep != nil && replay.Moves(round.Plan.Decisions) {
		r.Keep(replay.New(round.Snapshot, round.Now, round.Plan.Decisions))
	}
	if err != nil {
		memory.Forget()
		return outcomeOf(err)
	}
	memory.Keep(round, highestView)
	return ctrl.Result{RequeueAfter: round.Next()}, nil
}

// outcomeOf tells a lost race, which the next round wins, from a failure.
func outcomeOf(err error) (ctrl.Result, error) {
	if onlyConflicts(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return ctrl.Result{}, err
}

// joinedErrors is what errors.Join makes.
type joinedErrors interface {
	error
	Unwrap() []error
}

func onlyConflicts(err error) bool {
	if joined, ok := errors.AsType[joinedErrors](err); ok {
		for _, one := range joined.Unwrap() {
			if !onlyConflicts(one) {
				return false
			}
		}
		return true
	}
	return apierrors.IsConflict(err)
}

// overlay puts own writes that the cache does not show yet in the place of what they replaced.
func (r *Reconciler) overlay(o *snapshot.Objects) {
	for i, g := range o.Groups {
		o.Groups[i] = r.recent.Newest(g)
	}
}
