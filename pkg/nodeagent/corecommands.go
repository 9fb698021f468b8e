package nodeagent

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// do runs a command on the loop and returns its error; it fails when ctx ends first.
func (c *core) do(ctx context.Context, command func() error) error {
	result := make(chan error, 1)
	select {
	case c.commands <- func() { result <- command() }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reconfigure takes over changed settings of the same node.
func (c *core) reconfigure(ctx context.Context, s *Settings) error {
	return c.do(ctx, func() error { return c.configure(s, nil, nil) })
}

// begin starts the machine of a node that has just been enrolled.
func (c *core) begin(ctx context.Context, s *Settings, burnt func(model.Generation) bool, seed membership.Persistent) error {
	return c.do(ctx, func() error { return c.start(s, burnt, seed) })
}

// setReady says that nothing is left of the generations before this one (rule O3). It is ignored when quorum was lost meanwhile.
func (c *core) setReady(ctx context.Context, generation model.Generation) error {
	return c.do(ctx, func() error {
		if c.machine == nil || c.machine.Status(c.now()).Self.Generation != generation {
			return fmt.Errorf("generation %d is over", generation)
		}
		c.machine.SetReady(true, c.now())
		return nil
	})
}

func (c *core) setReachesAPI(ctx context.Context, reaches bool) error {
	return c.do(ctx, func() error {
		c.reachesAPI = &reaches
		if c.machine != nil {
			c.machine.SetReachesAPI(reaches, c.now())
		}
		return nil
	})
}

// setPending has heartbeats say whether this node goes by its journal. When it returns nil they do: the word is kept for a later agent, and
// is on its way to the peers.
func (c *core) setPending(ctx context.Context, pending bool) error {
	err := c.do(ctx, func() error {
		c.pending = &pending
		if c.machine != nil {
			c.machine.SetPending(pending, c.now())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.do(ctx, func() error { // the loop has made a step between the two
		if c.trouble != "" {
			return errors.New(c.trouble)
		}
		return nil
	})
}

func (c *core) setServes(ctx context.Context, serves bool) error {
	return c.do(ctx, func() error {
		if c.machine != nil {
			c.machine.SetServes(serves, c.now())
		}
		return nil
	})
}

// setState says that there is a newer copy of the cluster's state for the witness.
func (c *core) setState(ctx context.Context, version uint64) error {
	return c.do(ctx, func() error {
		if c.machine != nil {
			c.machine.SetState(version, c.now())
		}
		return nil
	})
}

// force gives this node a vote record by an operator's word (A40, A42).
func (c *core) force(ctx context.Context) error {
	return c.do(ctx, func() error {
		if c.machine == nil {
			return errors.New("the node is not enrolled yet")
		}
		return c.machine.Force(c.now())
	})
}

// prevent keeps this node from forming a quorum, or takes that back (A41).
func (c *core) prevent(ctx context.Context, prevent bool) error {
	return c.do(ctx, func() error {
		if c.machine == nil {
			return errors.New("the node is not enrolled yet")
		}
		c.machine.Prevent(prevent, c.now())
		return nil
	})
}

// form is the explicit first formation (rule R11).
func (c *core) form(ctx context.Context, members []model.NodeID) error {
	return c.do(ctx, func() error {
		if c.machine == nil {
			return errors.New("the node is not enrolled yet")
		}
		return c.machine.Form(*quorum.NewRecord(1, 0, members), c.now())
	})
}

// reset forgets the node's part in the cluster but for what must only grow: for a node that was deleted and made again with another
// id. Nothing may run.
func (c *core) reset(ctx context.Context, seed membership.Persistent) error {
	return c.do(ctx, func() error {
		c.transport.Close()
		c.machine, c.settings, c.unwritten = nil, nil, nil
		return c.files.forgetMembership(&seed)
	})
}
