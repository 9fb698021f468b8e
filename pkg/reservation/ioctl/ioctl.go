// Package ioctl asks a disk's device node, and never waits for it without end.
package ioctl

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/bounded"
)

// grace is how much longer than its timeout a command is waited for: the kernel needs a moment to abort it. One that the kernel
// cannot abort is left behind.
const grace = 2 * time.Second

// Do opens the node and calls f with it. limit is the timeout that f gives to the kernel; a call that the kernel does not end by itself
// is left behind (bounded.ErrHung). A node that cannot be opened is wrapped in dead, the caller's word for a path that does not work.
func Do[T any](ctx context.Context, node blockdev.Node, limit time.Duration, dead error, f func(fd int) (T, error)) (T, error) {
	return bounded.Do(ctx, node.Path(), limit+grace, func() (T, error) {
		fd, err := node.Open()
		if err != nil {
			var none T
			return none, fmt.Errorf("%w: %w", dead, err)
		}
		defer func() { _ = unix.Close(fd) }()
		return f(fd)
	})
}
