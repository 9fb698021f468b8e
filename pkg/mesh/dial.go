package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// order is how the addresses are tried: as configured, with those on which a connection has just failed last.
func (o *peer) order() []netip.AddrPort {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for a, at := range o.suspect {
		if now.Sub(at) > suspectFor {
			delete(o.suspect, a)
		}
	}
	addresses := slices.Clone(o.addresses)
	slices.SortStableFunc(addresses, func(a, b netip.AddrPort) int { return cmp.Compare(o.suspect[a].Unix(), o.suspect[b].Unix()) })
	return addresses
}

type attempt struct {
	conn    *secured
	address netip.AddrPort
	err     error
}

// dial tries all addresses, each a little after the one before or as soon as that has failed, and returns the first connection whose
// handshake is done.
func (o *peer) dial(ctx context.Context) (*secured, netip.AddrPort, error) {
	addresses := o.order()
	if len(addresses) == 0 {
		return nil, netip.AddrPort{}, errors.New("the node has no address on an internal network of this node")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	done := make(chan attempt, len(addresses))
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	var failures []error
	for begun, ended := 0, 0; ended < len(addresses); {
		if begun < len(addresses) && begun == ended {
			o.mesh.tasks.Go(o.attempt(ctx, addresses[begun], done))
			begun++
			timer.Reset(stagger)
		}
		select {
		case <-timer.C:
			if begun < len(addresses) {
				o.mesh.tasks.Go(o.attempt(ctx, addresses[begun], done))
				begun++
				timer.Reset(stagger)
			}
		case a := <-done:
			if a.err == nil {
				o.mesh.tasks.Go(func() { closeLosers(done, begun-ended-1) })
				return a.conn, a.address, nil
			}
			ended++
			o.suspects(a.address, a.err)
			failures = append(failures, fmt.Errorf("%s: %w", a.address, a.err))
		}
	}
	return nil, netip.AddrPort{}, errors.Join(failures...)
}

// suspects notes that a connection to the address came to nothing, unless the peer itself has said no: then its network is well.
func (o *peer) suspects(address netip.AddrPort, err error) {
	var no refusal
	if isEnd(err) || isLost(err) || errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &no) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.suspect[address] = time.Now()
}

// closeLosers closes the connections that were made beside the first.
func closeLosers(done <-chan attempt, left int) {
	for range left {
		if a := <-done; a.err == nil {
			_ = a.conn.conn.Close()
		}
	}
}

func (o *peer) attempt(ctx context.Context, address netip.AddrPort, done chan<- attempt) func() {
	return func() {
		c, err := o.reach(ctx, address)
		done <- attempt{conn: c, address: address, err: err}
	}
}

// reach connects to one address, with the newest key that the other side accepts.
func (o *peer) reach(ctx context.Context, address netip.AddrPort) (*secured, error) {
	keys := o.mesh.secrets()
	if len(keys) == 0 {
		return nil, errors.New("there is no key")
	}
	for i, key := range keys {
		c, err := o.greet(ctx, address, key)
		if errors.Is(err, refusedKey) && i+1 < len(keys) {
			continue
		}
		return c, err
	}
	return nil, refusedKey
}

// greet connects and does the handshake, before the deadline of ctx.
func (o *peer) greet(ctx context.Context, address netip.AddrPort, key secret) (*secured, error) {
	conn, err := o.mesh.cfg.DialContext(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	tune(conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	deadline, _ := ctx.Deadline()
	err = conn.SetDeadline(deadline)
	var c *secured
	if err == nil {
		c, err = initiate(conn, o.mesh.cfg.Cluster, o.mesh.cfg.Self, o.id, key)
	}
	if !stop() && err == nil {
		err = ctx.Err() // another address was faster
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}
