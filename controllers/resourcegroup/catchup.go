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
	done := writtenAlready(o.Groups, entries)
	for i := range entries {
		write := r.writeEntry
		if i < done[entries[i].UID] {
			write = r.recordEntry
		}
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
	// Whoever else writes this status counts what has just been written: with a lock on its version, a busy cluster could never be acknowledged.
	// That a page is written stays true whatever the status says beside it.
	if err := r.Client.Status().Patch(ctx, written, client.MergeFrom(o.Cluster)); err != nil {
		return fmt.Errorf("acknowledging the journal of cluster %s: %w", o.Name, err)
	}
	return nil
}

// writtenAlready counts, by the group's UID, the entries up to the last one that the group's status shows just as it is in the journal: an earlier
// attempt wrote them. Writing them again would show the group's past once more, and whoever follows its status would have to follow that.
func writtenAlready(groups []*v1alpha1.ResourceGroup, entries []replica.Entry) map[string]int {
	done := map[string]int{}
	for _, g := range groups {
		for i := range entries {
			if entries[i].UID == string(g.UID) && entries[i].Request == nil && equality.Semantic.DeepEqual(entries[i].Status, &g.Status) {
				done[entries[i].UID] = i + 1
			}
		}
	}
	return done
}

// recordEntry records what an entry tells that is written already: its Events may not have been.
func (r *Reconciler) recordEntry(ctx context.Context, o *snapshot.Objects, e *replica.Entry) error {
	at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return string(g.UID) == e.UID })
	if at < 0 {
		return nil
	}
	return r.finishEntry(ctx, o, at, e, e.Events)
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
		o.Groups[at] = written
	}
	events := e.Events
	if e.Decided && e.Outdated(o.Groups[at].Status.Assignment) {
		events = append(slices.Clone(events), superseded(o.Groups[at], e))
	}
	return r.finishEntry(ctx, o, at, e, events)
}

// finishEntry does what an entry asks for beside the group's status.
func (r *Reconciler) finishEntry(ctx context.Context, o *snapshot.Objects, at int, e *replica.Entry, events []status.Event) error {
	g := o.Groups[at]
	if e.Move != "" && g.Annotations[v1alpha1.MoveToAnnotation] == e.Move {
		patched, err := r.patchMeta(ctx, g, removeMove)
		if err != nil {
			return wrap("removing the carried-out move of", g, err)
		}
		g = patched
	}
	o.Groups[at] = g
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
