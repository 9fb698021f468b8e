package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialer makes plain TCP: the pings are its keepalives, and a connection stays on the network that it was made on.
func dialer() *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d
}

func listenTCP(ctx context.Context, address netip.AddrPort) (net.Listener, error) {
	c := net.ListenConfig{KeepAlive: -1}
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", address.String())
}

// tune lets go of a connection soon after its peer is gone: what was sent is not tried again for minutes by the kernel, and neither
// is the end of the connection. Sockets that are no TCP (of tests) stay as they are, and so does one that refuses: the pings notice a
// dead peer without this.
func tune(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((silentAfter / time.Millisecond)))
	})
}

// extend gives the next write time. It fails on a connection that was closed.
func (s *secured) extend() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(pingEvery + deadAfter)); err != nil {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	return nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isLost says that the other side, or the network, has ended a connection.
func isLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, net.ErrClosed)
}
