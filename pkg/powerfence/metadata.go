package powerfence

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	maxMetadata      = 256 << 10
	maxMetadataItems = 512
	// maxDepth bounds how deep elements are in each other.
	maxDepth = 16
)

// Metadata is what an agent says of itself.
type Metadata struct {
	Name string
	// Parameters by name, and whether each must be given.
	Parameters map[string]bool
	Actions    []string
	// Fabric says that it cuts off storage or a network port instead of power.
	Fabric bool
}

type agentXML struct {
	XMLName    xml.Name `xml:"resource-agent"`
	Name       string   `xml:"name,attr"`
	Parameters []struct {
		Name     string `xml:"name,attr"`
		Required string `xml:"required,attr"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name      string `xml:"name,attr"`
		Automatic string `xml:"automatic,attr"`
	} `xml:"actions>action"`
}

// parseMetadata reads the XML of an agent's action metadata.
func parseMetadata(raw []byte) (*Metadata, error) {
	if len(raw) > maxMetadata {
		return nil, fmt.Errorf("metadata: larger than %d bytes", maxMetadata)
	}
	if err := checkDepth(raw); err != nil {
		return nil, err
	}
	var a agentXML
	if err := xml.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if len(a.Parameters) > maxMetadataItems || len(a.Actions) > maxMetadataItems {
		return nil, fmt.Errorf("metadata: more than %d parameters or actions", maxMetadataItems)
	}
	m := &Metadata{Name: a.Name, Parameters: map[string]bool{}}
	for _, p := range a.Parameters {
		m.Parameters[p.Name] = p.Required == "1"
	}
	for _, action := range a.Actions {
		m.Actions = append(m.Actions, action.Name)
		// An "on" that every booting node does for itself is how agents of a fabric say that they unfence.
		m.Fabric = m.Fabric || action.Name == "on" && action.Automatic == "1"
	}
	m.Fabric = m.Fabric || !slices.Contains(m.Actions, "reboot")
	return m, nil
}

// checkDepth refuses XML that is nested without end, which costs its reader much for little.
func checkDepth(raw []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	for depth := 0; ; {
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("metadata: elements are nested more than %d deep", maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
}

// check says why the level cannot work with the agent that the metadata is of; nil if it can.
func (m *Metadata) check(l *Level) error {
	for _, action := range []string{"off", "status"} {
		if !slices.Contains(m.Actions, action) {
			return fmt.Errorf("driver %s has no action %s, so its success cannot be confirmed", l.Driver, action)
		}
	}
	if m.Fabric {
		return fmt.Errorf("driver %s cuts off storage or a network port, not power: what runs on the host would go on", l.Driver)
	}
	given := map[string]bool{}
	for _, p := range slices.Concat(l.Parameters, l.Secrets) {
		if _, known := m.Parameters[p.Name]; !known {
			return fmt.Errorf("driver %s knows no parameter %s; it has %s", l.Driver, p.Name, m.names())
		}
		given[p.Name] = true
	}
	for name, required := range m.Parameters {
		if required && name != "action" && !given[name] {
			return fmt.Errorf("driver %s needs parameter %s", l.Driver, name)
		}
	}
	return nil
}

func (m *Metadata) names() string {
	var names []string
	for name := range m.Parameters {
		if !slices.Contains(reserved, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
