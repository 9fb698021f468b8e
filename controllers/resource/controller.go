package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
	"github.com/quorate/quorate/pkg/validation"
)

// Reconciler keeps the manager's part of all Resources of a cluster.
type Reconciler struct {
	Client    client.Client
	Inventory *inventory.Reader
	// Services reads the Services and EndpointSlices that were made for names (nameservice.ManagedByLabel); nil: none are made.
	Services client.Reader
	// Direct asks the API server itself about one of them.
	Direct   client.Reader
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// ParallelWrites bounds how many resources are written at a time; 0 means inventory.Parallel. With 1 they are written in the order of the cache.
	ParallelWrites int
}

// SetupWithManager starts the reconciler with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, signs *inventory.Signs, delay time.Duration) error {
	h := inventory.Handler(mgr.GetClient(), delay)
	return ctrl.NewControllerManagedBy(mgr).
		Named("resource").
		Watches(&v1alpha1.Cluster{}, h).
		Watches(&v1alpha1.Node{}, h).
		Watches(&v1alpha1.ResourceGroup{}, h).
		Watches(&v1alpha1.Resource{}, h).
		Watches(&corev1.Service{}, h).
		Watches(&discoveryv1.EndpointSlice{}, h).
		WatchesRawSource(signs.Source()).
		Complete(r)
}

// round is what one reconciliation looks at.
type round struct {
	*snapshot.Objects
	view     *model.View
	groups   map[model.GroupKey]*v1alpha1.ResourceGroup
	members  map[model.GroupKey][]*v1alpha1.Resource
	made     *made
	reports  map[string][]model.OwnerReport
	findings *validation.Findings
	now      time.Time
}

// Reconcile brings the Resources of the cluster named by the request up to date; the name "" stands for those without a group.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	o, err := r.Inventory.Read(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	existing, err := r.readMade(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	at := &round{
		made: existing, members: o.ResourcesByGroup(),
		Objects: o, view: o.View(), groups: make(map[model.GroupKey]*v1alpha1.ResourceGroup, len(o.Groups)),
		reports: snapshot.Reports(o.Nodes), findings: validation.Check(o), now: r.Clock.Now(),
	}
	for _, g := range o.Groups {
		at.groups[snapshot.Key(g)] = g
	}
	waits := make([]time.Duration, len(o.Resources))
	err = inventory.InParallel(r.ParallelWrites, len(o.Resources), func(i int) (err error) {
		waits[i], err = r.write(ctx, at, o.Resources[i])
		return err
	})
	if err := errors.Join(err, r.sweep(ctx, at)); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: soonest(waits)}, nil
}

// soonest is the shortest of the waits that are not 0.
func soonest(waits []time.Duration) (next time.Duration) {
	for _, wait := range waits {
		if wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
	}
	return next
}

// write brings one resource up to date, and says when to look at it again although nothing changes.
func (r *Reconciler) write(ctx context.Context, at *round, res *v1alpha1.Resource) (time.Duration, error) {
	group := at.groups[snapshot.GroupKeyOf(res)]
	res, err := r.writeFinalizer(ctx, at, res, group)
	if err != nil || res == nil {
		return 0, err
	}
	if res, err = r.clearForeign(ctx, at, res); err != nil {
		return 0, err
	}
	if res, err = r.letGo(ctx, at, res); err != nil {
		return 0, err
	}
	res, wait, err := r.disown(ctx, at, res, group)
	if err != nil {
		return 0, err
	}
	awaited := wait > 0
	conflict, err := r.serve(ctx, at, res)
	if err != nil {
		return 0, err
	}
	if conflict != "" && wait == 0 {
		wait = conflictRetry
	}
	facts := &status.ResourceFacts{
		Resource: res, Group: group, View: at.view, Findings: at.findings.OfResource(res.Namespace, res.Name), Now: at.now,
		Owner: at.Node(res.Status.Node), Conflict: conflict,
	}
	if res, err = r.sumUp(ctx, facts); err != nil {
		return 0, err
	}
	if awaited && judged(res) {
		return wait, nil // the next owner's word is on its way, and then one write says it all
	}
	conditions := status.ResourceConditions(facts)
	if equality.Semantic.DeepEqual(res.Status.Conditions, conditions) {
		return wait, nil
	}
	written := res.DeepCopy()
	written.Status.Conditions = conditions
	// Without the resourceVersion: the owner may write its part at the same time, and nobody else writes this one.
	if err := r.Client.Status().Patch(ctx, written, client.MergeFrom(res)); err != nil {
		return 0, describe("writing the conditions of", res, err)
	}
	return wait, nil
}

// judged says that the present spec of the resource has been found usable or not.
func judged(res *v1alpha1.Resource) bool {
	c := meta.FindStatusCondition(res.Status.Conditions, v1alpha1.ConditionAccepted)
	return c != nil && c.ObservedGeneration == res.Generation
}

func describe(doing string, res *v1alpha1.Resource, err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or written by its owner meanwhile: the watch brings the next round
	}
	return fmt.Errorf("%s resource %s/%s: %w", doing, res.Namespace, res.Name, err)
}
