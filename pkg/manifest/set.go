package manifest

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/nearest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// name names an object.
type name struct{ kind, namespace, name string }

func (n name) String() string { return n.kind + " " + path.Join(n.namespace, n.name) }

// entry is an object that was read, with where it stands.
type entry struct {
	document
	name
	typed any
}

// Set is the objects of some manifests.
type Set struct {
	entries  map[name]*entry
	problems []Problem
	opts     Options
}

// convert makes the object one of the API's types. What the definitions accept can be converted, so an error is told only if nothing
// else was wrong with the object.
func (s *Set) convert(e *entry) error {
	typed := map[string]func() any{
		"Cluster": func() any { return &v1alpha1.Cluster{} }, "Node": func() any { return &v1alpha1.Node{} },
		"QuorumConfig": func() any { return &v1alpha1.QuorumConfig{} }, "ResourceGroup": func() any { return &v1alpha1.ResourceGroup{} },
		"Resource": func() any { return &v1alpha1.Resource{} },
	}[e.kind]
	if typed == nil {
		return fmt.Errorf("this version knows no kind %s", e.kind)
	}
	object := typed()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(e.object, object); err != nil {
		if slices.ContainsFunc(s.problems, func(p Problem) bool { return p.File == e.file && p.Object == e.name.String() }) {
			return nil
		}
		return err
	}
	e.typed = object
	return nil
}

// Raw returns an object as it was read, with its defaults; nil when there is none.
func (s *Set) Raw(kind, namespace, object string) map[string]any {
	if e := s.entries[name{kind, namespace, object}]; e != nil {
		return e.object
	}
	return nil
}

// Locate is where a field of an object stands.
func (s *Set) Locate(kind, namespace, object, field string) (file string, line int) {
	if e := s.entries[name{kind, namespace, object}]; e != nil {
		return e.file, lineOf(e.root, e.prefix+field)
	}
	return "", 0
}

// Clusters are the names of the Clusters, in order.
func (s *Set) Clusters() []string {
	var found []string
	for n := range s.entries {
		if n.kind == "Cluster" {
			found = append(found, n.name)
		}
	}
	slices.Sort(found)
	return found
}

// Strays are problems with objects whose Cluster is not among the known ones.
func (s *Set) Strays(known []string) []Problem {
	var strays []Problem
	for _, e := range s.entries {
		cluster := clusterOf(e.typed)
		if cluster == "" || e.kind == "Cluster" || slices.Contains(known, cluster) {
			continue
		}
		strays = append(strays, Problem{
			File: e.file, Line: lineOf(e.root, e.prefix+"spec.clusterName"), Object: e.name.String(), Field: "spec.clusterName",
			Message: fmt.Sprintf("there is no Cluster %q%s", cluster, nearest.Hint(cluster, known)),
		})
	}
	slices.SortFunc(strays, byPlace)
	return strays
}

func byPlace(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field))
}

func clusterOf(object any) string {
	switch o := object.(type) {
	case *v1alpha1.Cluster:
		return o.Name
	case *v1alpha1.QuorumConfig:
		return o.Name
	case *v1alpha1.Node:
		return o.Spec.ClusterName
	case *v1alpha1.ResourceGroup:
		return o.Spec.ClusterName
	}
	return ""
}

// Objects are those of one cluster, ordered by name. Resources belong to the cluster of their group; orphans takes those too whose group
// is not in the set.
func (s *Set) Objects(cluster string, orphans bool) *snapshot.Objects {
	o := &snapshot.Objects{Name: cluster}
	groups := map[model.GroupKey]string{}
	for _, e := range s.entries {
		if g, ok := e.typed.(*v1alpha1.ResourceGroup); ok {
			groups[snapshot.Key(g)] = g.Spec.ClusterName
		}
	}
	for _, e := range s.entries {
		if r, ok := e.typed.(*v1alpha1.Resource); ok {
			if of, known := groups[snapshot.GroupKeyOf(r)]; of == cluster || !known && orphans {
				o.Resources = append(o.Resources, r)
			}
			continue
		}
		if clusterOf(e.typed) != cluster {
			continue
		}
		switch object := e.typed.(type) {
		case *v1alpha1.Cluster:
			o.Cluster = object
		case *v1alpha1.QuorumConfig:
			o.Quorum = object
		case *v1alpha1.Node:
			o.Nodes = append(o.Nodes, object)
		case *v1alpha1.ResourceGroup:
			o.Groups = append(o.Groups, object)
		}
	}
	o.Fresh = true
	o.Sort()
	return o
}

// Check applies the rules over several objects, and returns what is wrong and what is only odd.
func (s *Set) Check(o *snapshot.Objects) (errs, warnings []Problem) {
	for _, f := range validation.Check(o).All() {
		p := s.Problem(f)
		p.Message += s.hint(o, f)
		if f.Warning {
			warnings = append(warnings, p)
		} else {
			errs = append(errs, p)
		}
	}
	slices.SortStableFunc(errs, byPlace)
	slices.SortStableFunc(warnings, byPlace)
	return errs, warnings
}

// Problem is a finding of validation with its place in the manifests.
func (s *Set) Problem(f validation.Finding) Problem {
	p := Problem{Object: name{string(f.Kind), f.Namespace, f.Name}.String(), Field: f.Field, Message: f.Message}
	p.File, p.Line = s.Locate(string(f.Kind), f.Namespace, f.Name, f.Field)
	return p
}

// hint says which name may have been meant by one that is not there.
func (s *Set) hint(o *snapshot.Objects, f validation.Finding) string {
	var known []string
	switch f.Reason {
	case v1alpha1.GroupReasonUnknownNode: // and a resource's, which is the same word
		for _, n := range o.Nodes {
			known = append(known, n.Name)
		}
	case v1alpha1.ResourceReasonGroupNotFound:
		for _, g := range o.Groups {
			if g.Namespace == f.Namespace {
				known = append(known, g.Name)
			}
		}
	default:
		return ""
	}
	_, after, found := strings.Cut(f.Message, `"`)
	if unknown, _, closed := strings.Cut(after, `"`); found && closed {
		if near := nearest.To(unknown, known); near != "" && near != unknown {
			return fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return ""
}
