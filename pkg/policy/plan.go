package policy

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Kind says what a decision does to a group.
type Kind string

// Kinds of decisions.
const (
	// Assign gives the group to Assignment.Node at Assignment.Epoch.
	Assign Kind = "Assign"
	// Withdraw takes the group from its owner (rule O1): Assignment.Node is empty, the epoch is higher, and Unproven lists the
	// owner until it reports that it has released the group. Assignment.Target says where the group goes next, if anywhere.
	Withdraw Kind = "Withdraw"
	// Settle only shortens Assignment.Unproven because owners were proven harmless (rule O2). The epoch stays: nothing on a node
	// changes.
	Settle Kind = "Settle"
	// GiveUp marks the group Failed: it has failed over too often. It stays where it is. FailedSince is set.
	GiveUp Kind = "GiveUp"
	// Recover clears FailedSince, since the group is well again.
	Recover Kind = "Recover"
	// Balance changes the members of a group of mode LoadBalanced: Members is the whole new list, Changes says what differs.
	// Assignment keeps the count of the epochs: it names no node.
	Balance Kind = "Balance"
	// FinishMove changes nothing but the outcome of the operator's move request (Move is set).
	FinishMove Kind = "FinishMove"
)

// Result is what to do now, and when to look again.
type Result struct {
	// Decisions are at most one per group: those that free or take over first, then by priority and name.
	Decisions []Decision
	// Groups says more about those groups that need saying something of: why they wait, their candidates, their next failback.
	// A healthy group that nothing is due for has no entry.
	Groups map[model.GroupKey]GroupNote
	// NextCheck is the earliest time after now at which something may become due although nothing else changes; zero when never.
	NextCheck time.Time
}

// Decision is one change to one group's status. Carry it out with one write.
type Decision struct {
	Group model.GroupKey
	UID   string
	Kind  Kind
	// Reason is why; it is also in Assignment.Reason of an Assign or a Withdraw.
	Reason model.Reason
	// Assignment is the group's whole new assignment for Assign, Withdraw and Settle, and its present one otherwise.
	Assignment model.Assignment
	// Members and Changes are for Balance only, both in order of the nodes' names.
	Members []model.GroupMember
	Changes []MemberChange
	// From is the node that the group leaves or has left; empty when it was nowhere. It is set for a withdrawal and for the
	// assignment that follows one as far as it is still known.
	From string
	// Unplanned says that the decision is (a step of) a failover, not of a move that someone asked for.
	Unplanned bool
	// Failure is to be appended to the group's failures; nil when there is none.
	Failure *model.Failure
	// ResetFailures says that the recorded ResourceFailed failures count no more and are to be dropped, before Failure is
	// appended: the group begins its cycle of restarts and failovers again.
	ResetFailures bool
	// FailedSince is the new value of the group's FailedSince (the zero time clears it); nil leaves it.
	FailedSince *time.Time
	// Placed is the new value of PlacedByOperator and PlacedAt; nil leaves them.
	Placed *Placed
	// Move is what became of the operator's request, to be recorded; nil when none was touched. With a non-nil Move the request
	// (annotation) is done with and has to be removed.
	Move *MoveOutcome
	// Note is one sentence for an Event.
	Note string
}

// Placed says whether an operator's move put the group where it is, and when.
type Placed struct {
	ByOperator bool
	At         time.Time
}

// Outcome is what became of a move.
type Outcome string

// Outcomes of a move.
const (
	// MoveAccepted: the group was withdrawn and goes to Target as soon as its owner has released it.
	MoveAccepted Outcome = "Accepted"
	// MoveDone: the group was assigned to Target, or was there already.
	MoveDone Outcome = "Done"
	// MoveRefused: Target may not take the group; it stays where it is.
	MoveRefused Outcome = "Refused"
	// MoveDiverted: Target was lost on the way; the group was assigned elsewhere.
	MoveDiverted Outcome = "Diverted"
)

// MoveOutcome is the record of an operator's move.
type MoveOutcome struct {
	// Target is the node, with "best" resolved where that was possible.
	Target string
	// Token is the request's; empty when the request had none, and in the second step of a move (then it is the token that the
	// first step recorded).
	Token   string
	Outcome Outcome
	Message string
}

// GroupNote is what there is to say of a group that is not simply well.
type GroupNote struct {
	// Reason and Message say what the group waits for; both are empty when it waits for nothing.
	Reason  model.Reason
	Message string
	// Candidates are all nodes, if a node was looked for.
	Candidates Candidates
	// NextFailback is when the group will be failed back if nothing changes; zero when it will not.
	NextFailback time.Time
}
