package lab

import (
	"context"
	"net"
)

// Dial connects from a host to an address and port, as a program there does: for clients that are Go code of the caller. The name of a host
// is not looked up.
func (l *Lab) Dial(ctx context.Context, host, network, address string) (net.Conn, error) {
	h, err := l.enter(host)
	if err != nil {
		return nil, err
	}
	return h.Dial(ctx, network, address)
}
