package api

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// TestSchemas walks through every field of every kind: each is documented, each string and list has a bound (which also keeps the
// cost of CEL finite), and each list says how it is merged.
func TestSchemas(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(config, "crd", "bases", "*.yaml"))
	if err != nil || len(paths) != 5 {
		t.Fatalf("%d CRDs (%v), want 5", len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			t.Fatal(err)
		}
		schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			checkSchema(t, crd.Spec.Names.Kind+"."+part, schema.Properties[part], true)
		}
	}
}

func checkSchema(t *testing.T, path string, s apiextensionsv1.JSONSchemaProps, documented bool) {
	t.Helper()
	if documented && s.Description == "" {
		t.Errorf("%s has no description", path)
	}
	switch s.Type {
	case "string":
		if s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time" {
			t.Errorf("%s has no maxLength", path)
		}
	case "array":
		if s.MaxItems == nil {
			t.Errorf("%s has no maxItems", path)
		}
		if s.XListType == nil {
			t.Errorf("%s does not say how it is merged (listType)", path)
		}
		checkSchema(t, path+"[]", *s.Items.Schema, false)
	case "object":
		if s.AdditionalProperties != nil && s.MaxProperties == nil {
			t.Errorf("%s has no maxProperties", path)
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if strings.HasSuffix(path, ".conditions[]") {
				continue // metav1.Condition is not ours.
			}
			checkSchema(t, path+"."+name, s.Properties[name], true)
		}
	}
}
