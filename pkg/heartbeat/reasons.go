package heartbeat

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// ErrReplayed: not newer than what was heard from the same node on the same network.
	ErrReplayed = errors.New("replayed or late")
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
	{ErrUnknown, "UnknownSender"},
}

// Drop is what a Stats tells of one reason.
type Drop struct {
	// Reason is Garbled, OtherVersion, OtherCluster, Forged, Replayed or UnknownSender.
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
	Drops                      []Drop
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
	sent, sendErrors, received atomic.Uint64

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
		Drops: append([]Drop(nil), c.drops...),
	}
}

var (
	descSent = prometheus.NewDesc("quorate_heartbeat_datagrams_sent_total",
		"Heartbeat datagrams that were handed to the kernel, counted once for each network.", nil, nil)
	descSendErrors = prometheus.NewDesc("quorate_heartbeat_send_errors_total",
		"Heartbeat datagrams that the kernel refused to send.", nil, nil)
	descReceived = prometheus.NewDesc("quorate_heartbeat_datagrams_received_total",
		"Heartbeat datagrams that were accepted.", nil, nil)
	descDropped = prometheus.NewDesc("quorate_heartbeat_datagrams_dropped_total",
		"Heartbeat datagrams that were dropped, by reason.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (t *Transport) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSent, descSendErrors, descReceived, descDropped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector; it may run beside the loop that owns the transport.
func (t *Transport) Collect(ch chan<- prometheus.Metric) {
	s := t.Stats()
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	counter(descSent, s.Sent)
	counter(descSendErrors, s.SendErrors)
	counter(descReceived, s.Received)
	for _, d := range s.Drops {
		counter(descDropped, d.Count, d.Reason)
	}
}
