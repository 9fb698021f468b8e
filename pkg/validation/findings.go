package validation

import (
	"cmp"
	"path"
	"slices"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Kind names the kind of object that a finding is about.
type Kind string

// Kinds with findings.
const (
	KindGroup    Kind = "ResourceGroup"
	KindResource Kind = "Resource"
	KindQuorum   Kind = "QuorumConfig"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind      Kind
	Namespace string
	Name      string
	// Field is the path of the field, such as spec.ipAddress.address.
	Field string
	// Reason is a CamelCase word for the condition.
	Reason string
	// Message says what is wrong and what to do. It does not repeat the object and the field.
	Message string
	// Warning says that the object is usable all the same.
	Warning bool
}

// Text is the finding as one sentence that names object and field.
func (f Finding) Text() string {
	return string(f.Kind) + " " + path.Join(f.Namespace, f.Name) + ": " + f.Field + ": " + f.Message
}

// Findings are the result of Check, by object.
type Findings struct {
	groups    map[model.GroupKey][]Finding
	resources map[model.GroupKey][]Finding // keyed by the resource's own namespace and name
	quorum    []Finding
	all       []Finding
}

// All returns every finding, ordered by kind, object and field.
func (f *Findings) All() []Finding { return f.all }

// OfGroup returns the findings about the group object itself.
func (f *Findings) OfGroup(key model.GroupKey) []Finding { return f.groups[key] }

// OfResource returns the findings about a resource.
func (f *Findings) OfResource(namespace, name string) []Finding {
	return f.resources[model.GroupKey{Namespace: namespace, Name: name}]
}

// OfQuorum returns the findings about the QuorumConfig.
func (f *Findings) OfQuorum() []Finding { return f.quorum }

// FirstError returns the first finding of the list that is not a warning.
func FirstError(list []Finding) (Finding, bool) {
	i := slices.IndexFunc(list, func(f Finding) bool { return !f.Warning })
	if i < 0 {
		return Finding{}, false
	}
	return list[i], true
}

// GroupError returns the finding that keeps the group from being started: one of its own, or one of a resource of it. A dependency
// that has gone missing does not keep a group that was placed before from failing over: what depends on it stays offline alone.
func (f *Findings) GroupError(g *v1alpha1.ResourceGroup, resources []*v1alpha1.Resource) (Finding, bool) {
	if found, bad := FirstError(f.groups[snapshot.Key(g)]); bad {
		return found, true
	}
	placed := placed(g)
	for _, r := range resources {
		for _, found := range f.OfResource(r.Namespace, r.Name) {
			if !found.Warning && (!placed || found.Reason != v1alpha1.ResourceReasonMissingDependency) {
				return found, true
			}
		}
	}
	return Finding{}, false
}

// InvalidGroups has the sentence of every group that may not be started.
func (f *Findings) InvalidGroups(o *snapshot.Objects) map[model.GroupKey]string {
	invalid := map[model.GroupKey]string{}
	resources := o.ResourcesByGroup()
	for _, g := range o.Groups {
		key := snapshot.Key(g)
		if found, bad := f.GroupError(g, resources[key]); bad {
			invalid[key] = found.Text()
		}
	}
	return invalid
}

func (f *Findings) add(list []Finding) {
	for _, found := range list {
		key := model.GroupKey{Namespace: found.Namespace, Name: found.Name}
		switch found.Kind {
		case KindGroup:
			f.groups[key] = append(f.groups[key], found)
		case KindResource:
			f.resources[key] = append(f.resources[key], found)
		case KindQuorum:
			f.quorum = append(f.quorum, found)
		}
	}
	f.all = append(f.all, list...)
}

func (f *Findings) sort() {
	slices.SortStableFunc(f.all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Field, b.Field))
	})
}

func aboutGroup(g *v1alpha1.ResourceGroup, field, reason, message string) Finding {
	return Finding{Kind: KindGroup, Namespace: g.Namespace, Name: g.Name, Field: field, Reason: reason, Message: message}
}

func aboutResource(r *v1alpha1.Resource, field, reason, message string) Finding {
	return Finding{Kind: KindResource, Namespace: r.Namespace, Name: r.Name, Field: field, Reason: reason, Message: message}
}

func aboutQuorum(q *v1alpha1.QuorumConfig, field, reason, message string) Finding {
	return Finding{Kind: KindQuorum, Name: q.Name, Field: field, Reason: reason, Message: message}
}

func warn(f Finding) Finding {
	f.Warning = true
	return f
}
