package node

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/status"
)

// clear ends the quarantine of a node as an operator has asked with an annotation. First the status has it, then the annotation goes: a
// manager that dies in between clears it once more, which forgives the same exits.
func (r *Reconciler) clear(ctx context.Context, n *v1alpha1.Node) (*v1alpha1.Node, error) {
	value, asked := n.Annotations[v1alpha1.ClearQuarantineAnnotation]
	if !asked {
		return n, nil
	}
	word, token, _ := strings.Cut(strings.TrimSpace(value), "/")
	if word != "yes" || len(token) > maxToken {
		chronicle.Emit(r.Recorder, n, []status.Event{status.ClearRefused(
			fmt.Sprintf("annotation %s: %q is not yes or yes/TOKEN", v1alpha1.ClearQuarantineAnnotation, value))})
	} else if st := status.Cleared(&n.Status, token, r.Clock.Now()); st != nil {
		cleared := n.DeepCopy()
		cleared.Status = *st
		if err := r.Client.Status().Patch(ctx, cleared, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{})); err != nil {
			return n, describe("clearing the quarantine of", n, err)
		}
		chronicle.Emit(r.Recorder, cleared, status.NodeEvents(&n.Status, &cleared.Status))
		n = cleared
	}
	done := n.DeepCopy()
	delete(done.Annotations, v1alpha1.ClearQuarantineAnnotation)
	if err := r.Client.Patch(ctx, done, client.MergeFromWithOptions(n, client.MergeFromWithOptimisticLock{})); err != nil {
		return n, describe("removing the annotation of", n, err)
	}
	return done, nil
}
