package resourcegroup

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/decision"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// write carries the round out: decided groups first, in the order of the plan, then whatever else has changed. One group's failure
// keeps no other from being written.
func (r *Reconciler) write(ctx context.Context, round *decision.Round) error {
	if changed := round.Changed(); changed != nil {
		return inventory.InParallel(r.ParallelWrites, len(changed), func(i int) error { return r.writeGroup(ctx, round, changed[i]) })
	}
	index := make(map[string]int, len(round.Objects.Groups))
	for i, g := range round.Objects.Groups {
		index[string(g.UID)] = i
	}
	order := make([]int, 0, len(round.Objects.Groups))
	for i := range round.Plan.Decisions {
		if at, ok := index[round.Plan.Decisions[i].UID]; ok {
			order = append(order, at)
		}
	}
	for i, g := range round.Objects.Groups {
		if round.Decision(snapshot.Key(g)) == nil {
			order = append(order, i)
		}
	}
	return inventory.InParallel(r.ParallelWrites, len(order), func(i int) error { return r.writeGroup(ctx, round, order[i]) })
}

// writeGroup brings one group's object in line with the round. Each step is safe to be the last one before a crash.
func (r *Reconciler) writeGroup(ctx context.Context, round *decision.Round, i int) error {
	g := round.Objects.Groups[i]
	decided := round.Decision(snapshot.Key(g))
	// The finalizer comes before the first assignment: what was never held cannot be let go of unnoticed.
	if round.MustHold(g) {
		held, err := r.patchMeta(ctx, g, func(o *v1alpha1.ResourceGroup) { controllerutil.AddFinalizer(o, v1alpha1.OfflineFirstFinalizer) })
		if err != nil {
			return wrap("holding", g, err)
		}
		g = held
	}
	g, err := r.writeStatus(ctx, round, i, g, decided)
	if err != nil {
		return wrap("writing the status of", g, err)
	}
	if decided != nil && decided.Move != nil && g.Annotations[v1alpha1.MoveToAnnotation] != "" && requested(g) {
		if g, err = r.patchMeta(ctx, g, removeMove); err != nil {
			return wrap("removing the carried-out move of", g, err)
		}
	}
	if round.MayLetGo(g, i) {
		if _, err := r.patchMeta(ctx, g, func(o *v1alpha1.ResourceGroup) { controllerutil.RemoveFinalizer(o, v1alpha1.OfflineFirstFinalizer) }); err != nil {
			return wrap("letting go of", g, err)
		}
		r.recent.Forget(g.UID)
	}
	return nil
}

// writeStatus writes the group's status if it differs, and tells of it.
func (r *Reconciler) writeStatus(ctx context.Context, round *decision.Round, i int, g *v1alpha1.ResourceGroup, d *policy.Decision) (*v1alpha1.ResourceGroup, error) {
	after := round.Status(g, i, d)
	if equality.Semantic.DeepEqual(&g.Status, after) {
		return g, nil
	}
	before := g
	written := before.DeepCopy()
	written.Status = *after
	if err := r.Client.Status().Update(ctx, written); err != nil {
		return before, r.lost(before, err)
	}
	r.recent.Wrote(before.ResourceVersion, written)
	chronicle.Emit(r.Recorder, written, status.GroupEvents(&before.Status, after, d))
	return written, nil
}

// patchMeta changes the group's metadata, if it is still the version that was looked at.
func (r *Reconciler) patchMeta(ctx context.Context, g *v1alpha1.ResourceGroup, change func(*v1alpha1.ResourceGroup)) (*v1alpha1.ResourceGroup, error) {
	changed := g.DeepCopy()
	change(changed)
	if err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(g, client.MergeFromWithOptimisticLock{})); err != nil {
		return g, r.lost(g, err)
	}
	r.recent.Wrote(g.ResourceVersion, changed)
	return changed, nil
}

// lost forgets what was remembered of a group whose write lost: the cache knows better, or soon will. A group that is gone needs no
// write.
func (r *Reconciler) lost(g *v1alpha1.ResourceGroup, err error) error {
	r.recent.Forget(g.UID)
	return client.IgnoreNotFound(err)
}

func wrap(doing string, g *v1alpha1.ResourceGroup, err error) error {
	if apierrors.IsConflict(err) {
		return err
	}
	return fmt.Errorf("%s group %s/%s: %w", doing, g.Namespace, g.Name, err)
}
