// Package standin has the agents of simulated clusters, as far as policy meets them: what an agent knows and reports of a group, and what
// it does about an assignment. They are simple and correct: they start what is assigned to them when no earlier owner can be running it
// any more, and stop and release what is taken from them. The scenarios and the command line's what-if use the same ones.
package standin

import (
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Local is an agent's knowledge of one group. The zero value knows nothing.
type Local struct {
	// Generation is the life of the node that the entry is about.
	Generation                       model.Generation
	Running, Released, Floor, Proven model.Epoch
	// Failing names a resource that failed past its restarts, at FailedAt; empty when none has. FailedNetwork is the network whose loss was why.
	Failing       string
	FailedAt      time.Time
	FailedNetwork string
}

// Did says what an agent did when it looked at a group.
type Did string

// What an agent may do. Kept and Restarted take over a new epoch: the group ran already, well or not.
const (
	Nothing   Did = ""
	Started   Did = "started"
	Kept      Did = "kept"
	Restarted Did = "restarted"
	Stopped   Did = "stopped"
	Released  Did = "released"
	Proved    Did = "proved"
)

// Concerned says that an agent has anything to do with a group: the assignment names its node as owner, or as an owner that was.
func Concerned(node string, id model.NodeID, a *model.Assignment) bool {
	return a.Node == node || slices.ContainsFunc(a.Unproven, func(o model.Owner) bool { return o.ID == id })
}

// Report is what the agent tells of the group.
func (l *Local) Report(node string, id model.NodeID) model.OwnerReport {
	r := model.OwnerReport{
		Node: node, ID: id, Generation: l.Generation, Running: l.Running, Released: l.Released, Floor: l.Floor, Proven: l.Proven,
	}
	if l.Failing != "" {
		r.FailoverWanted, r.FailoverEpoch, r.FailedAt, r.FailedNetwork = l.Failing, l.Running, l.FailedAt, l.FailedNetwork
	}
	return r
}

// Begin starts a new life of the node: what ran in the old one is gone.
func (l *Local) Begin(generation model.Generation) {
	l.Generation, l.Running, l.Proven, l.Failing = generation, 0, 0, ""
}

// Look lets the agent of a node, in its present life, look at the assignment once. wait says that another host may still run the group;
// holdProof keeps the agent from proving earlier owners harmless.
func (l *Local) Look(node string, self model.Member, a *model.Assignment, wait, holdProof bool) Did {
	if a.Node == node && a.Generation == self.Generation {
		return l.obey(a, wait, holdProof)
	}
	if a.Epoch <= max(l.Running, l.Released) {
		return Nothing
	}
	ran := l.Running > 0
	l.Running, l.Failing, l.Proven = 0, "", 0
	l.Released, l.Floor = a.Epoch, max(l.Floor, a.Epoch)
	if ran {
		return Stopped
	}
	if slices.ContainsFunc(a.Unproven, func(o model.Owner) bool { return o.ID == self.ID && o.Generation == self.Generation }) {
		return Released
	}
	return Nothing
}

// obey starts a group that is assigned to the node, or goes on with it at its new epoch.
func (l *Local) obey(a *model.Assignment, wait, holdProof bool) Did {
	if a.Epoch <= l.Running || a.Epoch <= l.Released || a.Epoch < l.Floor || wait {
		if a.Epoch == l.Running && l.Proven < a.Epoch && !holdProof {
			l.Proven = a.Epoch
			return Proved
		}
		return Nothing
	}
	did := Started
	if l.Running > 0 {
		did = Kept
		if l.Failing != "" {
			did = Restarted
		}
	}
	l.Running, l.Floor, l.Failing = a.Epoch, a.Epoch, ""
	if !holdProof {
		l.Proven = a.Epoch
	}
	return did
}
