package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"

	"github.com/quorate/quorate/pkg/nearest"
)

// lineOf is the line of the field in the document, or of the innermost part of its path that is there.
func lineOf(root *yaml.Node, path string) int {
	if root == nil {
		return 0
	}
	node, line := root, root.Line
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
		line = node.Line
	}
	for _, step := range steps(path) {
		next, at := child(node, step)
		if next == nil {
			return line
		}
		node, line = next, at
	}
	return line
}

// child finds a key of a mapping or an element of a list, and its line: a key's own, not that of its value.
func child(node *yaml.Node, step string) (*yaml.Node, int) {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil, 0
}

// steps divides a path such as spec.networks[0].name or spec.capacity["cpu"].
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(`.[]"`, r) })
}

// hintField says what field may have been meant instead of an unknown one.
func hintField(s *schema.Structural, parent, name string) string {
	for _, step := range steps(parent) {
		switch {
		case s == nil:
			return ""
		case s.Items != nil:
			s = s.Items
		default:
			property, found := s.Properties[step]
			if !found {
				return ""
			}
			s = &property
		}
	}
	if s == nil {
		return ""
	}
	known := make([]string, 0, len(s.Properties))
	for field := range s.Properties {
		known = append(known, field)
	}
	return nearest.Hint(name, known)
}
