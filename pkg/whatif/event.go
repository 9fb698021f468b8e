package whatif

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/nearest"
	"github.com/quorate/quorate/pkg/snapshot"
)

// EventKind is the part of an event before its "=".
type EventKind string

// Kinds of events.
const (
	NodeDown     EventKind = "node-down"
	NodeUp       EventKind = "node-up"
	Drain        EventKind = "drain"
	Resume       EventKind = "resume"
	ResourceFail EventKind = "resource-fail"
	MoveGroup    EventKind = "move"
	Apply        EventKind = "apply"
	Delete       EventKind = "delete"
	Wait         EventKind = "wait"
	At           EventKind = "at"
)

// KindHelp tells of a kind of events: what follows its "=", and what it does.
type KindHelp struct {
	Kind  EventKind
	Value string
	Does  string
}

// Kinds are all of them with what follows the "=", for help and completion.
var Kinds = []KindHelp{
	{NodeDown, "NODE[,NODE...]", "the node dies without notice; several at the same moment"},
	{NodeUp, "NODE", "the node is back, in a new life"},
	{Drain, "NODE", "the node is to be left by its groups, and takes no more"},
	{Resume, "NODE", "the node takes groups again"},
	{ResourceFail, "NAMESPACE/RESOURCE", "the resource fails once"},
	{MoveGroup, "NAMESPACE/GROUP:NODE", "an operator moves the group; NODE may be best"},
	{Apply, "FILE", "the manifests of the file are applied"},
	{Delete, "KIND/[NAMESPACE/]NAME", "the object is deleted"},
	{Wait, "DURATION", "time passes, such as 6h or 90s"},
	{At, "TIME", "the time becomes this, such as 2026-03-29T02:30:00+01:00; as the first event, the time of the start"},
}

// MaxWait bounds how far a simulation goes into the future.
const MaxWait = 10 * 365 * 24 * time.Hour

// Event is something that happens to the cluster.
type Event struct {
	// Text is the event as it was written.
	Text string
	Kind EventKind
	// Nodes are the nodes of node-down, node-up, drain and resume, and the target of move.
	Nodes []string
	// Object is what delete names; Namespace and Name those of a resource, a group or an object.
	Object, Namespace, Name string
	Wait                    time.Duration
	At                      time.Time
	// File is what apply reads; whoever reads it sets Objects.
	File    string
	Objects *snapshot.Objects
}

// ParseEvent reads an event. Whether what it names exists is found by World.Prepare.
func ParseEvent(text string) (Event, error) {
	kind, value, found := strings.Cut(text, "=")
	e := Event{Text: text, Kind: EventKind(kind)}
	i := slices.IndexFunc(Kinds, func(k KindHelp) bool { return k.Kind == e.Kind })
	if i < 0 {
		var known []string
		for _, k := range Kinds {
			known = append(known, string(k.Kind))
		}
		return Event{}, fmt.Errorf("event %q: there is no event %q%s", text, kind, nearest.Hint(kind, known))
	}
	if !found || value == "" {
		return Event{}, fmt.Errorf("event %q: write it %s=%s", text, kind, Kinds[i].Value)
	}
	if err := e.parse(value); err != nil {
		return Event{}, fmt.Errorf("event %q: %w; write it %s=%s", text, err, kind, Kinds[i].Value)
	}
	return e, nil
}

func (e *Event) parse(value string) (err error) {
	switch e.Kind {
	case NodeDown:
		e.Nodes = strings.Split(value, ",")
	case NodeUp, Drain, Resume:
		e.Nodes = []string{value}
	case ResourceFail:
		e.Namespace, e.Name, err = splitName(value)
	case MoveGroup:
		err = e.parseMove(value)
	case Apply:
		e.File = value
	case Delete:
		err = e.parseDelete(value)
	case Wait:
		if e.Wait, err = time.ParseDuration(value); err != nil || e.Wait < 0 || e.Wait > MaxWait {
			return fmt.Errorf("%q is no duration from 0s to %s", value, MaxWait)
		}
	case At:
		if e.At, err = time.Parse(time.RFC3339, value); err != nil {
			return fmt.Errorf("%q is no time with a zone, as RFC 3339 has them", value)
		}
	}
	if err == nil && slices.Contains(e.Nodes, "") {
		return fmt.Errorf("a name is empty")
	}
	return err
}

func (e *Event) parseMove(value string) (err error) {
	name, node, found := strings.Cut(value, ":")
	if !found {
		return fmt.Errorf("the node is missing")
	}
	e.Nodes = []string{node}
	e.Namespace, e.Name, err = splitName(name)
	return err
}

func (e *Event) parseDelete(value string) error {
	parts := strings.Split(value, "/")
	switch {
	case slices.Contains(parts, "") || len(parts) < 2 || len(parts) > 3:
		return fmt.Errorf("%q is no kind and name", value)
	case len(parts) == 3:
		e.Namespace = parts[1]
	}
	e.Object, e.Name = parts[0], parts[len(parts)-1]
	return nil
}

// splitName reads NAMESPACE/NAME.
func splitName(text string) (namespace, name string, err error) {
	namespace, name, found := strings.Cut(text, "/")
	if !found || namespace == "" || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is no namespace and name", text)
	}
	return namespace, name, nil
}
