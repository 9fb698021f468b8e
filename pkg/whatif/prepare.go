package whatif

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/nearest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// Problem is something wrong with an event, or with what it applies.
type Problem struct {
	// Event is the event's text.
	Event string
	// Finding is about an object that the event applies; nil when the event itself is wrong.
	Finding *validation.Finding
	Message string
}

// Prepare looks for everything that is wrong with the events before any of them happens: names that are not there when their turn comes,
// and objects that would not be accepted.
func Prepare(o *snapshot.Objects, events []Event) []Problem {
	o = copyObjects(o)
	keepCore(o, nil)
	var problems []Problem
	for _, e := range events {
		if err := check(o, e); err != nil {
			problems = append(problems, Problem{Event: e.Text, Message: err.Error()})
			continue
		}
		switch {
		case e.Kind == Apply && e.Objects != nil:
			before := errorsOf(o)
			merge(o, e.Objects)
			keepCore(o, nil)
			for text, f := range errorsOf(o) {
				if _, known := before[text]; !known {
					problems = append(problems, Problem{Event: e.Text, Finding: &f, Message: text})
				}
			}
		case e.Kind == Delete:
			if kind, namespace, err := resolve(o, e); err == nil {
				remove(o, kind, namespace, e.Name)
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Event != b.Event {
			return 0
		}
		return strings.Compare(a.Message, b.Message)
	})
	return problems
}

func errorsOf(o *snapshot.Objects) map[string]validation.Finding {
	found := map[string]validation.Finding{}
	for _, f := range validation.Check(o).All() {
		if !f.Warning {
			found[f.Text()] = f
		}
	}
	return found
}

// check says whether what the event names is there.
func check(o *snapshot.Objects, e Event) error {
	switch e.Kind {
	case NodeDown, NodeUp, Drain, Resume:
		for _, name := range e.Nodes {
			if err := known("node", name, objectNames(o, "Node")); err != nil {
				return err
			}
		}
	case ResourceFail:
		return known("resource", e.Namespace+"/"+e.Name, objectNames(o, "Resource"))
	case MoveGroup:
		if err := known("group", e.Namespace+"/"+e.Name, objectNames(o, "ResourceGroup")); err != nil {
			return err
		}
		return known("node", e.Nodes[0], append(objectNames(o, "Node"), v1alpha1.MoveToBest))
	case Delete:
		kind, namespace, err := resolve(o, e)
		if err != nil {
			return err
		}
		if why := protected(o, kind, namespace, e.Name); why != "" {
			return errors.New(why)
		}
	case Apply, Wait, At:
	}
	return nil
}

func known(what, name string, names []string) error {
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("there is no %s %q%s", what, name, nearest.Hint(name, names))
}

// resolve finds the kind and the namespace of the object that a delete names.
func resolve(o *snapshot.Objects, e Event) (kind, namespace string, err error) {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		all = append(append(all, k), kinds[k]...)
		if strings.EqualFold(e.Object, k) || slices.Contains(kinds[k], strings.ToLower(e.Object)) {
			kind = k
		}
	}
	if kind == "" {
		return "", "", fmt.Errorf("there is no kind %q%s", e.Object, nearest.Hint(e.Object, all))
	}
	names := objectNames(o, kind)
	if !namespaced(kind) {
		if e.Namespace != "" {
			return "", "", fmt.Errorf("a %s has no namespace: write %s/%s", kind, e.Object, e.Name)
		}
		return kind, "", known(kind, e.Name, names)
	}
	if e.Namespace != "" {
		return kind, e.Namespace, known(kind, e.Namespace+"/"+e.Name, names)
	}
	var places []string
	for _, n := range names {
		if at, name, _ := strings.Cut(n, "/"); name == e.Name {
			places = append(places, at)
		}
	}
	switch len(places) {
	case 0:
		return "", "", known(kind, e.Name, baseNames(names))
	case 1:
		return kind, places[0], nil
	}
	return "", "", errors.New("several namespaces have a " + kind + " " + e.Name + ": " + strings.Join(places, ", "))
}

func baseNames(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		_, out[i], _ = strings.Cut(n, "/")
	}
	return out
}
