package snapshot

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// ParseMove reads the value of quorate.io/move-to: NODE or best, with an optional /TOKEN.
func ParseMove(value string) model.MoveRequest {
	target, token, _ := strings.Cut(strings.TrimSpace(value), "/")
	return model.MoveRequest{Target: target, Token: token}
}

// MoveRequest is the move that a group's annotation asks for and that was not yet acted on; nil when there is none.
func MoveRequest(g *v1alpha1.ResourceGroup) *model.MoveRequest {
	value, ok := g.Annotations[v1alpha1.MoveToAnnotation]
	if !ok {
		return nil
	}
	move := ParseMove(value)
	if move.Token != "" && slices.Contains(g.Status.UsedMoveTokens, move.Token) || MoveUnderWay(g) {
		return nil
	}
	return &move
}

// MoveUnderWay says that the annotation asks for the very move that the status already records as begun: the annotation's removal
// was lost, or has not been seen yet. Such an annotation is removed before the move's end is recorded, so one that is met after the
// end is a new request.
func MoveUnderWay(g *v1alpha1.ResourceGroup) bool {
	value, ok := g.Annotations[v1alpha1.MoveToAnnotation]
	last := g.Status.LastMove
	if !ok || last == nil || last.Outcome != v1alpha1.MovePending {
		return false
	}
	move := ParseMove(value)
	return move.Token == last.Token && (move.Target == last.To || move.Target == v1alpha1.MoveToBest)
}
