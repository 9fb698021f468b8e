package resourcetype

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Kind says what proves an old owner of a resource harmless (rule O13).
type Kind string

// Kinds of resources.
const (
	// KindDisk is fenced by its own reservation.
	KindDisk Kind = "Disk"
	// KindAddress is silenced by the old owner's kernel.
	KindAddress Kind = "Address"
	// KindProcess is anything else.
	KindProcess Kind = "Process"
)

// Registry finds a type by its name. It is filled at the start and only read afterwards.
type Registry struct {
	types map[string]Type
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{types: map[string]Type{}}
}

// Register adds a type under the name that Resource.spec.type uses. A second one of the same name is an error of the program.
func (r *Registry) Register(name string, t Type) {
	if _, found := r.types[name]; found {
		panic(fmt.Sprintf("resource type %s is registered twice", name))
	}
	r.types[name] = t
}

// Get returns the type, or an error that names those that there are.
func (r *Registry) Get(name string) (Type, error) {
	t, found := r.types[name]
	if !found {
		return nil, fmt.Errorf("this agent has no resource type %q; it has %v", name, r.Names())
	}
	return t, nil
}

// Exposed reports whether a resource of a type reaches clients whatever is fenced beneath it; see Exposer.
func (r *Registry) Exposed(name string, spec json.RawMessage) bool {
	e, ok := r.types[name].(Exposer)
	return ok && e.Exposed(spec)
}

// Names returns the names of all types, sorted.
func (r *Registry) Names() []string {
	return slices.Sorted(maps.Keys(r.types))
}

// Kind returns what kind of proof the resources of a type have; an unknown type counts as a process, which waits longest.
func (r *Registry) Kind(name string) Kind {
	switch r.types[name].(type) {
	case Reserver:
		return KindDisk
	case Guarded:
		return KindAddress
	default:
		return KindProcess
	}
}
