package lifecycle

import (
	"slices"

	"github.com/quorate/quorate/pkg/model"
)

// Verdict is what an assignment asks of this node.
type Verdict string

// Verdicts.
const (
	// VerdictNone: it does not concern this node.
	VerdictNone Verdict = "None"
	// VerdictRun: this node, in this generation, is the owner.
	VerdictRun Verdict = "Run"
	// VerdictStop: another node or nobody is, at an epoch above whatever runs here.
	VerdictStop Verdict = "Stop"
	// VerdictWait: it was made in a view that this node is not in yet (rule R10).
	VerdictWait Verdict = "Wait"
)

// Judge says what an assignment asks of a node: self is the node in this life, acting the view in which it acts (the zero ViewID when
// it does not, R7). known says that something of the group is, or was, here in this generation.
func Judge(a *model.Assignment, self model.Member, acting model.ViewID, known bool) Verdict {
	if a.Epoch == 0 || a.Epoch > model.MaxEpoch {
		return VerdictNone
	}
	mine := a.ID == self.ID && a.Node != ""
	var asked Verdict
	switch {
	case mine && a.Generation == self.Generation:
		asked = VerdictRun
	case mine:
		// For another of this node's lives: an older one is over (O3), a newer one has not begun.
		return VerdictNone
	case known || slices.ContainsFunc(a.Unproven, func(o model.Owner) bool { return o.ID == self.ID && o.Generation == self.Generation }):
		// A withdrawal is answered even when the assignment before it was never seen: somebody waits for the answer (O1).
		asked = VerdictStop
	default:
		return VerdictNone
	}
	if acting.IsZero() || acting.Number < a.View.Number {
		return VerdictWait
	}
	return asked
}
