package mesh

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// maxInbox is how many messages of a peer wait to be decoded and taken. More than one, since they come faster than they are taken only
// for moments; few, since each may be large.
const maxInbox = 4

// inbox keeps the newest messages of a peer, still packed, in order. Decoding and whoever takes them are no part of reading the
// connection: a large message, or a receiver that is busy, must not look to the peer like a host that is dead.
type inbox struct {
	mu      sync.Mutex
	waiting [][]byte
	wake    chan struct{}
}

func (b *inbox) put(packed []byte) {
	b.mu.Lock()
	if len(b.waiting) >= maxInbox {
		b.waiting = b.waiting[1:]
	}
	b.waiting = append(b.waiting, bytes.Clone(packed))
	b.mu.Unlock()
	signal(b.wake)
}

func (b *inbox) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return nil
	}
	packed := b.waiting[0]
	b.waiting = b.waiting[1:]
	return packed
}

// deliver hands the peer's messages over until ctx ends. One that cannot be read is of an agent that is not of this kind or faulty:
// it is said and counted, and the next may be better.
func (o *peer) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.inbox.wake:
		}
		for packed := o.inbox.take(); packed != nil && ctx.Err() == nil; packed = o.inbox.take() {
			msg, err := o.mesh.codec.decode(packed)
			if err != nil {
				o.mesh.count(reasonUnread)
				o.mesh.sayOnce(fmt.Sprintf("decode %d", o.id), "A message of another agent cannot be read", err, "node", o.id)
				continue
			}
			o.mesh.cfg.Receive(o.id, msg)
		}
	}
}
