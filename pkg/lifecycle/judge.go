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
	// VerdictOld: it was made before this life of the node first acted. Others may have gone on without the node since, and have given
	// the group to somebody else, so it is not obeyed: the node answers as to a withdrawal of the next epoch, and is given the group
	// anew if it still is its own.
	VerdictOld Verdict = "Old"
)

// Standing is how a node stands when it judges.
type Standing struct {
	// Self is the node in this life.
	Self model.Member
	// Acting is the view in which it acts (R7); the zero ViewID when it does not.
	Acting model.ViewID
	// Since is the number of the first view in which this life is known to have acted. From then on nobody has gone on without it: it
	// would have lost its quorum, and with it this life (R1, O3).
	Since uint64
	// Known says that something of the group is, or was, here in this life; Obeyed is the epoch at which it runs, 0 for none.
	Known  bool
	Obeyed model.Epoch
}

// Judge says what an assignment asks of a node.
func Judge(a *model.Assignment, s Standing) Verdict {
	self := s.Self
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
	case s.Known || slices.ContainsFunc(a.Unproven, func(o model.Owner) bool { return o.ID == self.ID && o.Generation == self.Generation }):
		// A withdrawal is answered even when the assignment before it was never seen: somebody waits for the answer (O1).
		asked = VerdictStop
	default:
		return VerdictNone
	}
	switch {
	case s.Acting.IsZero() || s.Acting.Number < a.View.Number:
		return VerdictWait
	case asked == VerdictRun && s.outdated(a):
		return VerdictOld
	}
	return asked
}

// outdated reports whether an assignment to this life was made before the life first acted.
func (s Standing) outdated(a *model.Assignment) bool {
	return a.View.Number < s.Since && a.Epoch > s.Obeyed && a.Epoch < model.MaxEpoch && enforced(RuleViewFirst)
}
