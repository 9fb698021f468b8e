package policy

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// placeStep gives a node to every group that is wanted and has none: never assigned, withdrawn and released, or its owner's life
// is not in the view any more. Higher priorities choose first.
func (p *planner) placeStep() {
	for _, i := range p.todo[stepPlace] {
		p.place(&p.groups[i])
	}
}

func (p *planner) place(g *groupState) {
	switch {
	case g.Mode == model.ModeLoadBalanced:
		p.placeMembers(g)
		return
	case g.Invalid != "":
		p.waits(g, model.ReasonInvalid, g.Invalid)
		return
	case g.owner < 0 && p.stopping(g.Group) != nil:
		p.waits(g, model.ReasonWaitingForStop, p.stoppingText(g, p.stopping(g.Group)))
		return
	case !startsByItself(g) && g.Move == nil:
		p.leaveOffline(g)
		return
	}
	if provider := p.missingProvider(g); provider != "" {
		p.waits(g, model.ReasonWaitingForGroup, provider)
		return
	}
	s, d := p.searchFor(g)
	first, candidates := p.find(g, s)
	p.noteCandidates(g.Key, candidates)
	if first == nil {
		if !p.makeRoom(g, s) {
			reason, message := nobody(candidates)
			p.waits(g, reason, displacedText(g)+message)
		}
		return
	}
	n := p.choose(g, first, s, &d)
	if n == nil {
		p.waits(g, model.ReasonPriorityZero, priorityZero)
		d = Decision{Kind: FinishMove, Reason: model.ReasonMoveRefused, Move: d.Move, Note: "the move was refused: " + d.Move.Message}
	} else {
		a, ok := p.assignment(g, n, d.Reason)
		if !ok {
			return
		}
		d.Kind, d.Assignment, d.FailedSince = Assign, a, p.clearFailed(g)
	}
	p.decide(g, d)
}

// waits notes why a wanted group is nowhere, and still lets go of owners that are proven.
func (p *planner) waits(g *groupState, reason model.Reason, message string) {
	p.note(g.Key, reason, message)
	p.settleLater(g)
}

// startsByItself is A34: a group of priority 0 is started only by a move to a node, by being wanted online after it was wanted
// offline, or as the second step of a planned move.
func startsByItself(g *groupState) bool {
	return g.Priority != 0 || g.Assignment.Target != "" || g.Assignment.Reason == model.ReasonDesiredOffline
}

const priorityZero = "the group has priority 0: it is not started by itself; move it to a node to start it"

// leaveOffline looks after a group of priority 0 whose owner is gone: it is withdrawn, so that the owner is on record.
func (p *planner) leaveOffline(g *groupState) {
	p.waits(g, model.ReasonPriorityZero, priorityZero)
	if g.owner < 0 {
		return
	}
	reason, _ := p.lossReason(g)
	a, ok := p.withdrawal(g, nil, reason)
	if !ok {
		return
	}
	p.decide(g, Decision{
		Kind: Withdraw, Reason: reason, Assignment: a, From: g.Assignment.Node, Unplanned: true, Failure: p.nodeFailure(g),
		FailedSince: p.clearFailed(g), Placed: p.displaced(g), Note: p.lossText(g) + "; " + priorityZero,
	})
}

// missingProvider says which group that this one depends on is not online, or "".
func (p *planner) missingProvider(g *groupState) string {
	for _, key := range g.DependsOn {
		i, ok := p.byKey[key]
		if !ok {
			return "waits for " + key.String() + ", which does not exist"
		}
		if !p.serves(&p.groups[i]) {
			return "waits for " + key.String() + " to be Online"
		}
	}
	return ""
}

// serves says that the group is online on a living owner, and is to stay so. An empty group serves as soon as it is assigned, one of
// mode LoadBalanced as long as one member does.
func (p *planner) serves(g *groupState) bool {
	if g.Mode == model.ModeLoadBalanced {
		return p.stopReason(g) == "" && p.servesAnywhere(g)
	}
	return p.stopReason(g) == "" && g.owner >= 0 && p.ownerLives(g) && (g.State == model.GroupOnline || g.ResourceCount == 0)
}

// choose finds the node for a group that has none: where the operator wants it, where it is on its way to, or the first by rank.
// It completes the decision. It returns nil for a group that only a move could start when that move is refused.
func (p *planner) choose(g *groupState, first *nodeState, s search, d *Decision) *nodeState {
	if g.Move != nil {
		target, why := p.moveTarget(g, first)
		if target != nil {
			d.Move = &MoveOutcome{Target: target.Name, Token: g.Move.Token, Outcome: MoveDone}
			d.Placed = &Placed{ByOperator: true, At: p.now}
			d.Reason, d.Note = model.ReasonMove, d.Note+"an operator asked for "+target.Name
			return target
		}
		d.Move = refuse(g, why)
		if !startsByItself(g) {
			return nil
		}
	}
	n := p.target(g)
	if n == nil {
		n = first
	}
	if a := &g.Assignment; d.Move == nil && a.Reason == model.ReasonMove && a.Target != "" {
		d.Move = &MoveOutcome{Target: n.Name, Outcome: MoveDone}
		if n.Name != a.Target {
			d.Move.Outcome, d.Move.Message = MoveDiverted, a.Target+" may not take the group any more"
			d.Placed = &Placed{}
		}
	}
	d.Note += p.whyNode(g, n, s)
	return n
}

// target is the node that a withdrawn group is on its way to, if it still may take it.
func (p *planner) target(g *groupState) *nodeState {
	i, ok := p.byName[g.Assignment.Target]
	if !ok || !p.mayTake(g, &p.nodes[i]) {
		return nil
	}
	return &p.nodes[i]
}

// searchFor says on which occasion the group looks for a node, and begins the decision accordingly.
func (p *planner) searchFor(g *groupState) (search, Decision) {
	s := search{occasion: firstPlacement, from: -1, exclude: -1}
	a := &g.Assignment
	if g.owner >= 0 {
		s.from = g.owner
		d := Decision{From: a.Node, Unplanned: true, Failure: p.nodeFailure(g), Placed: p.displaced(g), Note: p.lossText(g) + "; "}
		d.Reason, s.occasion = p.lossReason(g)
		return s, d
	}
	if a.Target == "" {
		return s, Decision{Reason: model.ReasonFirstPlacement}
	}
	d := Decision{Reason: a.Reason, From: p.lastOwner(g)}
	switch a.Reason {
	case model.ReasonResourceFailed:
		s.occasion, d.Unplanned = resourceFailed, true
		if last := len(g.Failures) - 1; last >= 0 {
			d.From = g.Failures[last].Node
			if i, ok := p.byName[d.From]; ok {
				s.from = i
			}
		}
	case model.ReasonMove, model.ReasonFailback:
	default:
		s.occasion = drained
	}
	return s, d
}

// lastOwner is the owner that a withdrawn group leaves, as far as the list still has it: the latest that is alive, else the latest.
func (p *planner) lastOwner(g *groupState) string {
	list := g.Assignment.Unproven
	for i := len(list) - 1; i >= 0; i-- {
		if p.alive(list[i]) {
			return list[i].Node
		}
	}
	if len(list) > 0 {
		return list[len(list)-1].Node
	}
	return ""
}

// lossReason tells the death of the owner from its return in a newer life.
func (p *planner) lossReason(g *groupState) (model.Reason, occasion) {
	if p.nodes[g.owner].member {
		return model.ReasonRestarted, nodeRestarted
	}
	return model.ReasonNodeDown, nodeFailed
}

func (p *planner) lossText(g *groupState) string {
	owner := lifeText(g.Assignment.Node, g.Assignment.Generation)
	if n := &p.nodes[g.owner]; n.member {
		return fmt.Sprintf("%s is back in generation %d, which proves that it stopped", owner, n.life)
	}
	return fmt.Sprintf("%s is not in view %s", owner, p.s.View.ID)
}

func (p *planner) nodeFailure(g *groupState) *model.Failure {
	return &model.Failure{Kind: model.FailureNode, Node: g.Assignment.Node, Time: p.now}
}

// displaced ends an operator's placement: a failover was stronger.
func (p *planner) displaced(g *groupState) *Placed {
	if !g.PlacedByOperator {
		return nil
	}
	return &Placed{}
}

func (p *planner) clearFailed(g *groupState) *time.Time {
	if g.FailedSince.IsZero() {
		return nil
	}
	return &time.Time{}
}

// whyNode says by which rule the node was chosen.
func (p *planner) whyNode(g *groupState, n *nodeState, s search) string {
	switch {
	case g.Assignment.Target == n.Name:
		return "its owner has released the group; " + n.Name + " was chosen when it was withdrawn"
	case len(g.PreferredOwners) > 0 && s.occasion.failure():
		return n.Name + " is the next node of the group's list that may take it"
	case len(g.PreferredOwners) > 0:
		return n.Name + " is the first node of the group's list that may take it"
	default:
		return n.Name + " is the least loaded node that may take it"
	}
}

// displacedText reminds of why a group went offline.
func displacedText(g *groupState) string {
	if g.Assignment.Withdrawn() && g.Assignment.Reason == model.ReasonPreempted {
		return "it was taken offline to make room for a group of higher priority; "
	}
	return ""
}

// nobody says why no node may take the group: anti-affinity if that is all that keeps a node from it (A24), else capacity if that is, else
// a container image.
func nobody(found Candidates) (model.Reason, string) {
	candidates := found.All()
	message := "no node may take the group"
	reason := model.ReasonNoCandidate
	for _, c := range candidates {
		switch {
		case len(c.Reasons) != 1:
		case c.Reasons[0] == model.ReasonAntiAffinityConflict:
			reason = model.ReasonAntiAffinityConflict
		case c.Reasons[0] == model.ReasonInsufficientCapacity && reason != model.ReasonAntiAffinityConflict:
			reason = model.ReasonInsufficientCapacity
		case c.Reasons[0] == model.ReasonImageMissing && reason == model.ReasonNoCandidate:
			reason = model.ReasonImageMissing
		}
	}
	for i, c := range candidates {
		if i == 4 && len(candidates) > 5 {
			return reason, message + fmt.Sprintf(", and %d more", len(candidates)-i)
		}
		if i == 0 {
			message += ": " + c.Message
		} else {
			message += "; " + c.Message
		}
	}
	return reason, message
}
