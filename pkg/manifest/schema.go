package manifest

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/quorate/quorate/config/crd"
)

// kind is what the API server knows of one kind.
type kind struct {
	name       string
	namespaced bool
	structural *schema.Structural
	basic      validation.SchemaValidator
	// rules are the rules in CEL; they are compiled when they are first used.
	rules func() *schemacel.Validator
}

// kinds returns all kinds of the API, by name. The definitions are part of the program, so an error is a mistake in its build.
var kinds = sync.OnceValues(func() (map[string]*kind, error) {
	files, err := crd.Bases.ReadDir("bases")
	if err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	all := map[string]*kind{}
	for _, f := range files {
		k, err := load(path.Join("bases", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("definition %s: %w", f.Name(), err)
		}
		all[k.name] = k
	}
	return all, nil
})

func load(file string) (*kind, error) {
	content, err := crd.Bases.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(content, &definition); err != nil {
		return nil, err
	}
	if len(definition.Spec.Versions) != 1 {
		return nil, fmt.Errorf("it has %d versions, one was expected", len(definition.Spec.Versions))
	}
	var internal apiextensions.JSONSchemaProps
	v1 := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, &internal, nil); err != nil {
		return nil, err
	}
	k := &kind{name: definition.Spec.Names.Kind, namespaced: definition.Spec.Scope == apiextensionsv1.NamespaceScoped}
	if k.structural, err = schema.NewStructural(&internal); err != nil {
		return nil, err
	}
	if k.basic, _, err = validation.NewSchemaValidator(&internal); err != nil {
		return nil, err
	}
	k.rules = sync.OnceValue(func() *schemacel.Validator {
		return schemacel.NewValidator(k.structural, true, celconfig.PerCallLimit)
	})
	return k, nil
}

// admit does to the object what the API server does when it is made, or when it takes the place of old: unknown fields are found, and
// defaults filled in, then everything is checked.
func (k *kind) admit(object, old map[string]any) field.ErrorList {
	errs := k.prune(object)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	basic := validation.ValidateCustomResource(nil, object, k.basic)
	errs = append(errs, basic...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if !slices.ContainsFunc(basic, blocking) {
		var before any
		if old != nil {
			before = old
		}
		found, _ := k.rules().Validate(context.Background(), nil, k.structural, object, before, celconfig.RuntimeCELCostBudget)
		errs = append(errs, found...)
	}
	return errs
}

// blocking says that the error keeps the rules from being tried, as in the API server: what they read may have another type, or be too
// long for the time that they are given.
func blocking(e *field.Error) bool {
	return slices.Contains([]field.ErrorType{field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid}, e.Type)
}

func (k *kind) prune(object map[string]any) field.ErrorList {
	var errs field.ErrorList
	for _, unknown := range pruning.PruneWithOptions(object, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		parent, name := splitPath(unknown)
		errs = append(errs, field.Invalid(field.NewPath(unknown), name, "there is no such field"+hintField(k.structural, parent, name)))
	}
	return errs
}

// splitPath divides a path at its last field.
func splitPath(p string) (parent, name string) {
	i := strings.LastIndexByte(p, '.')
	if i < 0 {
		return "", p
	}
	return p[:i], p[i+1:]
}
