package status

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/snapshot"
)

// recordFailover begins, or carries on, the record of an unplanned move. A failover from a living owner has two steps, a withdrawal
// and an assignment; they share one record.
func recordFailover(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	d := f.Decision
	if !d.Unplanned || d.Reason == model.ReasonRetry { // a retry in place is no move
		return
	}
	to := d.Assignment.Node
	if d.Kind == policy.Withdraw {
		to = d.Assignment.Target
	}
	if last, before := st.LastFailover, st.Assignment; d.Kind == policy.Assign && last != nil && before != nil &&
		before.Node == "" && last.Epoch == before.Epoch && last.Phases.Online == nil {
		last.To, last.Epoch = to, int64(d.Assignment.Epoch)
		if before.Time != nil {
			last.Phases.Fence = span(f.Now.Sub(before.Time.Time))
		}
		last.Proofs = stopProofs(before, f.Model.Reports)
		return
	}
	st.LastFailover = &v1alpha1.FailoverRecord{
		From: d.From, To: to, Epoch: int64(d.Assignment.Epoch), Reason: string(d.Reason), Time: second(d.Assignment.Time),
		Phases: firstPhases(f),
	}
}

// stopProofs are the proofs for the whole group that its withdrawal brought.
func stopProofs(withdrawal *v1alpha1.Assignment, reports []model.OwnerReport) []v1alpha1.Proof {
	graceful := slices.ContainsFunc(reports, func(r model.OwnerReport) bool { return int64(r.Released) >= withdrawal.Epoch })
	if !graceful {
		return nil
	}
	return []v1alpha1.Proof{{Type: v1alpha1.ProofGracefulStop}}
}

// maxDecide is beyond what a decision can take: a longer time means that two hosts' clocks differ.
const maxDecide = time.Minute

// firstPhases are detect and decide. The view's installation is told by the reporter's clock, so a time that makes no sense is left
// out.
func firstPhases(f *GroupFacts) v1alpha1.FailoverPhases {
	var phases v1alpha1.FailoverPhases
	since := time.Time{}
	if f.Decision.Reason == model.ReasonResourceFailed {
		for _, r := range f.Model.Reports {
			if r.FailoverWanted != "" && r.FailoverEpoch == f.Model.Assignment.Epoch {
				since = r.FailedAt
			}
		}
		// Reports tell failures to the second.
		if decide := f.Now.Sub(since); !since.IsZero() && decide > time.Second && decide < maxDecide {
			phases.Decide = span(decide)
		}
		return phases
	}
	if f.View == nil {
		return phases
	}
	phases.Detect = span(f.View.Detect)
	if decide := f.Now.Sub(f.View.Installed); !f.View.Installed.IsZero() && decide >= 0 && decide < maxDecide {
		phases.Decide = span(decide)
	}
	return phases
}

// foldReport completes the record with what the new owner reports: proofs as soon as all are there, the last two phases once, when
// everything is online.
func foldReport(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	last, a := st.LastFailover, st.Assignment
	if last == nil || a == nil || a.Node == "" || last.Epoch != a.Epoch || last.Phases.Online != nil || f.Owner == nil {
		return
	}
	report := snapshot.AgentReport(f.Owner, string(f.Group.UID))
	if report == nil || report.Epoch != a.Epoch {
		return
	}
	if report.ProvenEpoch == a.Epoch {
		for _, proof := range report.Proofs {
			if !slices.Contains(last.Proofs, proof) {
				last.Proofs = append(last.Proofs, proof)
			}
		}
	}
	if report.Online == nil {
		return
	}
	phases := &last.Phases
	phases.Online = report.Online
	if report.Fence != nil {
		phases.Fence = span(length(phases.Fence) + report.Fence.Duration)
	}
	phases.Total = span(length(phases.Detect) + length(phases.Decide) + length(phases.Fence) + length(phases.Online))
}

func span(d time.Duration) *metav1.Duration {
	return &metav1.Duration{Duration: d.Truncate(time.Microsecond)}
}

func length(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}

// recordMove records a planned move, whoever asked for it, and what became of an operator's request.
func recordMove(st *v1alpha1.ResourceGroupStatus, f *GroupFacts) {
	d := f.Decision
	moved := d.Kind == policy.Assign || d.Kind == policy.Withdraw
	if d.Move == nil && (!moved || d.Unplanned || d.From == "" || d.Kind == policy.Withdraw && d.Assignment.Target == "") {
		return
	}
	record := &v1alpha1.MoveRecord{
		From: d.From, To: d.Assignment.Target, Epoch: int64(d.Assignment.Epoch), Time: second(f.Now), Outcome: v1alpha1.MovePending,
	}
	if d.Kind == policy.Assign {
		record.To, record.Outcome = d.Assignment.Node, v1alpha1.MoveCompleted
	}
	// The second step of a move belongs to the record that the first one began.
	if last := st.LastMove; d.Kind == policy.Assign && last != nil && last.Outcome == v1alpha1.MovePending {
		record.Token, record.Time = last.Token, last.Time
		if record.From == "" {
			record.From = last.From
		}
	}
	if d.Move != nil {
		record.Outcome, record.Message = outcome(d.Move.Outcome), bounded(d.Move.Message)
		record.To = noteOr(d.Move.Target, record.To)
		record.Token = noteOr(d.Move.Token, record.Token)
		useToken(st, record.Token)
	}
	st.LastMove = record
}

func outcome(o policy.Outcome) v1alpha1.MoveOutcome {
	switch o {
	case policy.MoveAccepted:
		return v1alpha1.MovePending
	case policy.MoveDone:
		return v1alpha1.MoveCompleted
	case policy.MoveRefused:
		return v1alpha1.MoveRefused
	case policy.MoveDiverted:
		return v1alpha1.MoveFailed
	}
	return v1alpha1.MoveFailed
}

func useToken(st *v1alpha1.ResourceGroupStatus, token string) {
	if token == "" || slices.Contains(st.UsedMoveTokens, token) {
		return
	}
	st.UsedMoveTokens = append(st.UsedMoveTokens, token)
	st.UsedMoveTokens = st.UsedMoveTokens[max(0, len(st.UsedMoveTokens)-v1alpha1.MaxUsedMoveTokens):]
}
