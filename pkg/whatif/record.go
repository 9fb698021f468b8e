package whatif

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/policy/standin"
	"github.com/quorate/quorate/pkg/snapshot"
)

// recorder makes the actions of one step out of the decisions and of what the agents did.
type recorder struct {
	actions []Action
	// before is where each group was online when the step began.
	before map[model.GroupKey][]string
	// chain has the decisions about a group since its last action: a planned move is a withdrawal and an assignment.
	chain map[model.GroupKey][]*policy.Decision
	// last is each group's latest action.
	last map[model.GroupKey]Verb
	// changes has why nodes of a group of mode LoadBalanced were added or withdrawn, and notes the latest decision's sentence.
	changes map[model.GroupKey]map[string]model.Reason
	notes   map[model.GroupKey]string
}

func (r *recorder) reasonOn(key model.GroupKey, node string) string {
	if reason := r.changes[key][node]; reason != "" {
		return string(reason)
	}
	return string(model.ReasonRestarted)
}

func newRecorder(before map[model.GroupKey][]string) *recorder {
	return &recorder{
		before: before, chain: map[model.GroupKey][]*policy.Decision{}, last: map[model.GroupKey]Verb{},
		changes: map[model.GroupKey]map[string]model.Reason{}, notes: map[model.GroupKey]string{},
	}
}

func (r *recorder) add(a Action, key model.GroupKey) {
	r.actions = append(r.actions, a)
	if r.last != nil {
		r.last[key] = a.Action
		delete(r.chain, key)
	}
}

// decided takes note of a decision. Most become an action when an agent has carried them out.
func (r *recorder) decided(g *v1alpha1.ResourceGroup, d *policy.Decision) {
	key := snapshot.Key(g)
	if r.chain == nil {
		return
	}
	owner := d.Assignment.Node
	switch {
	case d.Kind == policy.GiveUp:
		r.add(Action{Group: key.String(), Action: Fail, From: owner, Reason: string(d.Reason), Message: d.Note}, key)
	case d.Kind == policy.FinishMove && d.Reason == model.ReasonMoveRefused:
		r.add(Action{Group: key.String(), Action: Move, From: owner, To: owner, Reason: string(d.Reason), Message: d.Note}, key)
	case d.Kind == policy.Balance:
		if r.changes[key] == nil {
			r.changes[key] = map[string]model.Reason{}
		}
		for _, c := range d.Changes {
			if c.Kind != policy.DropMember {
				r.changes[key][c.Node] = c.Reason
			}
		}
		r.notes[key] = d.Note
	case d.Kind == policy.Assign || d.Kind == policy.Withdraw:
		r.chain[key] = append(r.chain[key], d)
	}
}

// did takes note of what an agent did.
func (r *recorder) did(g *v1alpha1.ResourceGroup, node string, did standin.Did) {
	key := snapshot.Key(g)
	chain := r.chain[key]
	if len(chain) == 0 || did != standin.Started && did != standin.Restarted {
		return
	}
	d := chain[len(chain)-1]
	if d.Kind != policy.Assign {
		return
	}
	a := Action{Group: key.String(), From: d.From, To: node, Reason: string(d.Reason), Message: d.Note}
	if first := chain[0]; len(chain) > 1 && first.Kind == policy.Withdraw && first.Reason == d.Reason {
		a.From, a.Message = first.From, first.Note
	}
	a.Action = verbOf(d, &a, did)
	if a.Action == Online {
		a.From = ""
	}
	r.add(a, key)
}

// verbOf says what an assignment that was carried out is to an operator.
func verbOf(d *policy.Decision, a *Action, did standin.Did) Verb {
	switch {
	case a.From == "", d.Reason == model.ReasonRestarted: // it was nowhere: everyone, or its node, has begun a new life
		return Online
	case did == standin.Restarted, d.Reason == model.ReasonRetry, a.From == a.To:
		return Restart
	case d.Reason == model.ReasonFailback:
		return Failback
	case d.Unplanned:
		return Failover
	}
	return Move
}

// lost adds the groups that were online before the step and are not after it, and of which nothing was told.
// stays says that they are still on their nodes, but failed.
func (r *recorder) lost(g model.GroupKey, from, reason, message string, stays bool) {
	if last := r.last[g]; last == Offline || last == Fail {
		return
	}
	for _, d := range r.chain[g] {
		if d.Kind == policy.Withdraw {
			reason, message = string(d.Reason), d.Note
			break
		}
	}
	verb := Offline
	if stays {
		verb = Fail
	}
	r.add(Action{Group: g.String(), Action: verb, From: from, Reason: reason, Message: message}, g)
}
