package pacemaker

import (
	"fmt"
	"strings"
)

// maxName is the longest name of an object: a DNS label.
const maxName = 63

// label makes a DNS label of an id: lower case, with - for what a label may not have.
func label(id string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(id) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String()[:min(b.Len(), maxName)], "-")
	if name == "" {
		return "x"
	}
	return name
}

// className makes the name of an anti-affinity class of an id: what labels may have, and upper case, dots and underscores.
func className(id string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, id)
	if len(kept) > maxName {
		kept = kept[len(kept)-maxName:]
	}
	if kept = strings.Trim(kept, "-_."); kept == "" {
		return "apart"
	}
	return kept
}

// names gives each id of one kind of object a name of its own.
type names struct {
	kind  string
	byID  map[string]string
	taken map[string]bool
}

func newNames(kind string) *names {
	return &names{kind: kind, byID: map[string]string{}, taken: map[string]bool{}}
}

// of returns the name for an id, always the same. A name that differs from the id is reported.
func (n *names) of(report *Report, e *element, id string) string {
	if name, ok := n.byID[id]; ok {
		return name
	}
	base := label(id)
	name := base
	for i := 2; n.taken[name]; i++ {
		suffix := fmt.Sprintf("-%d", i)
		name = base[:min(len(base), maxName-len(suffix))] + suffix
	}
	n.taken[name], n.byID[id] = true, name
	if name != id {
		do := ""
		if n.kind == "Node" {
			do = "spec.hostName has the name of the host; rename the Node as you like, here and in every list of owners"
		}
		report.add(Note, e, do, "became %s %s: names of objects are DNS labels", n.kind, name)
	}
	return name
}

// bounded cuts a text to so many bytes, at a character.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-3], "") + "..."
}
