package policy

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// OrphanWait is how long after its withdrawal, and after the last change of the view, an owner that is in no view is taken for
// stopped when its group is being deleted, so that a dead host does not keep a deletion waiting for ever. It is far above every
// self-fence deadline. For a group that lives on only proof counts.
const OrphanWait = time.Minute

// settleStep shortens the lists of owners that are still unproven (O2). The epoch stays, so nothing on a node changes.
func (p *planner) settleStep() {
	p.sortTodo(stepSettle) // other steps have added to it
	for _, i := range p.todo[stepSettle] {
		g := &p.groups[i]
		left := p.unprovenFor(g)
		if g.decided || len(left) == len(g.Assignment.Unproven) {
			continue
		}
		a := g.Assignment
		a.Unproven = orNone(left)
		p.decide(g, Decision{Kind: Settle, Reason: model.ReasonProven, Assignment: a, Note: "earlier owners are proven to have stopped"})
	}
}

// unprovenFor is unproven, and for a group that is being deleted the end of OrphanWait.
func (p *planner) unprovenFor(g *groupState) []model.Owner {
	left := p.unproven(g.Group)
	if !g.Deleting || g.Assignment.Node != "" || len(left) == 0 {
		return left
	}
	due := g.Assignment.Time.Add(OrphanWait)
	if v := p.s.View.Installed.Add(OrphanWait); v.After(due) {
		due = v
	}
	orphan := func(o model.Owner) bool { return !p.alive(o) }
	if !slices.ContainsFunc(left, orphan) {
		return left
	}
	if due.After(p.now) {
		p.lookAgain(due)
		p.note(g.Key, model.ReasonWaitingForStop, "an earlier owner is in no view; its self-fence deadline is waited for")
		return left
	}
	return slices.DeleteFunc(slices.Clone(left), orphan)
}
