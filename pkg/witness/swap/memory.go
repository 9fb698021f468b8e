package swap

import (
	"context"
	"strconv"
	"sync"
)

// Op names a Store's operation.
type Op string

// Operations of a Store.
const (
	OpRead       Op = "read"
	OpSwap       Op = "swap"
	OpReadState  Op = "read state"
	OpWriteState Op = "write state"
)

// Memory is a Store in memory that several hosts share, for tests. The hooks are set before use; they may act for other hosts.
type Memory struct {
	// Before is called before an operation; its error becomes the operation's, and nothing is done.
	Before func(host string, op Op) error
	// After is called after one that was done; its error becomes the operation's, as if the answer was lost.
	After func(host string, op Op) error
	// Stale makes a host's read return the document before the newest, unless the host has swapped the newest in.
	Stale func(host string) bool

	mu       sync.Mutex
	id       uint64
	history  []Document
	states   map[StateRef][]byte
	swappers []string // of the documents
}

// NewMemory returns an empty store with an identity, which is not 0.
func NewMemory(id uint64) *Memory { return &Memory{id: id, states: map[StateRef][]byte{}} }

// Host returns the store as one host has it.
func (m *Memory) Host(name string) Store { return &memoryStore{m: m, host: name} }

// Raw returns the newest document; nil for none.
func (m *Memory) Raw() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.history) == 0 {
		return nil
	}
	return m.history[len(m.history)-1].Raw
}

// Put replaces the document from outside, whatever it is.
func (m *Memory) Put(raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(raw, "")
}

// Spoil changes the bytes of every state.
func (m *Memory) Spoil() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, state := range m.states {
		if len(state) > 0 {
			state[0]++
		}
	}
}

// States counts the states.
func (m *Memory) States() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.states)
}

func (m *Memory) put(raw []byte, host string) {
	m.history = append(m.history, Document{ID: m.id, Version: Version(strconv.Itoa(len(m.history) + 1)), Raw: raw})
	m.swappers = append(m.swappers, host)
}

type memoryStore struct {
	m    *Memory
	host string
}

func (s *memoryStore) Name() string { return "memory-of-" + s.host }

func (s *memoryStore) Close() error { return nil }

// do runs an operation between the hooks.
func (s *memoryStore) do(ctx context.Context, op Op, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.m.Before != nil {
		if err := s.m.Before(s.host, op); err != nil {
			return err
		}
	}
	if err := s.locked(f); err != nil {
		return err
	}
	if s.m.After != nil {
		return s.m.After(s.host, op)
	}
	return nil
}

func (s *memoryStore) locked(f func() error) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return f()
}

func (s *memoryStore) Read(ctx context.Context) (doc Document, err error) {
	stale := s.m.Stale != nil && s.m.Stale(s.host)
	err = s.do(ctx, OpRead, func() error {
		newest := len(s.m.history) - 1
		if stale && newest >= 0 && s.m.swappers[newest] != s.host {
			newest--
		}
		if newest >= 0 {
			doc = s.m.history[newest]
		}
		return nil
	})
	return doc, err
}

func (s *memoryStore) Swap(ctx context.Context, old Version, raw []byte, _ Note) error {
	return s.do(ctx, OpSwap, func() error {
		var now Version
		if n := len(s.m.history); n > 0 {
			now = s.m.history[n-1].Version
		}
		if now != old {
			return ErrChanged
		}
		s.m.put(raw, s.host)
		return nil
	})
}

func (s *memoryStore) ReadState(ctx context.Context, ref StateRef) (state []byte, err error) {
	err = s.do(ctx, OpReadState, func() error {
		var ok bool
		if state, ok = s.m.states[ref]; !ok {
			return ErrNoState
		}
		return nil
	})
	return state, err
}

func (s *memoryStore) WriteState(ctx context.Context, ref StateRef, data []byte) error {
	return s.do(ctx, OpWriteState, func() error {
		s.m.states[ref] = append([]byte(nil), data...)
		return nil
	})
}

func (s *memoryStore) Tidy(_ context.Context, present StateRef) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for ref := range s.m.states {
		if ref.Version < present.Version {
			delete(s.m.states, ref)
		}
	}
}
