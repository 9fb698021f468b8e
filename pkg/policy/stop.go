package policy

import (
	"fmt"

	"github.com/quorate/quorate/pkg/model"
)

// stopReason says why the group is to be offline, or "".
func (p *planner) stopReason(g *groupState) model.Reason {
	switch {
	case g.Deleting:
		return model.ReasonDeleted
	case !g.DesiredOnline:
		return model.ReasonDesiredOffline
	case p.assigned(g) && p.providerStops(g, nil):
		return model.ReasonWaitingForGroup
	}
	return ""
}

// providerStops says that a group that this one depends on, directly or not, is about to be taken offline. Groups that depend on
// each other in a ring are validation's to refuse; here seen only stops the walk.
func (p *planner) providerStops(g *groupState, seen map[int]bool) bool {
	for _, key := range g.DependsOn {
		i, ok := p.byKey[key]
		if !ok || seen[i] {
			continue
		}
		if seen == nil {
			seen = map[int]bool{g.index: true}
		}
		seen[i] = true
		provider := &p.groups[i]
		wanted := provider.DesiredOnline && !provider.Deleting
		if (!wanted && p.assigned(provider)) || p.providerStops(provider, seen) {
			return true
		}
	}
	return false
}

// stopStep takes groups offline that are not wanted, those that depend on others first.
func (p *planner) stopStep() {
	for _, i := range p.todo[stepStop] {
		g := &p.groups[i]
		if g.owner < 0 {
			p.stopped(g)
			continue
		}
		if d := p.runningDependent(g); d != nil {
			p.note(g.Key, model.ReasonWaitingForGroup, "waits until "+d.Key.String()+", which depends on it, is offline")
			continue
		}
		reason := p.stopReason(g)
		a, ok := p.withdrawal(g, nil, reason)
		if !ok {
			continue
		}
		p.decide(g, Decision{
			Kind: Withdraw, Reason: reason, Assignment: a, From: g.Assignment.Node, Move: refuse(g, "the group is to be offline"),
			FailedSince: p.clearFailed(g), Note: stopNote(reason),
		})
	}
}

func stopNote(reason model.Reason) string {
	switch reason {
	case model.ReasonDeleted:
		return "the group is being deleted"
	case model.ReasonDesiredOffline:
		return "the group is wanted offline"
	default:
		return "a group that this one depends on goes offline"
	}
}

// runningDependent returns the first group, in order, that depends on this one and is not offline yet. One that depends on this
// one in a ring does not count, or neither would ever stop.
func (p *planner) runningDependent(g *groupState) *groupState {
	var first *groupState
	for _, i := range p.dependents[g.index] {
		d := &p.groups[i]
		running := p.runsSomewhere(d) || p.stillStops(d)
		if !running || p.frozenQuietly(d) || p.dependsOn(g, d, nil) {
			continue
		}
		if first == nil || byPriority(d.Group, first.Group) < 0 {
			first = d
		}
	}
	return first
}

// frozenQuietly is frozen without the note.
func (p *planner) frozenQuietly(g *groupState) bool {
	return g.Maintenance || (g.owner >= 0 && p.nodes[g.owner].Maintenance)
}

// dependsOn says whether a depends on b, directly or not.
func (p *planner) dependsOn(a, b *groupState, seen map[int]bool) bool {
	for _, key := range a.DependsOn {
		i, ok := p.byKey[key]
		if !ok || seen[i] {
			continue
		}
		if i == b.index {
			return true
		}
		if seen == nil {
			seen = map[int]bool{}
		}
		seen[i] = true
		if p.dependsOn(&p.groups[i], b, seen) {
			return true
		}
	}
	return false
}

// stopped looks after a group that is withdrawn, or was never assigned, and is not wanted: it waits for its proofs.
func (p *planner) stopped(g *groupState) {
	if o := p.stopping(g.Group); o != nil {
		p.note(g.Key, model.ReasonWaitingForStop, p.stoppingText(g, o))
	}
	if len(p.unprovenFor(g)) < len(g.Assignment.Unproven) {
		p.todo[stepSettle] = append(p.todo[stepSettle], g.index)
		return
	}
	if g.Move != nil {
		p.decide(g, Decision{Kind: FinishMove, Reason: model.ReasonMoveRefused, Move: refuse(g, "the group is to be offline"),
			Note: "the group is to be offline"})
	}
}

func (p *planner) stoppingText(g *groupState, o *model.Owner) string {
	return fmt.Sprintf("%s has not yet released the group (epoch %d)", lifeText(o.Node, o.Generation), g.Assignment.Epoch)
}

// refuse is the outcome of a pending move that is not carried out; nil when none is pending.
func refuse(g *groupState, why string) *MoveOutcome {
	if g.Move == nil {
		return nil
	}
	return &MoveOutcome{Target: g.Move.Target, Token: g.Move.Token, Outcome: MoveRefused, Message: why}
}
