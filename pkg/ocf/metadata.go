package ocf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/nearest"
)

// maxMetadata bounds what an agent may print about itself, in bytes.
const maxMetadata = 1 << 20

// Metadata is what an agent says about itself.
type Metadata struct {
	// Name and Version are the agent's own.
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// ShortDescription is a line, Description a text of several.
	ShortDescription string      `json:"shortDescription,omitempty"`
	Description      string      `json:"description,omitempty"`
	Parameters       []Parameter `json:"parameters,omitempty"`
	Actions          []Action    `json:"actions,omitempty"`
}

// Parameter is one that an agent takes.
type Parameter struct {
	Name string `json:"name"`
	// Type of the content: string, integer, boolean, or another of the agent's own.
	Type     string `json:"type,omitempty"`
	Required bool   `json:"required,omitempty"`
	// Unique says that no two resources of the cluster may have the same value.
	Unique           bool   `json:"unique,omitempty"`
	Default          string `json:"default,omitempty"`
	ShortDescription string `json:"shortDescription,omitempty"`
	Description      string `json:"description,omitempty"`
	// Deprecated parameters are still taken.
	Deprecated bool `json:"deprecated,omitempty"`
	// Options are the values that a parameter of type select takes.
	Options []string `json:"options,omitempty"`
}

// Action is one that an agent knows. Timeout and Interval are what it advises; 0 for no advice.
type Action struct {
	Name     string        `json:"name"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Depth    int           `json:"depth,omitempty"`
	Role     string        `json:"role,omitempty"`
}

// document is the meta-data's XML (ra-api-1.dtd, and what agents make of it).
type document struct {
	XMLName    xml.Name `xml:"resource-agent"`
	Name       string   `xml:"name,attr"`
	Attribute  string   `xml:"version,attr"`
	Version    string   `xml:"version"`
	Short      string   `xml:"shortdesc"`
	Long       string   `xml:"longdesc"`
	Parameters []struct {
		Name       string    `xml:"name,attr"`
		Unique     string    `xml:"unique,attr"`
		Group      string    `xml:"unique-group,attr"`
		Required   string    `xml:"required,attr"`
		Short      string    `xml:"shortdesc"`
		Long       string    `xml:"longdesc"`
		Deprecated *struct{} `xml:"deprecated"`
		Content    struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name     string `xml:"name,attr"`
		Timeout  string `xml:"timeout,attr"`
		Interval string `xml:"interval,attr"`
		Depth    string `xml:"depth,attr"`
		Role     string `xml:"role,attr"`
	} `xml:"actions>action"`
}

// ParseMetadata reads what the action meta-data has printed. Errors say what is wrong with it.
func ParseMetadata(raw []byte) (*Metadata, error) {
	if len(raw) > maxMetadata {
		return nil, fmt.Errorf("the meta-data has more than %d bytes", maxMetadata)
	}
	var d document
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // what is no UTF-8 is replaced below
	decoder.Strict = true
	if err := decoder.Decode(&d); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the meta-data is empty")
		}
		return nil, fmt.Errorf("the meta-data is no resource-agent document: %w", err)
	}
	if d.Name == "" {
		return nil, errors.New("the meta-data has no name")
	}
	m := &Metadata{Name: clean(d.Name), Version: clean(firstOf(d.Version, d.Attribute)), ShortDescription: line(d.Short), Description: clean(d.Long)}
	for _, p := range d.Parameters {
		if p.Name == "" {
			return nil, errors.New("the meta-data has a parameter without a name")
		}
		q := Parameter{
			Name: clean(p.Name), Type: clean(p.Content.Type), Default: clean(p.Content.Default), Required: truth(p.Required),
			Unique: truth(p.Unique) || p.Group != "", ShortDescription: line(p.Short), Description: clean(p.Long), Deprecated: p.Deprecated != nil,
		}
		for _, o := range p.Content.Options {
			q.Options = append(q.Options, clean(o.Value))
		}
		m.Parameters = append(m.Parameters, q)
	}
	for _, a := range d.Actions {
		action := Action{Name: clean(a.Name), Role: clean(a.Role)}
		var err error
		if action.Timeout, err = duration(a.Timeout); err == nil {
			action.Interval, err = duration(a.Interval)
		}
		if err != nil {
			return nil, fmt.Errorf("the meta-data's action %q: %w", a.Name, err)
		}
		action.Depth, _ = strconv.Atoi(a.Depth) // left out by most, and only shown
		m.Actions = append(m.Actions, action)
	}
	return m, nil
}

func firstOf(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}

func clean(s string) string { return strings.ToValidUTF8(strings.TrimSpace(s), "?") }

// line makes one line of a text.
func line(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// truth is how agents write booleans (ocf_is_true).
func truth(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "yes", "true", "on", "ja", "y":
		return true
	}
	return false
}

// units are those that agents use; a number alone counts seconds.
var units = map[string]time.Duration{
	"": time.Second, "us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond, "s": time.Second,
	"sec": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour,
}

// maxAdvice bounds the times that agents may advise.
const maxAdvice = 30 * 24 * time.Hour

func duration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.ParseInt(s[:end], 10, 32)
	unit, known := units[strings.ToLower(strings.TrimSpace(s[end:]))]
	if err != nil || !known || time.Duration(n) > maxAdvice/unit {
		return 0, fmt.Errorf("%q is no time", s)
	}
	return time.Duration(n) * unit, nil
}

// Advised is the time that the agent advises for an action: the longest, if it names several; 0 for none.
func (m *Metadata) Advised(action string) time.Duration {
	var longest time.Duration
	for _, a := range m.Actions {
		if a.Name == action {
			longest = max(longest, a.Timeout)
		}
	}
	return longest
}

// Has says that the agent knows the action.
func (m *Metadata) Has(action string) bool {
	return slices.ContainsFunc(m.Actions, func(a Action) bool { return a.Name == action })
}

// CheckParameters says all that is wrong with the parameters of a resource: unknown names with the nearest known one, required ones that are
// missing, values that are no integer, boolean or option.
func (m *Metadata) CheckParameters(given map[string]string) []error {
	var wrong []error
	names := make([]string, 0, len(m.Parameters))
	for i := range m.Parameters {
		p := &m.Parameters[i]
		names = append(names, p.Name)
		value, found := given[p.Name]
		if !found {
			if p.Required && p.Default == "" {
				wrong = append(wrong, fmt.Errorf("parameter %s is missing: the agent %s needs it (%s)", p.Name, m.Name, p.ShortDescription))
			}
			continue
		}
		if err := p.check(value); err != nil {
			wrong = append(wrong, fmt.Errorf("parameter %s: %w", p.Name, err))
		}
	}
	unknown := []string{}
	for name := range given {
		if !slices.Contains(names, name) && name != checkLevel {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		text := fmt.Sprintf("the agent %s has no parameter %s", m.Name, name)
		if near := nearest.To(name, names); near != "" {
			text += ": did you mean " + near + "?"
		}
		wrong = append(wrong, errors.New(text))
	}
	return wrong
}

func (p *Parameter) check(value string) error {
	switch p.Type {
	case "integer":
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return fmt.Errorf("%q is no integer", value)
		}
	case "boolean":
		switch strings.ToLower(value) {
		case "1", "yes", "true", "on", "ja", "y", "0", "no", "false", "off", "n", "":
		default:
			return fmt.Errorf("%q is no boolean: use true or false", value)
		}
	case "select":
		if len(p.Options) > 0 && !slices.Contains(p.Options, value) {
			return fmt.Errorf("%q is none of %s", value, strings.Join(p.Options, ", "))
		}
	}
	return nil
}
