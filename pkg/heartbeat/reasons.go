package heartbeat

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Why a datagram is dropped. Test with errors.Is.
var (
	// ErrGarbled: it is no datagram of ours, is cut short, or a field is out of bounds.
	ErrGarbled = errors.New("garbled")
	// ErrVersion: its body belongs to a version of the protocol that this node does not understand.
	ErrVersion = errors.New("other version of the protocol")
	// ErrCluster: another cluster's.
	ErrCluster = errors.New("another cluster's datagram")
	// ErrForged: its authentication fits none of the keys.
	ErrForged = errors.New("authentication failed")
	// ErrReplayed: heard before from the same node on the same network, or older than anybody waits for.
	ErrReplayed = errors.New("repeated or replayed")
	// ErrLate: a later one of the same node has overtaken it on the same network.
	ErrLate = errors.New("overtaken by a later one")
	// ErrUnknown: from a node that is not configured, or from oneself.
	ErrUnknown = errors.New("unknown sender")
)

// reasons in the order of their counters.
var reasons = []struct {
	err  error
	name string
}{
	{ErrGarbled, "Garbled"},
	{ErrVersion, "OtherVersion"},
	{ErrCluster, "OtherCluster"},
	{ErrForged, "Forged"},
	{ErrReplayed, "Replayed"},
	{ErrLate, "Late"},
	{ErrUnknown, "UnknownSender"},
}

// Drop is what a Stats tells of one reason.
type Drop struct {
	// Reason is Garbled, OtherVersion, OtherCluster, Forged, Replayed, Late or UnknownSender.
	Reason string
	Count  uint64
	// LastAt is when the last one came (time since boot), LastFrom and Network where from; zero when none did.
	LastAt   time.Duration
	LastFrom string
	Network  string
}

// Stats counts datagrams since the start of the process.
type Stats struct {
	Sent, SendErrors, Received uint64
	// SentBytes and ReceivedBytes are without the headers of UDP and IP.
	SentBytes, ReceivedBytes uint64
	Drops                    []Drop
}

// Drop returns the figures of one reason.
func (s Stats) Drop(reason string) Drop {
	for _, d := range s.Drops {
		if d.Reason == reason {
			return d
		}
	}
	return Drop{Reason: reason}
}

// counters are written by the loop and read by anybody.
type counters struct {
	sent, sendErrors, received, sentBytes, receivedBytes atomic.Uint64

	mu    sync.Mutex
	drops []Drop
}

func newCounters() *counters {
	c := &counters{drops: make([]Drop, len(reasons))}
	for i, r := range reasons {
		c.drops[i].Reason = r.name
	}
	return c
}

func (c *counters) send(size int) {
	c.sent.Add(1)
	c.sentBytes.Add(uint64(size))
}

func (c *counters) hear(size int) {
	c.received.Add(1)
	c.receivedBytes.Add(uint64(size))
}

func (c *counters) drop(err error, now time.Duration, from netip.Addr, network string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range reasons {
		if errors.Is(err, r.err) {
			d := &c.drops[i]
			d.Count++
			d.LastAt, d.LastFrom, d.Network = now, from.String(), network
			return
		}
	}
}

func (c *counters) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Sent: c.sent.Load(), SendErrors: c.sendErrors.Load(), Received: c.received.Load(),
		SentBytes: c.sentBytes.Load(), ReceivedBytes: c.receivedBytes.Load(), Drops: append([]Drop(nil), c.drops...),
	}
}
