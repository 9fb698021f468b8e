package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// clearForeign carries out an operator's act on a disk: it writes into the status what an agent is to do, then removes the annotations,
// and later records how it ended. Only the keys that were named are ever removed, so an act that is met twice does nothing the second
// time. It returns the resource as it is then.
func (r *Reconciler) clearForeign(ctx context.Context, at *round, res *v1alpha1.Resource) (*v1alpha1.Resource, error) {
	before := res.Status.ForeignReservation
	after := left(at, status.ClearingDone(before, res, at.Nodes))
	refusal := ""
	value, asked := res.Annotations[v1alpha1.ClearForeignAnnotation]
	if asked && (after == nil || after.State != v1alpha1.ClearingRequested || !sameAct(after, res, value)) {
		var request *v1alpha1.ForeignClearing
		if request, refusal = r.requestOf(at, res, value, after); request != nil {
			after = request
		}
	}
	if after != before {
		written := res.DeepCopy()
		written.Status.ForeignReservation = after
		if err := r.Client.Status().Patch(ctx, written, client.MergeFromWithOptions(res, client.MergeFromWithOptimisticLock{})); err != nil {
			return res, again("recording the clearing of the foreign reservation of", res, err)
		}
		chronicle.Emit(r.Recorder, written, status.ClearingEvents(before, after))
		res = written
	}
	if !asked {
		return res, nil
	}
	if refusal != "" {
		chronicle.Emit(r.Recorder, res, []status.Event{status.ClearingRefused(refusal)})
	}
	done := res.DeepCopy()
	for _, name := range []string{v1alpha1.ClearForeignAnnotation, v1alpha1.ClearForeignReasonAnnotation, v1alpha1.ClearForeignByAnnotation} {
		delete(done.Annotations, name)
	}
	if err := r.Client.Patch(ctx, done, client.MergeFromWithOptions(res, client.MergeFromWithOptimisticLock{})); err != nil {
		return res, again("removing the carried out annotations of", res, err)
	}
	return done, nil
}

// left ends an act whose node has gone before it was done, so that it can be asked for once more.
func left(at *round, c *v1alpha1.ForeignClearing) *v1alpha1.ForeignClearing {
	if c == nil || c.State != v1alpha1.ClearingRequested || at.view == nil {
		return c
	}
	if n := at.Node(c.Node); n != nil && at.view.Has(model.NodeID(n.Status.ID)) {
		return c
	}
	now := metav1.NewMicroTime(at.now)
	failed := c.DeepCopy()
	failed.State, failed.Time = v1alpha1.ClearingFailed, &now
	failed.Message = c.Node + " has left the cluster before it was done; ask for it again"
	return failed
}

// again keeps a conflict an error, so that the act is looked at anew soon.
func again(doing string, res *v1alpha1.Resource, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s resource %s/%s: %w", doing, res.Namespace, res.Name, err)
}

// sameAct says that the status has the act of the annotations already: the manager died between the two writes.
func sameAct(c *v1alpha1.ForeignClearing, res *v1alpha1.Resource, value string) bool {
	keys, token, err := snapshot.ParseClearForeign(value)
	return err == nil && slices.Equal(keys, c.Keys) && token == c.Token &&
		strings.TrimSpace(res.Annotations[v1alpha1.ClearForeignReasonAnnotation]) == c.Reason
}

// requestOf reads the annotations. Neither a request nor a refusal means that the token has acted before.
func (r *Reconciler) requestOf(at *round, res *v1alpha1.Resource, value string, last *v1alpha1.ForeignClearing) (*v1alpha1.ForeignClearing, string) {
	keys, token, err := snapshot.ParseClearForeign(value)
	reason := strings.TrimSpace(res.Annotations[v1alpha1.ClearForeignReasonAnnotation])
	switch {
	case err != nil:
		return nil, fmt.Sprintf("annotation %s: %v", v1alpha1.ClearForeignAnnotation, err)
	case reason == "":
		return nil, fmt.Sprintf("annotation %s is missing: it says how it is known that the owner of the keys is gone", v1alpha1.ClearForeignReasonAnnotation)
	case token != "" && last != nil && last.Token == token:
		return nil, ""
	}
	node, refusal := snapshot.ForeignClearer(at.Objects, res, "")
	if refusal != "" {
		return nil, refusal
	}
	now := metav1.NewMicroTime(at.now)
	by := res.Annotations[v1alpha1.ClearForeignByAnnotation]
	c := &v1alpha1.ForeignClearing{
		Number: 1, Keys: keys, Node: node.Name, By: by[:min(len(by), 256)], Reason: reason[:min(len(reason), 1024)],
		Token: token, State: v1alpha1.ClearingRequested, Time: &now,
	}
	if last != nil {
		c.Number = last.Number + 1
	}
	return c, ""
}
