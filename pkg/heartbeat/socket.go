package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDatagram is the largest datagram that is sent or read. A cluster of 64 nodes needs about 1.5 KiB.
const maxDatagram = 8192

// socket is bound to the node's own address on one network.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	// rearm lets the watcher look again after everything has been read.
	rearm chan struct{}
	done  chan struct{}
	ipv4  bool
}

// listen binds to the address; the error is the kernel's, such as EADDRNOTAVAIL while the address is not there yet.
func listen(local netip.AddrPort) (*socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		if err := c.Control(func(fd uintptr) {
			// A new agent may start while the kernel still has the old one's socket.
			inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}); err != nil {
			return err
		}
		return inner
	}}
	conn, err := config.ListenPacket(context.Background(), "udp", local.String())
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", local, err)
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", local, err), udp.Close())
	}
	return &socket{
		conn: udp, raw: raw, rearm: make(chan struct{}, 1), done: make(chan struct{}), ipv4: local.Addr().Unmap().Is4(),
	}, nil
}

// watch signals wake whenever there is something to read, and leaves the reading to the loop: so whatever is in the kernel's buffer
// when a frozen host thaws is read before the loop looks at any timer, and nothing is under way in another goroutine.
func (s *socket) watch(wake chan<- struct{}) {
	var peek [1]byte
	for {
		err := s.raw.Read(func(fd uintptr) bool {
			_, _, err := unix.Recvfrom(int(fd), peek[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
		})
		if err != nil {
			return // closed
		}
		select {
		case wake <- struct{}{}:
		default:
		}
		select {
		case <-s.rearm:
		case <-s.done:
			return
		}
	}
}

// read returns the next datagram that the kernel has, without waiting; ok is false when there is none.
func (s *socket) read(buffer []byte) (n int, from netip.AddrPort, ok bool) {
	err := s.raw.Control(func(fd uintptr) {
		for {
			var sa unix.Sockaddr
			var err error
			n, sa, err = unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case err != nil:
				return
			}
			from, ok = addrPort(sa), true
			return
		}
	})
	return n, from, ok && err == nil
}

// drained tells the watcher that the loop has read everything.
func (s *socket) drained() {
	select {
	case s.rearm <- struct{}{}:
	default:
	}
}

// send never waits: a datagram that the kernel has no room for is lost, as on the wire.
func (s *socket) send(datagram []byte, to netip.AddrPort) error {
	var inner error
	if err := s.raw.Control(func(fd uintptr) {
		inner = unix.Sendto(int(fd), datagram, unix.MSG_DONTWAIT, sockaddr(to, s.ipv4))
	}); err != nil {
		return fmt.Errorf("sending to %s: %w", to, err)
	}
	if inner != nil {
		return fmt.Errorf("sending to %s: %w", to, inner)
	}
	return nil
}

func (s *socket) close() {
	close(s.done)
	// Nothing is lost by an error here: datagrams have no state.
	_ = s.conn.Close()
}

func sockaddr(to netip.AddrPort, ipv4 bool) unix.Sockaddr {
	if ipv4 {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	default:
		return netip.AddrPort{}
	}
}
