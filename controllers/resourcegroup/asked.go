package resourcegroup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// writeRequest carries what an operator asked for on a host into the spec, or into the annotation that asks for a move, together with a mark
// that keeps it from being carried again. later are the entries of the page that follow. Where somebody has changed the same field
// meanwhile that stands, and an Event tells so.
func (r *Reconciler) writeRequest(ctx context.Context, o *snapshot.Objects, e *replica.Entry, later []replica.Entry) error {
	var about client.Object
	var carried replica.Carried
	var err error
	if e.Request.Verb.AboutNode() {
		about, carried, err = r.carryIntoNode(ctx, o, e)
	} else {
		about, carried, err = r.carryIntoGroup(ctx, o, e, replica.Answered(e.Request, e.UID, later))
	}
	if err != nil || about == nil {
		return err
	}
	events := e.Events
	if carried == replica.Superseded {
		events = append(slices.Clone(events), requestSuperseded(e, about))
	}
	return r.recordPast(ctx, about, e, events)
}

// carryIntoNode returns nil for a Node that is gone, or was made again.
func (r *Reconciler) carryIntoNode(ctx context.Context, o *snapshot.Objects, e *replica.Entry) (client.Object, replica.Carried, error) {
	at := slices.IndexFunc(o.Nodes, func(n *v1alpha1.Node) bool { return string(n.UID) == e.UID })
	if at < 0 {
		return nil, replica.Known, nil
	}
	before := o.Nodes[at]
	after, carried := replica.Carry(e, before, (*v1alpha1.Node).DeepCopy, false)
	if after != before {
		err := r.Client.Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		switch {
		case apierrors.IsNotFound(err):
			return nil, carried, nil
		case apierrors.IsConflict(err):
			return nil, carried, err
		case err != nil:
			return nil, carried, fmt.Errorf("writing what was asked for on a host into node %s: %w", before.Name, err)
		}
		o.Nodes[at] = after
	}
	return after, carried, nil
}

func (r *Reconciler) carryIntoGroup(ctx context.Context, o *snapshot.Objects, e *replica.Entry, answered bool) (client.Object, replica.Carried, error) {
	at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return string(g.UID) == e.UID })
	if at < 0 {
		return nil, replica.Known, nil
	}
	before := o.Groups[at]
	after, carried := replica.Carry(e, before, (*v1alpha1.ResourceGroup).DeepCopy, answered)
	if after != before {
		written, err := r.patchMeta(ctx, before, func(g *v1alpha1.ResourceGroup) { after.DeepCopyInto(g) })
		if err != nil {
			return nil, carried, wrap("writing what was asked for on a host into", before, err)
		}
		o.Groups[at], after = written, written
	}
	return after, carried, nil
}

// requestSuperseded tells of a request that was not carried out.
func requestSuperseded(e *replica.Entry, about client.Object) status.Event {
	var fields []string
	for _, c := range e.Request.Changes {
		fields = append(fields, fmt.Sprintf("%s from %q to %q; it is %q here", c.Field, c.From, c.To, replica.Get(about, c.Field)))
	}
	return status.Event{
		Warning: true, Reason: "Superseded", Action: "CatchUp",
		Note: fmt.Sprintf("%s asked on host %s to change %s: what was written here meanwhile stands", e.Request.By.User, e.Request.By.Host, strings.Join(fields, ", and ")),
	}
}
