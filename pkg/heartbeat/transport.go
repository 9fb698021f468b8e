package heartbeat

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// DefaultPort is the UDP port when the Cluster names none.
const DefaultPort uint16 = 3343

const (
	// bindRetry is how long a network whose address is not there yet is left alone between two attempts.
	bindRetry = 250 * time.Millisecond
	// drainLimit bounds one Drain, so that a flood cannot keep the loop from its timers.
	drainLimit = 4096
)

// Network is one network that heartbeats run on.
type Network struct {
	Name string
	// Local is the node's own address on it.
	Local netip.Addr
	// Peers are the others' addresses on it.
	Peers map[model.NodeID]netip.Addr
}

// Config is what a Transport needs to know.
type Config struct {
	// ClusterID is carried by every datagram; those of another are dropped.
	ClusterID uint64
	Self      model.NodeID
	// Port is the UDP port on all nodes; 0 means DefaultPort.
	Port uint16
	// Keys authenticate: the first one signs, all are accepted (two during a rotation).
	Keys [][]byte
	// Silence is after how long a link is Down (T = threshold x interval).
	Silence  time.Duration
	Networks []Network
}

// Transport sends and receives on all internal networks. One goroutine owns it; only Stats, Describe and Collect may be called by others.
type Transport struct {
	log      logr.Logger
	now      func() time.Duration
	cfg      Config
	codec    Codec
	wake     chan struct{}
	sockets  map[string]*socket
	local    map[string]netip.AddrPort
	retry    map[string]time.Duration
	links    links
	counters *counters
	buffer   [maxDatagram + 1]byte
	encoded  []byte
}

// NewTransport returns a transport that is silent and deaf until it is configured. now is CLOCK_BOOTTIME.
func NewTransport(now func() time.Duration, log logr.Logger) *Transport {
	return &Transport{
		log: log, now: now, wake: make(chan struct{}, 1), sockets: map[string]*socket{}, local: map[string]netip.AddrPort{},
		retry: map[string]time.Duration{}, links: links{}, counters: newCounters(),
	}
}

// Configure opens and closes sockets so that they fit cfg. A network whose address is missing on this host is tried again by Maintain.
func (t *Transport) Configure(cfg Config) error {
	codec, err := NewCodec(cfg.ClusterID, cfg.Keys)
	if err != nil {
		return err
	}
	if cfg.Port == 0 {
		cfg.Port = DefaultPort
	}
	wanted := map[string]netip.AddrPort{}
	for _, n := range cfg.Networks {
		wanted[n.Name] = netip.AddrPortFrom(n.Local, cfg.Port)
	}
	for name, s := range t.sockets {
		if wanted[name] != t.local[name] {
			s.close()
			delete(t.sockets, name)
		}
	}
	t.local = wanted
	clear(t.retry)
	t.cfg, t.codec = cfg, codec
	known := map[linkKey]bool{}
	for _, n := range cfg.Networks {
		for peer := range n.Peers {
			known[linkKey{peer, n.Name}] = true
			t.links.get(peer, n.Name)
		}
	}
	maps.DeleteFunc(t.links, func(key linkKey, _ *link) bool { return !known[key] })
	t.Maintain()
	return nil
}

// Maintain opens the sockets that could not be opened before. It is cheap when there is nothing to do.
func (t *Transport) Maintain() {
	for name, local := range t.local {
		now := t.now()
		if t.sockets[name] != nil || now < t.retry[name] {
			continue
		}
		s, err := listen(local)
		if err != nil {
			if t.retry[name] == 0 {
				t.log.Info("Cannot listen for heartbeats yet; trying again", "network", name, "reason", err.Error())
			}
			t.retry[name] = now + bindRetry
			continue
		}
		t.sockets[name] = s
		go s.watch(t.wake)
		t.log.Info("Listening for heartbeats", "network", name, "address", local.String())
	}
}

// Readable signals when Drain has something to do.
func (t *Transport) Readable() <-chan struct{} { return t.wake }

// Drain reads all that the kernel has received and hands the good messages over in the order of arrival on each network. The loop
// calls it before it looks at any timer, so that a host that was frozen hears its peers before it judges them.
func (t *Transport) Drain(handle func(now time.Duration, m membership.Message)) {
	for _, name := range slices.Sorted(maps.Keys(t.sockets)) {
		s := t.sockets[name]
		for range drainLimit {
			n, from, ok := s.read(t.buffer[:])
			if !ok {
				break
			}
			now := t.now()
			m, err := t.accept(t.buffer[:n], name, now)
			if err != nil {
				t.counters.drop(err, now, from.Addr().String(), name)
				t.log.V(2).Info("Heartbeat dropped", "network", name, "from", from.String(), "reason", err.Error())
				continue
			}
			t.counters.received.Add(1)
			handle(now, m)
		}
		s.drained()
	}
}

// accept decodes a datagram and checks its sender.
func (t *Transport) accept(datagram []byte, network string, now time.Duration) (membership.Message, error) {
	m, err := t.codec.Decode(datagram)
	if err != nil {
		return m, err
	}
	l, known := t.links[linkKey{m.From, network}]
	if !known || m.From == t.cfg.Self {
		return m, fmt.Errorf("node %d on network %s: %w", m.From, network, ErrUnknown)
	}
	if !l.fresh(m.Incarnation, m.Sequence) {
		return m, fmt.Errorf("node %d, incarnation %d, sequence %d: %w", m.From, m.Incarnation, m.Sequence, ErrReplayed)
	}
	l.hear(now, t.cfg.Silence)
	return m, nil
}

// Send sends a message to every peer on every network. The error is about the message; what the kernel refuses to send is only
// counted: to the protocol it is a lost datagram.
func (t *Transport) Send(m membership.Message) error {
	encoded, err := t.codec.Append(t.encoded[:0], m)
	if err != nil {
		return err
	}
	t.encoded = encoded
	for _, n := range t.cfg.Networks {
		s := t.sockets[n.Name]
		if s == nil {
			continue
		}
		for _, to := range n.Peers {
			if err := s.send(encoded, netip.AddrPortFrom(to, t.cfg.Port)); err != nil {
				t.counters.sendErrors.Add(1)
				t.log.V(2).Info("Heartbeat not sent", "network", n.Name, "reason", err.Error())
				continue
			}
			t.counters.sent.Add(1)
		}
	}
	return nil
}

// Links tells how each peer is heard on each network, in order of peer and network.
func (t *Transport) Links() []Link { return t.links.list(t.now(), t.cfg.Silence) }

// Listening tells for each network whether its socket is open.
func (t *Transport) Listening() map[string]bool {
	out := map[string]bool{}
	for name := range t.local {
		out[name] = t.sockets[name] != nil
	}
	return out
}

// Stats may be called from any goroutine.
func (t *Transport) Stats() Stats { return t.counters.stats() }

// Close closes all sockets.
func (t *Transport) Close() {
	for name, s := range t.sockets {
		s.close()
		delete(t.sockets, name)
	}
	clear(t.local)
}
