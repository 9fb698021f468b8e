package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// listener is told things when it is started.
type listener struct {
	resourcetype.Type
	told []map[string]string
}

func (l *listener) Online(_ context.Context, inst *resourcetype.Instance) error {
	l.told = append(l.told, inst.Variables)
	return nil
}

// TestVariables: what comes from Secrets is read for each start, and without it nothing is started.
func TestVariables(t *testing.T) {
	var unread error
	g := &group{monitor: &Monitor{opts: Options{Variables: func(_ context.Context, namespace string, spec json.RawMessage) (map[string]string, error) {
		return map[string]string{namespace: string(spec)}, unread
	}}}}
	typ, inst := &listener{}, &resourcetype.Instance{Resource: resourcetype.Identity{Namespace: "demo"}, Spec: json.RawMessage("{}")}
	if err := g.online(t.Context(), typ, inst); err != nil || len(typ.told) != 1 || typ.told[0]["demo"] != "{}" {
		t.Errorf("told %v, %v", typ.told, err)
	}
	unread = errors.New("no such Secret")
	if err := g.online(t.Context(), typ, inst); !errors.Is(err, unread) || len(typ.told) != 1 {
		t.Errorf("without its Secret: told %v, %v", typ.told, err)
	}
}
