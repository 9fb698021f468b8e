package pacemaker

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// crdCheck is what the API server does to an object of one kind, without an API server.
type crdCheck struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

var crds = sync.OnceValues(func() (map[string]*crdCheck, error) {
	paths, err := filepath.Glob("../../../config/crd/bases/*.yaml")
	checks := map[string]*crdCheck{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return nil, err
		}
		internal := &apiextensions.JSONSchemaProps{}
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, internal, nil); err != nil {
			return nil, err
		}
		structural, err := schema.NewStructural(internal)
		if err != nil {
			return nil, err
		}
		validator, _, err := validation.NewSchemaValidator(internal)
		if err != nil {
			return nil, err
		}
		checks[crd.Spec.Names.Kind] = &crdCheck{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
	}
	return checks, err
})

// refusals are what the API server would say of the object: unknown fields, the schema, lists with two entries of one key, CEL.
func refusals(t testing.TB, o runtime.Object) []string {
	t.Helper()
	all, err := crds()
	if err != nil || len(all) != 5 {
		t.Fatalf("reading the CRDs: %d, %v", len(all), err)
	}
	check := all[o.GetObjectKind().GroupVersionKind().Kind]
	if check == nil {
		return nil // a Secret
	}
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(raw, &content); err != nil {
		t.Fatal(err)
	}
	delete(content, "status")
	var found []string
	if unknown := pruning.PruneWithOptions(content, check.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(unknown) > 0 {
		found = append(found, unknown...)
	}
	defaulting.Default(content, check.structural)
	for _, e := range validation.ValidateCustomResource(nil, content, check.validator) {
		found = append(found, e.Error())
	}
	for _, e := range listtype.ValidateListSetsAndMaps(nil, check.structural, content) {
		found = append(found, e.Error())
	}
	errs, _ := check.rules.Validate(context.Background(), nil, check.structural, content, nil, celconfig.RuntimeCELCostBudget)
	for _, e := range errs {
		found = append(found, e.Error())
	}
	slices.Sort(found)
	return found
}
