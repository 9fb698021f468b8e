package pacemaker

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// corosync is a corosync.conf: sections of settings, by corosync.conf(5).
type corosync struct {
	settings []setting
	nodes    []map[string]string
}

// setting is one value under the path of its sections, such as quorum.two_node.
type setting struct {
	path, value string
	line        int
}

// value returns the last value of a path, as corosync does.
func (c *corosync) value(path string) string {
	if c == nil {
		return ""
	}
	for i := len(c.settings) - 1; i >= 0; i-- {
		if c.settings[i].path == path {
			return c.settings[i].value
		}
	}
	return ""
}

// at is the report's element for a setting.
func (c *corosync) at(path string) *element {
	if c == nil {
		return nil
	}
	for i := len(c.settings) - 1; i >= 0; i-- {
		if c.settings[i].path == path {
			return &element{name: "corosync.conf", attrs: map[string]string{"id": path}, line: c.settings[i].line}
		}
	}
	return nil
}

// parseCorosync reads the text: `name {`, `}`, `name: value`, comments on lines of their own.
func parseCorosync(data []byte) (*corosync, error) {
	c := &corosync{}
	var open []string
	line := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		line++
		text = strings.TrimSpace(text)
		if err := legibleLine(line, text); err != nil {
			return nil, err
		}
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasSuffix(text, "{"):
			name := strings.TrimSpace(strings.TrimSuffix(text, "{"))
			if name == "" || strings.ContainsAny(name, ":{}") {
				return nil, wrong(line, "a section without a name: %q", bounded(text, 60))
			}
			open = append(open, name)
			if len(open) > maxDepth {
				return nil, wrong(line, "sections are nested more than %d deep", maxDepth)
			}
			if slices.Equal(open, []string{"nodelist", "node"}) {
				c.nodes = append(c.nodes, map[string]string{})
			}
		case text == "}":
			if len(open) == 0 {
				return nil, wrong(line, "a } too many")
			}
			open = open[:len(open)-1]
		default:
			if err := c.set(open, text, line); err != nil {
				return nil, err
			}
		}
	}
	if len(open) > 0 {
		return nil, wrong(line, "the section %s is not closed", strings.Join(open, "."))
	}
	return c, nil
}

// set takes the text of a setting inside of the open sections.
func (c *corosync) set(open []string, text string, line int) error {
	name, value, ok := strings.Cut(text, ":")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return wrong(line, "neither a section nor a setting (`name: value`): %q", bounded(text, 60))
	}
	value = strings.TrimSpace(value)
	c.settings = append(c.settings, setting{strings.Join(append(slices.Clone(open), name), "."), value, line})
	if slices.Equal(open, []string{"nodelist", "node"}) {
		c.nodes[len(c.nodes)-1][name] = value
	}
	return nil
}

// legibleLine refuses a line that no manifest could repeat; comments are not repeated.
func legibleLine(line int, text string) error {
	r, found := illegible(text)
	switch {
	case strings.HasPrefix(text, "#"):
	case !utf8.ValidString(text):
		return wrong(line, "this is not UTF-8: convert the file first, for instance with iconv")
	case found:
		return wrong(line, "the character %U, which no manifest can have: take it out", r)
	}
	return nil
}

// rings are the addresses of a node by the number of the ring, by its name or, where corosync knows none, by its id.
func (c *corosync) rings(n *node) map[string]string {
	if c == nil {
		return nil
	}
	for _, entry := range c.nodes {
		if entry["name"] != n.name && (entry["name"] != "" || entry["nodeid"] != n.id) && entry["ring0_addr"] != n.name {
			continue
		}
		rings := map[string]string{}
		for name, value := range entry {
			if number, ok := strings.CutPrefix(name, "ring"); ok && strings.HasSuffix(number, "_addr") {
				rings["ring"+strings.TrimSuffix(number, "_addr")] = value
			}
		}
		return rings
	}
	return nil
}
