package show

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/replay"
)

// Explained is what there is to say of a group.
type Explained struct {
	Group string `json:"group"`
	State string `json:"state"`
	// Owner is the node that the group is assigned to; empty for none.
	Owner string `json:"owner"`
	// Reason and Message say what the group waits for; empty when it waits for nothing.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// NextFailback is when the group will be failed back if nothing changes.
	NextFailback *time.Time `json:"nextFailback,omitempty"`
	Nodes        []Verdict  `json:"nodes"`
}

// Verdict is what is said of one node as a place for the group.
type Verdict struct {
	Node     string `json:"node"`
	Owner    bool   `json:"owner"`
	Eligible bool   `json:"eligible"`
	// Rank is 1 for the node that would be asked first; 0 for one that may not take the group.
	Rank    int      `json:"rank"`
	Reasons []string `json:"reasons"`
	Message string   `json:"message"`
}

// Explain puts together what the plan and the candidates say of the group, which must be in the snapshot.
func Explain(s *model.Snapshot, key model.GroupKey, plan policy.Result, candidates []policy.Candidate) *Explained {
	var g *model.Group
	for i := range s.Groups {
		if s.Groups[i].Key == key {
			g = &s.Groups[i]
		}
	}
	note := plan.Groups[key]
	e := &Explained{
		Group: key.String(), State: string(g.State), Owner: g.Assignment.Node, Reason: string(note.Reason), Message: note.Message, Nodes: []Verdict{},
	}
	if !note.NextFailback.IsZero() {
		e.NextFailback = &note.NextFailback
	}
	for _, c := range candidates {
		v := Verdict{Node: c.Node, Owner: has(g, c.Node), Eligible: c.Eligible, Rank: c.Rank, Reasons: []string{}, Message: c.Message}
		for _, r := range c.Reasons {
			v.Reasons = append(v.Reasons, string(r))
		}
		if v.Eligible {
			v.Message = sentence(g, &v)
		}
		e.Nodes = append(e.Nodes, v)
	}
	if candidates == nil {
		for i := range s.Nodes {
			e.Nodes = append(e.Nodes, Verdict{Node: s.Nodes[i].Name, Owner: has(g, s.Nodes[i].Name), Reasons: []string{string(model.ReasonNoQuorum)},
				Message: "nothing is decided without a quorate view"})
		}
	}
	return e
}

func has(g *model.Group, node string) bool {
	for i := range g.Members {
		if g.Members[i].Node == node && !g.Members[i].Withdrawn {
			return true
		}
	}
	return g.Assignment.Node == node
}

// sentence is for a node that may take the group: why the first one comes before it is its message so far.
func sentence(g *model.Group, v *Verdict) string {
	since := ""
	if v.Message != "" {
		since = ", since " + v.Message
	}
	switch {
	case v.Owner:
		return v.Node + " has the group, and may keep it"
	case g.Assignment.Node != "":
		return fmt.Sprintf("%s may take the group: it is number %d if %s fails%s", v.Node, v.Rank, g.Assignment.Node, since)
	}
	return fmt.Sprintf("%s may take the group: it is number %d%s", v.Node, v.Rank, since)
}

// Explanation writes it for people.
func Explanation(w io.Writer, e *Explained) error {
	out := &writer{w: w}
	place := "nowhere"
	if e.Owner != "" {
		place = "on " + e.Owner
	}
	out.printf("%s: %s, %s\n", e.Group, e.State, place)
	if e.Reason != "" {
		out.printf("it waits (%s): %s\n", e.Reason, e.Message)
	}
	if e.NextFailback != nil {
		out.printf("it is failed back at %s\n", e.NextFailback.Format(time.RFC3339))
	}
	out.printf("\n")
	if out.err != nil {
		return out.err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	rows := []string{"NODE\tRANK\tVERDICT\tBECAUSE"}
	for _, v := range e.Nodes {
		rank, verdict := "-", strings.Join(v.Reasons, ",")
		if v.Eligible {
			rank, verdict = fmt.Sprint(v.Rank), "Eligible"
		}
		if v.Owner {
			verdict = strings.TrimSuffix("Owner,"+strings.TrimPrefix(verdict, "Eligible"), ",")
		}
		rows = append(rows, strings.Join([]string{v.Node, rank, verdict, v.Message}, "\t"))
	}
	if _, err := fmt.Fprintln(table, strings.Join(rows, "\n")); err != nil {
		return err
	}
	return table.Flush()
}

// Replay is what became of a decision that was made again.
type Replay struct {
	// Version is that of the program that decided then.
	Version     string              `json:"version"`
	Time        time.Time           `json:"time"`
	Decisions   []Decided           `json:"decisions"`
	Agrees      bool                `json:"agrees"`
	Differences []replay.Difference `json:"differences"`
}

// Decided is a decision in short.
type Decided struct {
	Group  string `json:"group"`
	Kind   string `json:"kind"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
	Note   string `json:"note"`
}

// NewReplay puts together what is decided now.
func NewReplay(r *replay.Record, decisions []policy.Decision, differences []replay.Difference) *Replay {
	out := &Replay{Version: r.Version, Time: r.Time, Decisions: []Decided{}, Agrees: len(differences) == 0, Differences: differences}
	if differences == nil {
		out.Differences = []replay.Difference{}
	}
	for i := range decisions {
		out.Decisions = append(out.Decisions, decided(&decisions[i]))
	}
	return out
}

func decided(d *policy.Decision) Decided {
	to := d.Assignment.Node
	if d.Kind == policy.Withdraw {
		to = d.Assignment.Target
	}
	return Decided{Group: d.Group.String(), Kind: string(d.Kind), From: d.From, To: to, Reason: string(d.Reason), Note: d.Note}
}

// Replayed writes it for people.
func Replayed(w io.Writer, r *Replay) error {
	out := &writer{w: w}
	out.printf("decided at %s by version %s; decided again:\n", r.Time.UTC().Format(time.RFC3339Nano), r.Version)
	for _, d := range r.Decisions {
		out.decision(d)
	}
	if len(r.Decisions) == 0 {
		out.printf("  nothing\n")
	}
	if r.Agrees {
		out.printf("This agrees with what was recorded.\n")
		return out.err
	}
	out.printf("This DIFFERS from what was recorded:\n")
	for _, d := range r.Differences {
		if d.Recorded == nil {
			out.printf("  %s: nothing was decided\n", d.Group)
			continue
		}
		out.decision(decided(d.Recorded))
	}
	return out.err
}

func (o *writer) decision(d Decided) {
	o.printf("  %-8s %s %s -> %s (%s)\n           %s\n", d.Kind, d.Group, orDash(d.From), orDash(d.To), d.Reason, d.Note)
}
