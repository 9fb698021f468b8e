package policy

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// leaveStep looks after groups whose living owner is not where they should stay, and after those that were given up.
func (p *planner) leaveStep() {
	for _, i := range p.todo[stepLeave] {
		g := &p.groups[i]
		r := p.failedReport(g)
		switch {
		case g.Invalid != "" && !p.forced(g):
			p.hold(g)
		case p.refusedBy(keepFilters, g, &p.nodes[g.owner]) != "" && p.drain(g):
		case g.Move != nil:
			p.move(g)
		case !g.FailedSince.IsZero() && r == nil && g.State == model.GroupOnline:
			p.decide(g, Decision{Kind: Recover, Reason: model.ReasonRecovered, FailedSince: new(time.Time{}), Note: "the group is online again"})
		case !g.FailedSince.IsZero():
			p.retry(g, g.FailedSince, model.ReasonThresholdExceeded, "the group has failed over too often")
		case r != nil:
			p.failed(g, r)
		default:
			p.settleLater(g)
		}
	}
}

// hold keeps a group whose spec is not usable where it runs: taken offline, it could not be started again.
func (p *planner) hold(g *groupState) {
	p.note(g.Key, model.ReasonInvalid, g.Invalid)
	if g.Move == nil {
		p.settleLater(g)
		return
	}
	p.decide(g, Decision{Kind: FinishMove, Reason: model.ReasonMoveRefused, Move: refuse(g, g.Invalid), Note: "the move was refused: " + g.Invalid})
}

func (p *planner) settleLater(g *groupState) {
	if len(g.Assignment.Unproven) > 0 {
		p.todo[stepSettle] = append(p.todo[stepSettle], g.index)
	}
}

// failedReport returns the owner's wish for a failover if it speaks of the present assignment, or nil.
func (p *planner) failedReport(g *groupState) *model.OwnerReport {
	for i := range g.Reports {
		r := &g.Reports[i]
		if r.FailoverWanted != "" && r.FailoverEpoch == g.Assignment.Epoch && r.ID == g.Assignment.ID &&
			r.Generation == g.Assignment.Generation {
			return r
		}
	}
	return nil
}

// failures counts the resource failures within the group's rolling period that took the group from a node; from "" means any.
func (p *planner) failures(g *groupState, node string) int {
	count := 0
	for i := range g.Failures {
		f := &g.Failures[i]
		if f.Kind == model.FailureResource && p.recent(g, f) && (node == "" || f.Node == node) {
			count++
		}
	}
	return count
}

func (p *planner) recent(g *groupState, f *model.Failure) bool {
	return f.Time.After(p.now.Add(-g.FailoverPeriod))
}

// failed answers a resource that failed past its restarts: failover while the threshold allows, else Failed until the retry.
func (p *planner) failed(g *groupState, r *model.OwnerReport) {
	switch {
	case g.Priority == 0:
		p.stays(g, model.ReasonPriorityZero, "resource "+r.FailoverWanted+" failed, and a group of priority 0 is not started by itself")
	case p.failures(g, "") >= g.FailoverThreshold:
		p.giveUp(g, r)
	default:
		p.failOver(g, r)
	}
}

func (p *planner) stays(g *groupState, reason model.Reason, message string) {
	p.note(g.Key, reason, message)
	p.settleLater(g)
}

func (p *planner) giveUp(g *groupState, r *model.OwnerReport) {
	message := fmt.Sprintf("resource %s failed, and the group has failed over %d times within %s already",
		r.FailoverWanted, p.failures(g, ""), g.FailoverPeriod)
	p.note(g.Key, model.ReasonThresholdExceeded, message)
	p.decide(g, Decision{Kind: GiveUp, Reason: model.ReasonThresholdExceeded, FailedSince: new(p.now), Unplanned: true, Note: message})
}

func (p *planner) failOver(g *groupState, r *model.OwnerReport) {
	n, candidates := p.find(g, search{occasion: resourceFailed, from: g.owner, exclude: g.owner, reason: model.ReasonResourceFailed})
	p.noteCandidates(g.Key, candidates)
	if n == nil {
		since := r.FailedAt
		if since.IsZero() {
			since = g.Assignment.Time
		}
		reason, message := nobody(candidates)
		p.retry(g, since, reason, "resource "+r.FailoverWanted+" failed; "+message)
		return
	}
	a, ok := p.withdrawal(g, n, model.ReasonResourceFailed)
	if !ok {
		return
	}
	p.decide(g, Decision{
		Kind: Withdraw, Reason: a.Reason, Assignment: a, From: g.Assignment.Node, Unplanned: true, Placed: p.displaced(g),
		Failure: &model.Failure{Kind: model.FailureResource, Node: g.Assignment.Node, Resource: r.FailoverWanted, Time: p.now},
		Note:    fmt.Sprintf("resource %s failed on %s; %s is next", r.FailoverWanted, g.Assignment.Node, n.Name),
	})
}

// retry begins the cycle again where the group is, RetryPeriod after it came to a stop, or as soon as a network is back whose loss has
// stopped it: a new epoch on the same node, on which the agent starts what failed. After the failover threshold was reached the count
// begins again too (A16).
func (p *planner) retry(g *groupState, since time.Time, reason model.Reason, message string) {
	owner := &p.nodes[g.owner]
	due := since.Add(g.RetryPeriod)
	if g.RetryPeriod <= 0 {
		p.stays(g, reason, message+"; it is not retried")
		return
	}
	why := fmt.Sprintf("%s have passed since the failure", g.RetryPeriod)
	if due.After(p.now) {
		why = p.networkBack(g)
	}
	if why == "" {
		p.lookAgain(due)
		p.stays(g, reason, message+"; it is retried "+g.RetryPeriod.String()+" after the failure")
		return
	}
	a, ok := p.assignment(g, owner, model.ReasonRetry)
	if !ok {
		return
	}
	p.decide(g, Decision{
		Kind: Assign, Reason: a.Reason, Assignment: a, From: owner.Name, Unplanned: true, ResetFailures: !g.FailedSince.IsZero(),
		FailedSince: p.clearFailed(g), Note: why + ": the group is tried again",
	})
}

// networkBack says which node has found the network again whose loss made the group come to a stop; empty when none has. A node that
// reached it all the time is none: the group was tried there, or may not go there. The times compared are of clocks that differ by
// what hosts' clocks differ; where one is wrong, the group waits for its period, or is tried once for nothing.
func (p *planner) networkBack(g *groupState) string {
	r := p.failedReport(g)
	if r == nil || r.FailedNetwork == "" {
		return ""
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		if !backOn(n.Node, r) {
			continue
		}
		if reasons, _ := p.refusals(g, n); i == g.owner || len(reasons) == 0 {
			return fmt.Sprintf("network %s is back on %s", r.FailedNetwork, n.Name)
		}
	}
	return ""
}

// backOn says that the node hears somebody on the network whose loss is reported, and did not when it was.
func backOn(n *model.Node, r *model.OwnerReport) bool {
	return r.FailedNetwork != "" && n.Reached[r.FailedNetwork].After(r.FailedAt)
}

// drain takes the group from a living owner that may not keep it. It says whether there was anything to decide: as long as no
// other node may take the group it stays, since stopping it would help nobody.
func (p *planner) drain(g *groupState) bool {
	owner := &p.nodes[g.owner]
	reason := p.refusedBy(keepFilters, g, owner)
	if reason == model.ReasonNodeDrained {
		reason = model.ReasonDrain
	}
	n, candidates := p.find(g, search{occasion: drained, from: g.owner, exclude: -1})
	target := n
	if g.Move != nil && n != nil {
		if t, _ := p.moveTarget(g, n); t != nil {
			target = t
		}
	}
	p.noteCandidates(g.Key, candidates)
	if p.forced(g) && owner.Connected && (n == nil || g.Invalid != "") {
		p.evict(g, owner, candidates)
		return true
	}
	if n == nil {
		_, message := nobody(candidates)
		p.note(g.Key, model.ReasonNoCandidate, "the group has to leave "+owner.Name+", but "+message)
		return false
	}
	if !owner.Connected {
		p.note(g.Key, model.ReasonAgentDisconnected, "the group has to leave "+owner.Name+", which cannot be told: its agent does not reach the API server")
		return false
	}
	a, ok := p.withdrawal(g, target, reason)
	if !ok {
		return false
	}
	d := Decision{
		Kind: Withdraw, Reason: reason, Assignment: a, From: owner.Name, Placed: p.displaced(g), FailedSince: p.clearFailed(g),
		Note: fmt.Sprintf("%s may not keep the group (%s); it goes to %s", owner.Name, reason, target.Name),
	}
	if g.Move != nil && (g.Move.Target == best || g.Move.Target == target.Name) {
		d.Move = &MoveOutcome{Target: target.Name, Token: g.Move.Token, Outcome: MoveAccepted}
		d.Placed = &Placed{ByOperator: true, At: p.now}
		d.Assignment.Reason, d.Reason = model.ReasonMove, model.ReasonMove
	}
	p.decide(g, d)
	return true
}

// forced says that the group's node is drained by force: what no other node may take goes offline (A44).
func (p *planner) forced(g *groupState) bool {
	n := &p.nodes[g.owner]
	return n.Availability == model.Drained && n.ForceDrain
}

// evict takes a group offline whose node is drained by force. It is placed again as soon as some node may take it.
func (p *planner) evict(g *groupState, owner *nodeState, candidates Candidates) {
	a, ok := p.withdrawal(g, nil, model.ReasonDrain)
	if !ok {
		return
	}
	why := g.Invalid
	if why == "" {
		_, why = nobody(candidates)
	}
	p.decide(g, Decision{
		Kind: Withdraw, Reason: a.Reason, Assignment: a, From: owner.Name, Placed: p.displaced(g), FailedSince: p.clearFailed(g),
		Note: fmt.Sprintf("%s is drained by force, and the group is taken offline: %s", owner.Name, why),
	})
}

// best is the target of a move that leaves the choice to Quorate.
const best = "best"

// move carries out the first step of an operator's move, once.
func (p *planner) move(g *groupState) {
	s := search{occasion: moveToBest, from: g.owner, exclude: -1}
	first, candidates := p.find(g, s)
	p.noteCandidates(g.Key, candidates)
	owner := &p.nodes[g.owner]
	target, why := p.moveTarget(g, first)
	outcome := &MoveOutcome{Target: g.Move.Target, Token: g.Move.Token, Outcome: MoveRefused, Message: why}
	switch {
	case target == nil:
		p.decide(g, Decision{Kind: FinishMove, Reason: model.ReasonMoveRefused, Move: outcome, Note: "the move was refused: " + why})
	case target.index == g.owner:
		outcome.Target, outcome.Outcome, outcome.Message = target.Name, MoveDone, "the group is there already"
		p.decide(g, Decision{
			Kind: FinishMove, Reason: model.ReasonMove, Move: outcome, Placed: &Placed{ByOperator: true, At: p.now},
			Note: "the group is on " + target.Name + " already",
		})
	case !owner.Connected:
		p.stays(g, model.ReasonAgentDisconnected, "the move waits: the agent of "+owner.Name+" does not reach the API server")
	default:
		a, ok := p.withdrawal(g, target, model.ReasonMove)
		if !ok {
			return
		}
		outcome.Target, outcome.Outcome, outcome.Message = target.Name, MoveAccepted, ""
		p.decide(g, Decision{
			Kind: Withdraw, Reason: a.Reason, Assignment: a, From: owner.Name, Move: outcome, Placed: &Placed{ByOperator: true, At: p.now},
			FailedSince: p.clearFailed(g), Note: "an operator asked for " + target.Name,
		})
	}
}

// moveTarget resolves a move's target. first is the best node by rank, or nil. It returns nil and a sentence when the target may
// not have the group.
func (p *planner) moveTarget(g *groupState, first *nodeState) (*nodeState, string) {
	if g.Move.Target == best {
		if first == nil {
			return nil, "no node may take the group"
		}
		return first, ""
	}
	i, ok := p.byName[g.Move.Target]
	if !ok {
		return nil, "there is no node " + g.Move.Target + " in the cluster"
	}
	if i == g.owner && p.ownerLives(g) {
		return &p.nodes[i], ""
	}
	if reasons, message := p.refusals(g, &p.nodes[i]); len(reasons) > 0 {
		return nil, message
	}
	return &p.nodes[i], ""
}
