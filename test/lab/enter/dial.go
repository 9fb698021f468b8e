package enter

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Dial connects from the host, as a program there does. The address must be a number, since names are for the resolver of this process; the
// connection belongs to the caller, so a frozen or dead host does not end it.
func (h Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := h.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(target)
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go onThreadToLose(func() {
		if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("enter the network of %s: %w", h.Name, err)}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address) // its socket is made on this thread
		done <- result{conn, err}
	})
	r := <-done
	return r.conn, r.err
}
