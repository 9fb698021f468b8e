package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
)

// peer is the connection to one peer, the message that waits for it, and those of the peer that wait for Receive.
type peer struct {
	mesh   *Mesh
	id     model.NodeID
	cancel context.CancelFunc
	// wake says that a message waits, redial that the peer has just been heard of.
	wake, redial chan struct{}

	mu        sync.Mutex
	waiting   *autonomy.Message
	since     time.Time
	addresses []netip.AddrPort
	suspect   map[netip.AddrPort]time.Time
	current   *secured
	link      Link

	inbox inbox
}

func newPeer(m *Mesh, id model.NodeID) *peer {
	return &peer{
		mesh: m, id: id, wake: make(chan struct{}, 1), redial: make(chan struct{}, 1), suspect: map[netip.AddrPort]time.Time{},
		link: Link{Peer: id, Since: time.Now()}, inbox: inbox{wake: make(chan struct{}, 1)},
	}
}

func (o *peer) put(msg *autonomy.Message) {
	o.mu.Lock()
	o.waiting, o.since = msg, time.Now()
	o.mu.Unlock()
	signal(o.wake)
}

// take returns the message that waits, nil when there is none or it is too old.
func (o *peer) take() *autonomy.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	msg := o.waiting
	o.waiting = nil
	if time.Since(o.since) > staleAfter {
		return nil
	}
	return msg
}

func (o *peer) setAddresses(addresses []netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addresses = append(o.addresses[:0:0], addresses...)
}

func (o *peer) connection() *secured {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

// run dials and serves until ctx ends.
func (o *peer) run(ctx context.Context) {
	pause := redialLeast
	for ctx.Err() == nil {
		c, address, err := o.dial(ctx)
		if err != nil {
			o.failed(err)
			o.wait(ctx, pause)
			pause = min(2*pause, redialMost)
			continue
		}
		begun := time.Now()
		o.connected(c, address)
		err = o.serve(ctx, c)
		_ = c.conn.Close()
		o.lost(ctx, err, address)
		if time.Since(begun) > redialMost {
			pause = redialLeast
			continue
		}
		// The other side has second thoughts, such as about a peer that it has just been told to forget.
		o.wait(ctx, pause)
		pause = min(2*pause, redialMost)
	}
}

func (o *peer) wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-o.redial:
	}
}

func (o *peer) failed(err error) {
	o.mu.Lock()
	o.link.Trouble = err.Error()
	o.mu.Unlock()
	if !isEnd(err) {
		o.mesh.sayOnce(fmt.Sprintf("dial %d", o.id), "No connection to another agent", err, "node", o.id)
	}
}

func (o *peer) connected(c *secured, address netip.AddrPort) {
	o.mu.Lock()
	o.current = c
	o.link = Link{Peer: o.id, Connected: true, Address: address, Key: c.key, Since: time.Now()}
	delete(o.suspect, address)
	o.mu.Unlock()
	o.mesh.log.Info("Connected to another agent", "node", o.id, "address", address.String())
}

func (o *peer) lost(ctx context.Context, err error, address netip.AddrPort) {
	o.mu.Lock()
	o.current = nil
	o.link = Link{Peer: o.id, Address: address, Since: time.Now(), Trouble: err.Error()}
	o.mu.Unlock()
	o.suspects(address, err)
	if ctx.Err() == nil {
		o.mesh.log.Info("The connection to another agent has ended", "node", o.id, "address", address.String(), "reason", err.Error())
	}
}

// errSilent says that a peer does not answer.
var errSilent = errors.New("the other side does not answer")

// serve sends what waits until the connection fails; the error says why.
func (o *peer) serve(ctx context.Context, c *secured) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	if err := c.conn.SetDeadline(time.Now().Add(deadAfter)); err != nil {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if err := c.write(kindPing, nil); err != nil {
		return err
	}
	group.Go(func() error { return answers(c) })
	group.Go(func() error { return pings(ctx, c) })
	group.Go(func() error {
		for {
			if msg := o.take(); msg != nil {
				if err := o.send(c, msg); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-o.wake:
			}
		}
	})
	return group.Wait()
}

// answers reads the other side's answers. Some must come at least after each ping.
func answers(c *secured) error {
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(pingEvery + deadAfter)); err != nil {
			return fmt.Errorf("setting a deadline: %w", err)
		}
		k, _, err := c.read()
		switch {
		case isTimeout(err):
			return errSilent
		case err != nil:
			return err
		case k != kindAnswer:
			return fmt.Errorf("a frame of kind %d, where an answer was expected", k)
		}
	}
}

func pings(ctx context.Context, c *secured) error {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := c.extend(); err != nil {
			return err
		}
		if err := c.write(kindPing, nil); err != nil {
			return err
		}
	}
}

// send sends one message. One that cannot be encoded is a fault of this node, not of the connection.
func (o *peer) send(c *secured, msg *autonomy.Message) error {
	packed, err := o.mesh.codec.encode(msg)
	if err != nil {
		o.mesh.sayOnce(fmt.Sprintf("encode %d", o.id), "A message to another agent cannot be sent", err, "node", o.id)
		return nil
	}
	for len(packed) > 0 {
		part := packed[:min(len(packed), maxData)]
		packed = packed[len(part):]
		k := kindPart
		if len(packed) == 0 {
			k = kindLast
		}
		if err := c.extend(); err != nil {
			return err
		}
		if err := c.write(k, part); err != nil {
			return err
		}
	}
	return nil
}

// signal wakes whoever waits on the channel, or will.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
