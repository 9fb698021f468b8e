// Package report writes the findings and verdicts of an audit, for people and for programs.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate/quorate/pkg/audit"
)

// Formats of the output.
const (
	Table = "table"
	JSON  = "json"
	YAML  = "yaml"
)

// Formats lists them, for completion.
var Formats = []string{Table, JSON, YAML}

// CheckFormat refuses a format that is not known.
func CheckFormat(format string) error {
	if !slices.Contains(Formats, format) {
		return fmt.Errorf("flag --output: %q is not one of %s", format, strings.Join(Formats, ", "))
	}
	return nil
}

// Value writes any value as JSON or YAML.
func Value(w io.Writer, value any, format string) error {
	if format == JSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	raw, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	_, err = w.Write(raw)
	return err
}

// Findings writes findings as they come: paragraphs for people, one line of JSON or one YAML document each for programs.
func Findings(w io.Writer, findings []audit.Finding, format string) error {
	for i := range findings {
		var err error
		switch format {
		case JSON:
			err = json.NewEncoder(w).Encode(findings[i])
		case YAML:
			if _, err = io.WriteString(w, "---\n"); err == nil {
				err = Value(w, findings[i], YAML)
			}
		default:
			_, err = io.WriteString(w, Text(&findings[i]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Verdict writes the result of an audit.
func Verdict(w io.Writer, v *audit.Verdict, format string) error {
	if format != Table {
		return Value(w, v, format)
	}
	var b strings.Builder
	for i := range v.Findings {
		b.WriteString(Text(&v.Findings[i]))
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, source := range slices.Sorted(maps.Keys(v.Seen)) {
		row := fmt.Sprintf("looked at %s\t%d times", source, v.Seen[source])
		if v.Blind[source] > 0 {
			row += fmt.Sprintf("\t%d times in vain", v.Blind[source])
		}
		if _, err := io.WriteString(table, row+"\n"); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, u := range v.Unseen {
		fmt.Fprintf(&b, "not seen: %s %s: %s\n", u.Source, u.Object, u.Message)
	}
	fmt.Fprintln(&b, v.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// Text is a finding for people: a paragraph.
func Text(f *audit.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s: %s\n", f.Invariant, strings.ToUpper(string(f.Severity)), f.Object, f.Message)
	ended := "and it lasts"
	if !f.Lasts {
		ended = "until " + clock(f.LastSeen)
	}
	fmt.Fprintf(&b, "    seen    from %s, in %d looks, %s\n", clock(f.FirstSeen), f.Looks, ended)
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "    %s  %-9s  %s\n", clock(e.Time), e.Source, e.Fact)
	}
	fmt.Fprintf(&b, "    to do   %s\n", f.Advice)
	return b.String()
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
