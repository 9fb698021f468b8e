package polictest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
)

// formatDecision writes a decision as one line.
func formatDecision(g *model.Group, d policy.Decision) string {
	var b strings.Builder
	a := d.Assignment
	switch d.Kind {
	case policy.Assign:
		fmt.Fprintf(&b, "assign    %s %s -> %s epoch %d %s", d.Group.Name, orDash(d.From), a.Node, a.Epoch, d.Reason)
	case policy.Withdraw:
		fmt.Fprintf(&b, "withdraw  %s %s -> %s epoch %d %s", d.Group.Name, orDash(d.From), orDash(a.Target), a.Epoch, d.Reason)
	case policy.Balance:
		formatChanges(&b, d)
	case policy.Settle:
		fmt.Fprintf(&b, "settle    %s", d.Group.Name)
		for _, o := range g.Assignment.Unproven {
			if !slices.Contains(a.Unproven, o) {
				fmt.Fprintf(&b, " proven %s", formatOwner(o))
			}
		}
	default:
		fmt.Fprintf(&b, "%-9s %s %s", strings.ToLower(string(d.Kind)), d.Group.Name, d.Reason)
	}
	for _, o := range a.Unproven {
		if d.Kind == policy.Assign || d.Kind == policy.Withdraw || d.Kind == policy.Settle {
			fmt.Fprintf(&b, " unproven %s", formatOwner(o))
		}
	}
	if d.Failure != nil {
		fmt.Fprintf(&b, " failure %s", d.Failure.Node)
		if d.Failure.Resource != "" {
			fmt.Fprintf(&b, "/%s", d.Failure.Resource)
		}
	}
	if d.ResetFailures {
		b.WriteString(" reset-failures")
	}
	if d.Move != nil {
		fmt.Fprintf(&b, " move %s(%s)", d.Move.Outcome, d.Move.Target)
	}
	return b.String()
}

// formatDetails writes what formatDecision leaves out, one thing on a line.
func formatDetails(d policy.Decision) []string {
	kind := "planned"
	if d.Unplanned {
		kind = "unplanned"
	}
	out := []string{fmt.Sprintf("%s %s", kind, d.Reason)}
	switch {
	case d.Placed != nil && d.Placed.ByOperator:
		out = append(out, "placed by an operator at "+formatTime(d.Placed.At))
	case d.Placed != nil:
		out = append(out, "an operator's placement ends")
	}
	switch {
	case d.FailedSince != nil && d.FailedSince.IsZero():
		out = append(out, "given up no more")
	case d.FailedSince != nil:
		out = append(out, "given up at "+formatTime(*d.FailedSince))
	}
	if d.Move != nil && d.Move.Message != "" {
		out = append(out, "move: "+d.Move.Message)
	}
	return append(out, "note: "+d.Note)
}

// formatChanges writes what becomes of each member, as kind node@epoch reason.
func formatChanges(b *strings.Builder, d policy.Decision) {
	fmt.Fprintf(b, "balance   %s", d.Group.Name)
	for i, c := range d.Changes {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(b, " %s %s@%d %s", strings.ToLower(string(c.Kind)), c.Node, c.Epoch, c.Reason)
	}
}

// formatOwner writes an owner as node.generation@epoch.
func formatOwner(o model.Owner) string { return fmt.Sprintf("%s.%d@%d", o.Node, o.Generation, o.Epoch) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// formatNotes writes what groups wait for, and when they are failed back, one line each, by name.
func formatNotes(r policy.Result) []string {
	var lines []string
	for key, n := range r.Groups {
		if n.Reason != "" {
			lines = append(lines, fmt.Sprintf("waits     %s %s", key.Name, n.Reason))
		}
		if !n.NextFailback.IsZero() {
			lines = append(lines, fmt.Sprintf("failback  %s at %s", key.Name, formatTime(n.NextFailback)))
		}
	}
	slices.Sort(lines)
	return lines
}

// formatTime writes a time of the scenario: days since its start and the time of day, in UTC.
func formatTime(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("day %d %s", t.YearDay(), t.Format("15:04"))
}

// formatState writes where a group is.
func (w *World) formatState(g *group) string {
	line := fmt.Sprintf("%s %s", g.Key.Name, w.state(g))
	switch a := g.Assignment; {
	case g.Mode == model.ModeLoadBalanced:
		line += fmt.Sprintf(" at epoch %d", a.Epoch)
		for _, m := range w.members(g) {
			line += fmt.Sprintf(" %s@%d:%s", m.Node, m.Epoch, m.State)
			if m.Withdrawn {
				line += ":withdrawn"
			}
		}
	case a.Node != "":
		line += fmt.Sprintf(" on %s epoch %d", a.Node, a.Epoch)
	case a.Epoch > 0:
		line += fmt.Sprintf(" withdrawn epoch %d", a.Epoch)
	default:
		line += " never assigned"
	}
	for _, o := range g.Assignment.Unproven {
		line += " unproven " + formatOwner(o)
	}
	if !g.FailedSince.IsZero() {
		line += " given-up"
	}
	if g.PlacedByOperator {
		line += " placed-by-operator"
	}
	if runners := w.Runners(g); len(runners) > 0 {
		line += " running on " + strings.Join(runners, ",")
	}
	return line
}

// formatCandidate writes a candidate.
func formatCandidate(c policy.Candidate) string {
	if c.Eligible {
		return fmt.Sprintf("%d. %s", c.Rank, c.Node)
	}
	reasons := make([]string, len(c.Reasons))
	for i, r := range c.Reasons {
		reasons[i] = string(r)
	}
	return fmt.Sprintf("-  %s %s", c.Node, strings.Join(reasons, ","))
}
