// Package show writes the results of a what-if, and explanations, for people.
package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/quorate/quorate/pkg/whatif"
)

// Result writes every step with its actions and what is without a home, then where everything is.
func Result(w io.Writer, r *whatif.Result) error {
	out := &writer{w: w}
	for i := range r.Steps {
		if i > 0 {
			out.printf("\n")
		}
		out.step(&r.Steps[i])
	}
	out.printf("\n")
	out.placement(r.Placement)
	return out.err
}

// Cases writes one line for each failure that was tried, and below them why what would be without a home would be.
func Cases(w io.Writer, steps []whatif.Step) error {
	out := &writer{w: w}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, out.err = fmt.Fprintln(table, "EVENT\tQUORUM\tMOVES\tWITHOUT A HOME")
	for i := range steps {
		s := &steps[i]
		var moves []string
		for _, a := range s.Actions {
			if a.To != "" {
				moves = append(moves, fmt.Sprintf("%s %s->%s", a.Group, orDash(a.From), a.To))
			}
		}
		home := slices.Sorted(maps.Keys(s.Unplaced))
		if !s.Quorate {
			home = []string{"every group: there is no quorum"}
		}
		if out.err == nil {
			_, out.err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Event, yesNo(s.Quorate), orDash(strings.Join(moves, ", ")), orDash(strings.Join(home, ", ")))
		}
	}
	if out.err == nil {
		out.err = table.Flush()
	}
	for i := range steps {
		if s := &steps[i]; s.Quorate && len(s.Unplaced) > 0 {
			out.printf("\n%s\n", s.Event)
			out.unplaced(s.Unplaced)
		}
	}
	return out.err
}

// writer keeps the first error.
type writer struct {
	w   io.Writer
	err error
}

func (o *writer) printf(format string, args ...any) {
	if o.err == nil {
		_, o.err = fmt.Fprintf(o.w, format, args...)
	}
}

func (o *writer) step(s *whatif.Step) {
	quorum := ""
	if !s.Quorate {
		quorum = ", no quorum"
	}
	o.printf("%s%s\n", s.Event, quorum)
	if len(s.Actions) == 0 {
		o.printf("  nothing happens\n")
	}
	for _, a := range s.Actions {
		way := a.From + " -> " + a.To
		switch {
		case a.From == a.To:
			way = "on " + a.To
		case a.From == "":
			way = "on " + a.To
		case a.To == "":
			way = "from " + a.From
		}
		o.printf("  %-8s %s %s (%s)\n", a.Action, a.Group, way, a.Reason)
		if a.Message != "" {
			o.printf("           %s\n", a.Message)
		}
	}
	o.unplaced(s.Unplaced)
}

func (o *writer) unplaced(list map[string]whatif.Unplaced) {
	for _, group := range slices.Sorted(maps.Keys(list)) {
		u := list[group]
		o.printf("  Without a home: %s (%s)\n", group, u.Reason)
		if u.Message != "" {
			o.printf("           %s\n", u.Message)
		}
		var nodes []string
		for _, n := range slices.Sorted(maps.Keys(u.Nodes)) {
			nodes = append(nodes, n+": "+u.Nodes[n])
		}
		o.printf("           %s\n", strings.Join(nodes, ", "))
	}
}

// placement writes the groups by node.
func (o *writer) placement(placement map[string]string) {
	byNode := map[string][]string{}
	for group, node := range placement {
		byNode[node] = append(byNode[node], group)
	}
	if len(byNode) == 0 {
		o.printf("No group is online.\n")
	}
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		slices.Sort(byNode[node])
		o.printf("%s: %s\n", node, strings.Join(byNode[node], ", "))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
