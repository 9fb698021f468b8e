package reservation

import (
	"context"
	"time"
)

// messageTimeout is how long the device mapper may take over one message.
const messageTimeout = 5 * time.Second

// deadPath is a path of which it is known that it does not answer.
type deadPath struct {
	name string
	err  error
}

func (d deadPath) Name() string                                       { return d.name }
func (d deadPath) ReadStatus(context.Context) (Status, error)         { return Status{}, d.err }
func (d deadPath) Register(context.Context, Key, Key) error           { return d.err }
func (d deadPath) RegisterIgnore(context.Context, Key) error          { return d.err }
func (d deadPath) Reserve(context.Context, Key) error                 { return d.err }
func (d deadPath) Release(context.Context, Key) error                 { return d.err }
func (d deadPath) PreemptAbort(_ context.Context, _ Key, _ Key) error { return d.err }
func (d deadPath) Clear(context.Context, Key) error                   { return d.err }
func (d deadPath) LUNReset(context.Context) error                     { return d.err }
