package resourcegroup

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// catchUp writes the page of the journal that the reporter has published, in its order, and acknowledges it in the Cluster. Each step is
// safe to be the last one before a crash: what is written already is found written. Nothing is started or stopped by it, since the nodes
// go by the journal until all of it is written.
func (r *Reconciler) catchUp(ctx context.Context, o *snapshot.Objects) error {
	page, token := o.JournalPage()
	if o.Cluster == nil || token == "" || o.Cluster.Status.JournalWritten == token {
		return nil
	}
	entries, err := replica.ReadPage(page)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", o.Name, err)
	}
	for i := range entries {
		write := r.writeEntry
		if entries[i].Request != nil {
			write = func(ctx context.Context, o *snapshot.Objects, e *replica.Entry) error {
				return r.writeRequest(ctx, o, e, entries[i+1:])
			}
		}
		if err := write(ctx, o, &entries[i]); err != nil {
			return err
		}
	}
	written := o.Cluster.DeepCopy()
	written.Status.JournalWritten = token
	if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(o.Cluster, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("acknowledging the journal of cluster %s: %w", o.Name, err)
	}
	return nil
}

// writeEntry writes one entry. One about a group that is gone, or was made again, has nothing to change.
func (r *Reconciler) writeEntry(ctx context.Context, o *snapshot.Objects, e *replica.Entry) error {
	at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return string(g.UID) == e.UID })
	if at < 0 {
		return nil
	}
	g := o.Groups[at]
	after := e.Written(&g.Status)
	if after != nil && !equality.Semantic.DeepEqual(after, &g.Status) {
		written := g.DeepCopy()
		written.Status = *after.DeepCopy()
		if err := r.Client.Status().Update(ctx, written); err != nil {
			if err = r.lost(g, err); err != nil {
				return wrap("writing the journal into", g, err)
			}
			return nil
		}
		r.recent.Wrote(g.ResourceVersion, written)
		g = written
	}
	if e.Move != "" && g.Annotations[v1alpha1.MoveToAnnotation] == e.Move {
		patched, err := r.patchMeta(ctx, g, removeMove)
		if err != nil {
			return wrap("removing the carried-out move of", g, err)
		}
		g = patched
	}
	o.Groups[at] = g
	events := e.Events
	if e.Decided && e.Outdated(g.Status.Assignment) {
		events = append(slices.Clone(events), superseded(g, e))
	}
	return r.recordPast(ctx, g, e, events)
}

// recordPast records the Events of an entry at its time.
func (r *Reconciler) recordPast(ctx context.Context, about client.Object, e *replica.Entry, events []status.Event) error {
	if r.Past == nil {
		return nil
	}
	err := r.Past(ctx, about, e.ID.String(), e.Time, events)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
		// No later attempt would be better, such as in a namespace that is going away: what happened is in the status all the same.
		log.FromContext(ctx).Error(err, "An Event of what was decided without the API server is not recorded", "entry", e.ID.String())
		return nil
	}
	return err
}

// superseded tells of a decision that stands no more.
func superseded(g *v1alpha1.ResourceGroup, e *replica.Entry) status.Event {
	epoch := int64(0)
	if a := e.Status.Assignment; a != nil {
		epoch = a.Epoch
	}
	return status.Event{
		Warning: true, Reason: "Superseded", Action: "CatchUp",
		Note: fmt.Sprintf("decided without the API server in view %d at epoch %d; the assignment of epoch %d stands", e.ID.View.Number, epoch, replica.EpochOf(g)),
	}
}
