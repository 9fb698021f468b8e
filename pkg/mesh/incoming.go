package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// listen makes the listeners fit the addresses. It is called with the lock held.
func (m *Mesh) listen(ctx context.Context, addresses []netip.AddrPort) {
	for address, l := range m.listeners {
		if !slices.Contains(addresses, address) {
			_ = l.Close()
			delete(m.listeners, address)
		}
	}
	for address := range m.deaf {
		if !slices.Contains(addresses, address) {
			delete(m.deaf, address)
		}
	}
	for _, address := range addresses {
		if m.listeners[address] != nil || ctx.Err() != nil {
			continue
		}
		l, err := m.cfg.ListenTCP(ctx, address)
		if err != nil {
			if m.deaf[address] != err.Error() {
				m.log.Info("Cannot listen for other agents yet; trying again", "address", address.String(), "reason", err.Error())
			}
			m.deaf[address] = err.Error()
			continue
		}
		delete(m.deaf, address)
		m.listeners[address] = l
		m.log.Info("Listening for other agents", "address", address.String())
		m.tasks.Go(func() { m.accept(ctx, l) })
	}
}

// accept takes connections until the listener is closed. Without room for one more file the kernel keeps them waiting.
func (m *Mesh) accept(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			m.admit(ctx, conn)
		case isEnd(err) || ctx.Err() != nil:
			return
		default:
			m.sayOnce("accept "+l.Addr().String(), "A connection of another agent cannot be accepted", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(redialLeast):
			}
		}
	}
}

// admit begins the handshake of a connection. If there are too many, the one that has taken the longest is closed.
func (m *Mesh) admit(ctx context.Context, conn net.Conn) {
	m.mu.Lock()
	if len(m.pending) >= maxPending {
		_ = m.pending[0].Close()
		m.pending = m.pending[1:]
	}
	m.pending = append(m.pending, conn)
	m.mu.Unlock()
	m.tasks.Go(func() {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		m.serve(conn)
		_ = conn.Close()
	})
}

func (m *Mesh) settled(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.pending, conn); i >= 0 {
		m.pending = slices.Delete(m.pending, i, i+1)
	}
}

// serve reads a connection from its handshake to its end.
func (m *Mesh) serve(conn net.Conn) {
	tune(conn)
	from, c, err := m.greet(conn)
	m.settled(conn)
	if err != nil {
		m.refuse(conn, from, err)
		return
	}
	if !m.enter(from, c) {
		return
	}
	err = m.hear(from, c)
	m.leave(from, c, err)
}

// greet does the handshake, up to the first frame, which shows that the other side is there.
func (m *Mesh) greet(conn net.Conn) (model.NodeID, *secured, error) {
	if err := conn.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return 0, nil, fmt.Errorf("setting a deadline: %w", err)
	}
	c, from, err := respond(conn, m.cfg.Cluster, m.cfg.Self, m.isPeer, m.secrets())
	if err != nil {
		return from, nil, err
	}
	switch k, _, err := c.read(); {
	case err != nil:
		return from, nil, fmt.Errorf("the first frame: %w", err)
	case k != kindPing:
		return from, nil, fmt.Errorf("the first frame is of kind %d and no ping", k)
	}
	if err := c.write(kindAnswer, nil); err != nil {
		return from, nil, err
	}
	return from, c, nil
}

// refuse counts and logs a connection that came to nothing.
func (m *Mesh) refuse(conn net.Conn, from model.NodeID, err error) {
	reason := reasonOf(err)
	m.count(reason)
	remote, _, splitErr := net.SplitHostPort(conn.RemoteAddr().String())
	if splitErr != nil {
		remote = conn.RemoteAddr().String()
	}
	if reason != reasonLost {
		m.sayOnce("refuse "+remote+" "+reason, "A connection was refused", err, "address", remote, "claims", from)
	}
}

func (m *Mesh) count(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[reason]++
}

// Reasons of Refused beside those of a refusal.
const (
	reasonForged  = "Forged"
	reasonTimeout = "Timeout"
	reasonGarbled = "Garbled"
	// reasonLost was ended before its handshake was: another address of the peer was faster, or there were too many at once.
	reasonLost = "Lost"
	// reasonUnread is a message on a good connection.
	reasonUnread = "Unread"
)

func reasonOf(err error) string {
	var no refusal
	switch {
	case errors.As(err, &no):
		return no.String()
	case errors.Is(err, errForged):
		return reasonForged
	case isTimeout(err):
		return reasonTimeout
	case isLost(err):
		return reasonLost
	default:
		return reasonGarbled
	}
}

// enter makes the connection the one from its peer; an earlier one is closed. It refuses one whose peer or key has gone meanwhile.
func (m *Mesh) enter(from model.NodeID, c *secured) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.peers[from]
	if o == nil || !m.accepts(c.key) {
		return false
	}
	if before := m.incoming[from]; before != nil {
		_ = before.conn.Close()
	}
	m.incoming[from] = c
	// The peer is there: whatever failed before is worth trying now.
	signal(o.redial)
	return true
}

func (m *Mesh) leave(from model.NodeID, c *secured, err error) {
	m.mu.Lock()
	if m.incoming[from] == c {
		delete(m.incoming, from)
	}
	m.mu.Unlock()
	if !isEnd(err) && !isLost(err) {
		m.sayOnce(fmt.Sprintf("hear %d", from), "The connection from another agent has ended", err, "node", from)
	}
}

// hear takes messages until the connection fails. Each frame is answered before it is looked at, so that the peer sees progress.
func (m *Mesh) hear(from model.NodeID, c *secured) error {
	var parts assembler
	for {
		if err := c.conn.SetDeadline(time.Now().Add(silentAfter)); err != nil {
			return fmt.Errorf("setting a deadline: %w", err)
		}
		k, data, err := c.read()
		if isTimeout(err) {
			return errSilent
		}
		if err != nil {
			return err
		}
		packed, err := parts.add(k, data)
		if err != nil {
			return err
		}
		if err := c.write(kindAnswer, nil); err != nil {
			return err
		}
		if packed == nil {
			continue
		}
		if !m.keep(from, c, packed) {
			return net.ErrClosed
		}
	}
}

// keep puts a message into the inbox of its peer. It refuses one of a connection that another has replaced: it may be older.
func (m *Mesh) keep(from model.NodeID, c *secured, packed []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.peers[from]
	if o == nil || m.incoming[from] != c {
		return false
	}
	o.inbox.put(packed)
	return true
}
