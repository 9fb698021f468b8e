package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxDatagram is the largest datagram that is sent or read. A cluster of 64 nodes needs less than what fits into one Ethernet frame
// (TestDatagramSize); a larger one would still arrive, in fragments.
const maxDatagram = 8192

// socket is bound to the node's own address on one network.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	// rearm lets the watcher look again after everything has been read.
	rearm chan struct{}
	done  chan struct{}
	ipv4  bool

	// The functions are made once and work on the fields below: one made for each datagram would be garbage.
	receive, transmit func(fd uintptr)
	buffer            []byte
	from              unix.RawSockaddrAny
	size              int
	outgoing          []byte
	to                unix.Sockaddr
	err               error
}

// listen binds to the address; the error is the kernel's, such as EADDRNOTAVAIL while the address is not there yet.
func listen(local netip.AddrPort) (*socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		if err := c.Control(func(fd uintptr) {
			// A new agent may start while the kernel still has the old one's socket.
			inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			widen(int(fd))
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
	s := &socket{
		conn: udp, raw: raw, rearm: make(chan struct{}, 1), done: make(chan struct{}), ipv4: local.Addr().Unmap().Is4(),
	}
	s.receive = func(fd uintptr) { s.size, s.err = recvfrom(fd, s.buffer, &s.from) }
	s.transmit = func(fd uintptr) { s.err = unix.Sendto(int(fd), s.outgoing, unix.MSG_DONTWAIT, s.to) }
	return s, nil
}

// receiveBuffer has room for what 64 peers send while this host stands still for a second, or all at once when something has changed: a
// datagram takes about 2 kB of it.
const receiveBuffer = 2 << 20

// widen asks for the buffer. Without CAP_NET_ADMIN the kernel gives net.core.rmem_max at most, which does for small clusters.
func widen(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
}

// watch signals wake whenever there is something to read, and leaves the reading to the loop: so whatever is in the kernel's buffer
// when a frozen host thaws is read before the loop looks at any timer, and nothing is under way in another goroutine.
func (s *socket) watch(wake chan<- struct{}) {
	var peek [1]byte
	readable := func(fd uintptr) bool {
		_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&peek[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
	for {
		if err := s.raw.Read(readable); err != nil {
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

// read returns the size of the next datagram that the kernel has, without waiting; ok is false when there is none.
func (s *socket) read(buffer []byte) (n int, ok bool) {
	s.buffer = buffer
	err := s.raw.Control(s.receive)
	return s.size, err == nil && s.err == nil
}

// sender is where the datagram that was read last came from.
func (s *socket) sender() netip.Addr {
	switch s.from.Addr.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.from)).Addr)
	case unix.AF_INET6:
		return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&s.from)).Addr).Unmap()
	default:
		return netip.Addr{}
	}
}

// recvfrom is unix.Recvfrom without an address on the heap.
func recvfrom(fd uintptr, buffer []byte, from *unix.RawSockaddrAny) (int, error) {
	for {
		size := uint32(unix.SizeofSockaddrAny)
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// drained tells the watcher that the loop has read everything.
func (s *socket) drained() {
	select {
	case s.rearm <- struct{}{}:
	default:
	}
}

// send never waits: a datagram that the kernel has no room for is lost, as on the wire.
func (s *socket) send(datagram []byte, to unix.Sockaddr) error {
	s.outgoing, s.to = datagram, to
	if err := s.raw.Control(s.transmit); err != nil {
		return err
	}
	return s.err
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
