package resourcehost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/resourcetype"
)

// deniedError marks the agent's lease check on its way back through a type.
type deniedError struct{ text string }

func (e *deniedError) Error() string { return e.text }

// errAgentGone ends what a call asks for when nobody answers any more.
var errAgentGone = errors.New("the agent is gone")

// server is the process's side.
type server struct {
	wire  *wire
	types *resourcetype.Registry
	log   logr.Logger

	mu    sync.Mutex
	calls map[uint64]*serving
}

// serving is a call under way.
type serving struct {
	cancel context.CancelFunc
	// answers are to what the call asks; it asks one thing at a time.
	answers chan *frame
	asking  sync.Mutex
}

// Serve carries out the calls that come over the connection, until the other side closes it: then it returns nil, and the process should end at
// once, whatever is under way, as an agent that dies leaves it.
func Serve(ctx context.Context, conn io.ReadWriteCloser, types *resourcetype.Registry, log logr.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{wire: newWire(conn), types: types, log: log, calls: map[uint64]*serving{}}
	for {
		f, err := s.wire.receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch f.Kind {
		case kindCall:
			s.begin(ctx, f)
		case kindCancel:
			if c := s.call(f.ID); c != nil {
				c.cancel()
			}
		case kindAnswer:
			if c := s.call(f.ID); c != nil {
				select {
				case c.answers <- f:
				default: // nobody waits for it any more
				}
			}
		}
	}
}

func (s *server) call(id uint64) *serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}

func (s *server) begin(ctx context.Context, f *frame) {
	ctx, cancel := context.WithCancel(ctx)
	c := &serving{cancel: cancel, answers: make(chan *frame, 1)}
	s.mu.Lock()
	s.calls[f.ID] = c
	s.mu.Unlock()
	go func() {
		defer cancel()
		err := s.run(ctx, f, c)
		s.mu.Lock()
		delete(s.calls, f.ID)
		s.mu.Unlock()
		done := &frame{ID: f.ID, Kind: kindDone}
		if err != nil {
			var denied *deniedError
			done.Failed, done.Text, done.Denied = true, err.Error(), errors.As(err, &denied)
			if lost := (&resourcetype.NetworkLostError{}); errors.As(err, &lost) {
				done.Network = lost.Network
			}
		}
		if err := s.wire.send(done); err != nil {
			s.log.Info("An outcome is not told", "op", f.Op, "reason", err.Error())
		}
	}()
}

// run carries out one call. A panic in it is the call's failure.
func (s *server) run(ctx context.Context, f *frame, c *serving) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the resource type %s panicked: %v", f.Instance.Type, p)
		}
	}()
	t, err := s.types.Get(f.Instance.Type)
	if err != nil {
		return err
	}
	inst := s.furnish(ctx, f, c)
	switch f.Op {
	case opOnline:
		return t.Online(ctx, inst)
	case opOffline:
		return t.Offline(ctx, inst)
	case opTerminate:
		return t.Terminate(ctx, inst)
	case opLooksAlive:
		return t.LooksAlive(ctx, inst)
	case opIsAlive:
		return t.IsAlive(ctx, inst)
	case opAdopt:
		return t.Adopt(ctx, inst)
	case opWatch:
		return watch(ctx, t, inst)
	}
	return fmt.Errorf("there is no call %q", f.Op)
}

// watch returns when the resource has failed, or nil when the call was cancelled.
func watch(ctx context.Context, t resourcetype.Type, inst *resourcetype.Instance) error {
	w, ok := t.(resourcetype.Watcher)
	if !ok {
		return fmt.Errorf("type %s cannot be watched", inst.Type)
	}
	failures, err := w.Watch(ctx, inst)
	if err != nil {
		return err
	}
	for {
		select {
		case err, open := <-failures:
			if open {
				return err
			}
			failures = nil // it has nothing more to tell: the polls go on
		case <-ctx.Done():
			return nil
		}
	}
}

// furnish gives the instance what asks the agent.
func (s *server) furnish(ctx context.Context, f *frame, c *serving) *resourcetype.Instance {
	inst := f.Instance
	inst.Log = s.log.WithValues("resource", inst.Resource.String(), "type", inst.Type)
	inst.SaveData = func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding the run state: %w", err)
		}
		answer, err := s.ask(ctx, c, &frame{ID: f.ID, Kind: kindSave, Data: raw})
		if err == nil && answer.Failed {
			err = errors.New(answer.Text)
		}
		return err
	}
	inst.MayAct = func() error {
		answer, err := s.ask(ctx, c, &frame{ID: f.ID, Kind: kindMayAct})
		if err == nil && answer.Failed {
			err = &deniedError{answer.Text}
		}
		return err
	}
	inst.Progress = func(message string) {
		if err := s.wire.send(&frame{ID: f.ID, Kind: kindProgress, Text: message}); err != nil {
			s.log.V(1).Info("Progress is not told", "reason", err.Error())
		}
	}
	return inst
}

// ask waits for the agent's answer: without it nothing may be done.
func (s *server) ask(ctx context.Context, c *serving, f *frame) (*frame, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	select {
	case <-c.answers: // one to a question that was given up
	default:
	}
	if err := s.wire.send(f); err != nil {
		return nil, errors.Join(errAgentGone, err)
	}
	select {
	case answer := <-c.answers:
		return answer, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the agent: %w", ctx.Err())
	}
}
