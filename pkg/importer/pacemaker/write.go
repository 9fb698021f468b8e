package pacemaker

import (
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Formats of manifests.
const (
	YAML = "yaml"
	JSON = "json"
)

// Formats are all formats.
var Formats = []string{YAML, JSON}

// Write prints the manifests: YAML documents, or one JSON List. What only a live object has is left out.
func (r *Result) Write(out io.Writer, format string) error {
	var items []map[string]any
	for _, o := range r.Objects() {
		content, err := bare(o)
		if err != nil {
			return err
		}
		items = append(items, content)
	}
	if format == JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	for i, item := range items {
		text, err := yaml.Marshal(item)
		if err != nil {
			return fmt.Errorf("writing a manifest: %w", err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// bare is an object as people would write it: no status, no empty members.
func bare(o runtime.Object) (map[string]any, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing a manifest: %w", err)
	}
	var content map[string]any
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, fmt.Errorf("writing a manifest: %w", err)
	}
	delete(content, "status")
	prune(content)
	return content, nil
}

func prune(m map[string]any) {
	for key, value := range m {
		switch v := value.(type) {
		case nil:
			delete(m, key)
		case map[string]any:
			if prune(v); len(v) == 0 {
				delete(m, key)
			}
		}
	}
}

// WriteJSON prints the report for programs: {"entries": [...]}.
func (r *Report) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"entries": append([]Entry{}, r.Entries...)})
}
