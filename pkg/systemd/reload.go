package systemd

import (
	"context"
	"fmt"
	"sync/atomic"
)

// reloads shares reloads: systemd does nothing else meanwhile, so that many groups that start at once must not each have one.
type reloads struct {
	asked atomic.Uint64
	// turn is held by whoever reloads; done is the newest request that a reload has come after.
	turn chan struct{}
	done uint64
}

// Reload has systemd read the files of all units again: those that were there when it was called.
func (m *Manager) Reload(ctx context.Context) error {
	return m.reloads.shared(ctx, func(ctx context.Context) error {
		conn, err := m.connected(ctx)
		if err != nil {
			return err
		}
		if err := conn.ReloadContext(ctx); err != nil {
			return fmt.Errorf("having systemd read its units again: %w", err)
		}
		return nil
	})
}

// shared runs f, or waits for one that has begun after this call.
func (r *reloads) shared(ctx context.Context, f func(context.Context) error) error {
	mine := r.asked.Add(1)
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for another reload of systemd: %w", ctx.Err())
	}
	if r.done >= mine {
		return nil
	}
	covers := r.asked.Load()
	if err := f(ctx); err != nil {
		return err
	}
	r.done = covers
	return nil
}
