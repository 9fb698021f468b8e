package pacemaker

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Severity says how much an entry of the report matters.
type Severity string

// Severities, most important first.
const (
	// Todo has to be done before the manifests are applied, or before the cluster works.
	Todo Severity = "Todo"
	// NotImported has no equivalent: it is not in the manifests.
	NotImported Severity = "NotImported"
	// Changed is in the manifests, and behaves in another way than Pacemaker's.
	Changed Severity = "Changed"
	// Note is worth knowing; nothing is to be done.
	Note Severity = "Note"
)

var severities = []Severity{Todo, NotImported, Changed, Note}

// Entry is one thing that was not simply taken over.
type Entry struct {
	Severity Severity `json:"severity"`
	// Element is the name of the XML element, or of the setting of corosync.conf; ID its id; Line where it is. Line is 0 for what is
	// about the whole.
	Element string `json:"element,omitempty"`
	ID      string `json:"id,omitempty"`
	Line    int    `json:"line,omitempty"`
	// What it is, and what to do about it.
	What string `json:"what"`
	Do   string `json:"do,omitempty"`
}

// Report is what an import has to tell.
type Report struct {
	Entries []Entry `json:"entries"`
}

func (r *Report) add(severity Severity, e *element, do, what string, args ...any) {
	entry := Entry{Severity: severity, What: fmt.Sprintf(what, args...), Do: do}
	if e != nil {
		entry.Element, entry.ID, entry.Line = e.name, e.id(), e.line
	}
	if !slices.Contains(r.Entries, entry) {
		r.Entries = append(r.Entries, entry)
	}
}

// Count returns how many entries of a severity there are.
func (r *Report) Count(severity Severity) int {
	count := 0
	for _, e := range r.Entries {
		if e.Severity == severity {
			count++
		}
	}
	return count
}

// sort orders the entries by importance, then by line.
func (r *Report) sort() {
	slices.SortStableFunc(r.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)), cmp.Compare(a.Line, b.Line))
	})
}

// Write prints the report for people.
func (r *Report) Write(out io.Writer) error {
	if len(r.Entries) == 0 {
		_, err := fmt.Fprintln(out, "Everything has an equivalent.")
		return err
	}
	var text strings.Builder
	text.WriteString("SEVERITY\tLINE\tELEMENT\tWHAT\n")
	for _, e := range r.Entries {
		line, name := "-", e.Element
		if e.Line > 0 {
			line = fmt.Sprint(e.Line)
		}
		if e.ID != "" {
			name += " " + e.ID
		}
		if name == "" {
			name = "-"
		}
		text.WriteString(strings.Join([]string{string(e.Severity), line, name, e.What}, "\t") + "\n")
		if e.Do != "" {
			text.WriteString("\t\t\t-> " + e.Do + "\n")
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, text.String()); err != nil {
		return err
	}
	return table.Flush()
}
