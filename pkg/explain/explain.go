// Package explain says of every node why a group is, or is not, or may not be there, in the same words wherever it is asked: by kubectl
// quorate of the API server, and by quorate-agent of the agents.
package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/nearest"
	"github.com/quorate/quorate/pkg/policy"
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

// Of puts together what the plan and the candidates say of the group, which must be in the snapshot.
func Of(s *model.Snapshot, key model.GroupKey, plan policy.Result, candidates []policy.Candidate) *Explained {
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

// Write writes it for people.
func Write(w io.Writer, e *Explained) error {
	var head strings.Builder
	place := "nowhere"
	if e.Owner != "" {
		place = "on " + e.Owner
	}
	fmt.Fprintf(&head, "%s: %s, %s\n", e.Group, e.State, place)
	if e.Reason != "" {
		fmt.Fprintf(&head, "it waits (%s): %s\n", e.Reason, e.Message)
	}
	if e.NextFailback != nil {
		fmt.Fprintf(&head, "it is failed back at %s\n", e.NextFailback.Format(time.RFC3339))
	}
	if _, err := fmt.Fprintln(w, head.String()); err != nil {
		return err
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

// Only leaves the verdict on one node, and all of them when name is empty.
func (e *Explained) Only(name string) error {
	if name == "" {
		return nil
	}
	names := make([]string, 0, len(e.Nodes))
	for _, n := range e.Nodes {
		names = append(names, n.Node)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return fmt.Errorf("there is no node %q%s", name, nearest.Hint(name, names))
	}
	e.Nodes = e.Nodes[i : i+1]
	return nil
}

// ParseGroup reads what an operator calls a group: rg/NAME or NAME.
func ParseGroup(arg string) (name string, err error) {
	kind, name, found := strings.Cut(arg, "/")
	if !found {
		kind, name = "rg", arg
	}
	if known := []string{"rg", "resourcegroup", "resourcegroups"}; name == "" || !slices.Contains(known, strings.ToLower(kind)) {
		return "", fmt.Errorf("%q names no group: write rg/NAME, and the namespace with -n", arg)
	}
	return name, nil
}

// Find finds the group of that name among the keys: in the namespace, or in the only one that has it when that is empty.
func Find(keys []model.GroupKey, namespace, name string) (model.GroupKey, error) {
	var matches []model.GroupKey
	var names []string
	for _, key := range keys {
		if namespace == "" || key.Namespace == namespace {
			names = append(names, key.Name)
			if key.Name == name {
				matches = append(matches, key)
			}
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return model.GroupKey{}, fmt.Errorf("there is no group %q%s", name, nearest.Hint(name, names))
	}
	return model.GroupKey{}, fmt.Errorf("several namespaces have a group %q: name one with -n", name)
}
