package policy

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/pkg/model"
)

// tell notes what the group waits for.
func (b *membership) tell() {
	p, g := b.p, b.g
	if !b.next.IsZero() {
		p.lookAgain(b.next)
	}
	switch {
	case b.spent:
		p.note(g.Key, model.ReasonEpochExhausted, "the group's epochs are used up; delete the group and make it again")
	case b.hold != nil:
		p.note(g.Key, model.ReasonWaitingForGroup, "waits until "+b.hold.Key.String()+", which depends on it, is offline")
	case len(b.notes) > 0:
		p.note(g.Key, b.reason, strings.Join(b.notes, "; "))
	case b.blocked == model.ReasonInvalid || b.stop == "" && b.blocked != "" && !b.present():
		p.note(g.Key, b.blocked, b.why)
	case b.stop == "" && !b.present():
		_, candidates := p.find(g, search{occasion: firstPlacement, from: -1, exclude: -1})
		p.noteCandidates(g.Key, candidates)
		reason, message := nobody(candidates)
		p.note(g.Key, reason, message)
	}
}

// move is what becomes of an operator's request. A group that is everywhere goes nowhere; only one of priority 0 is started by a
// move to best.
func (b *membership) move() *MoveOutcome {
	g := b.g
	if g.Move == nil {
		return nil
	}
	out := refuse(g, "a group of mode LoadBalanced is on every node that may take it: drain a node, or edit possibleOwners, instead")
	switch {
	case b.stop != "":
		out.Message = "the group is to be offline"
	case g.Move.Target == best && b.blocked == "" && !b.p.runsSomewhere(g) && b.present():
		out.Outcome, out.Message = MoveDone, ""
	}
	return out
}

// decision is the one decision of the plan for the group.
func (b *membership) decision(move *MoveOutcome) Decision {
	a := b.g.Assignment
	if b.epoch > knownEpoch(b.g.Group) {
		a = model.Assignment{Epoch: b.epoch, View: b.p.s.View.ID, Reason: b.first.Reason, Time: b.p.now}
	}
	d := Decision{Kind: Balance, Reason: b.first.Reason, Assignment: a, Members: b.members, Changes: b.changes, Move: move, Note: b.sentence()}
	for _, c := range b.changes {
		d.Unplanned = d.Unplanned || c.Reason == model.ReasonNodeDown || c.Reason == model.ReasonRetry
	}
	if move != nil && move.Outcome == MoveDone {
		d.Reason, d.Assignment.Reason = model.ReasonMove, model.ReasonMove
	}
	return d
}

// mostTold changes are told in one sentence.
const mostTold = 8

func (b *membership) sentence() string {
	var parts []string
	for i, c := range b.changes {
		if i == mostTold {
			parts = append(parts, fmt.Sprintf("and %d more", len(b.changes)-i))
			break
		}
		parts = append(parts, c.text(b.p.s.View.ID))
	}
	return strings.Join(parts, "; ")
}

func (c *MemberChange) text(view model.ViewID) string {
	switch c.Kind {
	case AddMember:
		return fmt.Sprintf("%s has the group as well (epoch %d)", c.Node, c.Epoch)
	case RaiseMember:
		if c.Reason == model.ReasonRetry {
			return fmt.Sprintf("%s tries again what had failed (epoch %d)", c.Node, c.Epoch)
		}
		return fmt.Sprintf("%s goes on with the group at epoch %d", c.Node, c.Epoch)
	case WithdrawMember:
		if c.Reason == model.ReasonNodeDown {
			return fmt.Sprintf("%s is not in view %s", c.Node, view)
		}
		return fmt.Sprintf("%s is to take the group offline: %s", c.Node, c.Reason)
	case DropMember:
		if c.Reason == model.ReasonRestarted {
			return c.Node + " is back in a newer life, which proves that the older one stopped"
		}
		return c.Node + " has nothing of the group any more"
	}
	return ""
}
