package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/status"
)

// maxToken is the longest token of a confirmation.
const maxToken = 63

// confirm carries out what an operator has said with annotations: that a life of the node is off. First the status has it, then the
// annotations go; they prove one generation only, so what is met a second time does nothing. It returns the node as it is then.
func (r *Reconciler) confirm(ctx context.Context, n *v1alpha1.Node, view *model.View) (*v1alpha1.Node, error) {
	value, asked := n.Annotations[v1alpha1.ConfirmOffAnnotation]
	if !asked || n.Status.ID == 0 {
		return n, nil
	}
	f, refusal := confirmation(n, value, view, metav1.NewMicroTime(r.Clock.Now()))
	if refusal == "" && (n.Status.Fencing == nil || n.Status.Fencing.Generation < f.Generation) {
		confirmed := n.DeepCopy()
		confirmed.Status.Fencing = f
		if err := r.Client.Status().Patch(ctx, confirmed, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{})); err != nil {
			return n, describe("confirming that it is off:", n, err)
		}
		chronicle.Emit(r.Recorder, confirmed, status.NodeEvents(&n.Status, &confirmed.Status))
		n = confirmed
	}
	if refusal != "" {
		chronicle.Emit(r.Recorder, n, []status.Event{status.ConfirmRefused(refusal)})
	}
	done := n.DeepCopy()
	for _, name := range []string{v1alpha1.ConfirmOffAnnotation, v1alpha1.ConfirmOffReasonAnnotation, v1alpha1.ConfirmOffByAnnotation} {
		delete(done.Annotations, name)
	}
	if err := r.Client.Patch(ctx, done, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{})); err != nil {
		return n, describe("removing the confirmation of", n, err)
	}
	return done, nil
}

// confirmation reads the annotations; refusal says why they prove nothing.
func confirmation(n *v1alpha1.Node, value string, view *model.View, now metav1.MicroTime) (f *v1alpha1.NodeFencing, refusal string) {
	text, token, _ := strings.Cut(strings.TrimSpace(value), "/")
	generation, err := strconv.ParseInt(text, 10, 64)
	reason := strings.TrimSpace(n.Annotations[v1alpha1.ConfirmOffReasonAnnotation])
	life, member := view.Generation(model.NodeID(n.Status.ID))
	switch {
	case err != nil || generation < 1 || len(token) > maxToken:
		return nil, fmt.Sprintf("annotation %s: %q is not GENERATION or GENERATION/TOKEN", v1alpha1.ConfirmOffAnnotation, value)
	case reason == "":
		return nil, fmt.Sprintf("annotation %s is missing: it says how it is known that the host is off", v1alpha1.ConfirmOffReasonAnnotation)
	case view == nil:
		return nil, "no quorate view of the cluster is reported, so nobody knows that the node is not in one"
	case member:
		return nil, fmt.Sprintf("the node is in the view, in generation %d: it is alive", life)
	case generation != n.Status.Generation:
		return nil, fmt.Sprintf("annotation %s names generation %d, but the node's last is %d (status.generation)",
			v1alpha1.ConfirmOffAnnotation, generation, n.Status.Generation)
	}
	by := n.Annotations[v1alpha1.ConfirmOffByAnnotation]
	return &v1alpha1.NodeFencing{
		Generation: generation, Proof: v1alpha1.ProofManualConfirmation, By: by[:min(len(by), 256)],
		Reason: reason[:min(len(reason), 1024)], Token: token, Time: &now,
	}, ""
}
