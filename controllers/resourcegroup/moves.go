package resourcegroup

import (
	"context"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/inventory"
	"github.com/quorate/quorate/pkg/snapshot"
)

// removeBegunMoves removes annotations whose move the status already records as begun: the manager died, or lost a race, between the
// two writes. It comes before everything else, so that a move is carried out once: by the time its end is recorded, its annotation is
// gone, and one that is met later is a new request.
func (r *Reconciler) removeBegunMoves(ctx context.Context, o *snapshot.Objects) error {
	var begun []int
	for i, g := range o.Groups {
		if snapshot.MoveUnderWay(g) {
			begun = append(begun, i)
		}
	}
	return inventory.InParallel(r.ParallelWrites, len(begun), func(i int) error {
		g, err := r.patchMeta(ctx, o.Groups[begun[i]], removeMove)
		if err != nil {
			return wrap("removing the begun move of", g, err)
		}
		o.Groups[begun[i]] = g
		return nil
	})
}

func removeMove(g *v1alpha1.ResourceGroup) {
	delete(g.Annotations, v1alpha1.MoveToAnnotation)
}

// requested says that the annotation is the request that the status has just recorded, and not a later one.
func requested(g *v1alpha1.ResourceGroup) bool {
	last := g.Status.LastMove
	if last == nil {
		return false
	}
	move := snapshot.ParseMove(g.Annotations[v1alpha1.MoveToAnnotation])
	return move.Token == last.Token && (move.Target == last.To || move.Target == v1alpha1.MoveToBest)
}
