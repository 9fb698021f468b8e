package show

import (
	"io"
	"time"

	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/replay"
)

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
