package controllertest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// memo is a reader that asks the API server once for each thing until something is written. Like a cache, it hands out shared objects
// that nothing may change.
type memo struct {
	client.Reader
	// lag keeps what was read although something was written since, as a cache does that is behind.
	lag   bool
	mu    sync.Mutex
	known map[string]answer
}

type answer struct {
	object reflect.Value
	err    error
}

// forget is called when anything may have been written.
func (m *memo) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lag {
		m.known = map[string]answer{}
	}
}

// written is called after a write of the object: what is known of other kinds holds.
func (m *memo) written(o client.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kind := fmt.Sprintf("%T", o)
	maps.DeleteFunc(m.known, func(key string, _ answer) bool {
		of, _, _ := strings.Cut(key, " ")
		return !m.lag && (of == kind || of == kind+"List")
	})
}

func (m *memo) Get(ctx context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	return m.remember(fmt.Sprintf("%T %s", o, key), o, func() error { return m.Reader.Get(ctx, key, o) })
}

func (m *memo) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	return m.remember(fmt.Sprintf("%T", list), list, func() error { return m.Reader.List(ctx, list) })
}

func (m *memo) remember(key string, into any, ask func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]answer{}
	}
	got, ok := m.known[key]
	if !ok {
		got.err = ask()
		got.object = reflect.New(reflect.TypeOf(into).Elem()).Elem()
		got.object.Set(reflect.ValueOf(into).Elem())
		m.known[key] = got
	}
	reflect.ValueOf(into).Elem().Set(got.object)
	return got.err
}
