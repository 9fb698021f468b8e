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
	// Versions are Supported when zero; only tests of other builds' agents set them.
	Versions Versions
}

// Transport sends and receives on all internal networks. One goroutine owns it; only Stats, Describe and Collect may be called by others.
type Transport struct {
	log      logr.Logger
	now      func() time.Duration
	cfg      Config
	codec    *Codec
	wake     chan struct{}
	sockets  map[string]*socket
	local    map[string]netip.AddrPort
	retry    map[string]time.Duration
	links    links
	peers    peers
	counters *counters
	buffer   [maxDatagram + 1]byte
	received Datagram
	outgoing Datagram
	wires    wires
}

// NewTransport returns a transport that is silent and deaf until it is configured. now is CLOCK_BOOTTIME.
func NewTransport(now func() time.Duration, log logr.Logger) *Transport {
	return &Transport{
		log: log, now: now, wake: make(chan struct{}, 1), sockets: map[string]*socket{}, local: map[string]netip.AddrPort{},
		retry: map[string]time.Duration{}, links: links{}, peers: peers{}, counters: newCounters(),
	}
}

// Configure opens and closes sockets so that they fit cfg. A network whose address is missing on this host is tried again by Maintain.
func (t *Transport) Configure(cfg Config) error {
	if cfg.Versions.Zero() {
		cfg.Versions = Supported
	}
	codec, err := NewCodec(cfg.ClusterID, cfg.Versions, cfg.Keys)
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
			t.peers.get(peer)
		}
	}
	maps.DeleteFunc(t.links, func(key linkKey, _ *link) bool { return !known[key] })
	maps.DeleteFunc(t.peers, func(id model.NodeID, _ *peer) bool {
		return !slices.ContainsFunc(cfg.Networks, func(n Network) bool { return n.Peers[id].IsValid() })
	})
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

// Drain reads all that the kernel has received and hands the good messages over in the order of arrival on each network; a message
// is valid until handle returns. The loop calls it before it looks at any timer, so that a host that was frozen hears its peers
// before it judges them.
func (t *Transport) Drain(handle func(now time.Duration, m *membership.Message)) {
	for _, n := range t.cfg.Networks {
		s := t.sockets[n.Name]
		if s == nil {
			continue
		}
		for range drainLimit {
			size, from, ok := s.read(t.buffer[:])
			if !ok {
				break
			}
			now := t.now()
			if err := t.accept(t.buffer[:size], n.Name, now); err != nil {
				t.counters.drop(err, now, from.Addr(), n.Name)
				if log := t.log.V(2); log.Enabled() {
					log.Info("Heartbeat dropped", "network", n.Name, "from", from.String(), "reason", err.Error())
				}
				continue
			}
			t.counters.received.Add(1)
			handle(now, &t.received.Message)
		}
		s.drained()
	}
}

// accept reads a datagram into t.received and checks its sender. What an envelope tells of its sender is learned even if the body
// cannot be read, once it is authentic and no replay.
func (t *Transport) accept(datagram []byte, network string, now time.Duration) error {
	d := &t.received
	if err := t.codec.Open(datagram, d); err != nil {
		return err
	}
	l, known := t.links[linkKey{d.From, network}]
	if !known || d.From == t.cfg.Self {
		return fmt.Errorf("node %d on network %s: %w", d.From, network, ErrUnknown)
	}
	if !l.fresh(d.Incarnation, d.Sequence) {
		return ErrReplayed
	}
	t.peers.get(d.From).learn(&d.Envelope, now)
	if d.Version != legacyVersion {
		if err := t.codec.Read(d); err != nil {
			return err
		}
	}
	l.hear(d.Incarnation, d.Sequence, now, t.cfg.Silence)
	return nil
}

// Send sends a message to every peer on every network, to each in the highest version and with the newest key that it understands.
// The error is about the message; what the kernel refuses to send is only counted: to the protocol it is a lost datagram.
func (t *Transport) Send(m *membership.Message) error {
	t.outgoing.Message = *m
	t.outgoing.Envelope = Envelope{
		Understood: t.cfg.Versions, From: m.From, Incarnation: m.Incarnation, Sequence: m.Sequence, Keys: t.codec.ids,
	}
	for i := range t.cfg.Networks {
		n := &t.cfg.Networks[i]
		s := t.sockets[n.Name]
		if s == nil {
			continue
		}
		t.wires.clear()
		for id, to := range n.Peers {
			if err := t.sendTo(s, t.peers.get(id), netip.AddrPortFrom(to, t.cfg.Port)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendTo sends the outgoing message to one peer. A peer whose version cannot say the message is left out and shown (see Peers); in
// this node's own highest version everything can be said, so an error there is the message's.
func (t *Transport) sendTo(s *socket, p *peer, to netip.AddrPort) error {
	key := p.key(t.codec.ids)
	for _, version := range p.versions(t.cfg.Versions) {
		if version == 0 {
			break
		}
		encoded, err := t.encoded(version, key)
		if version != t.cfg.Versions.Highest {
			p.cannot(err)
		}
		switch {
		case err != nil && version == t.cfg.Versions.Highest:
			return err
		case err != nil:
			continue
		}
		if err := s.send(encoded, to); err != nil {
			t.counters.sendErrors.Add(1)
			if log := t.log.V(2); log.Enabled() {
				log.Info("Heartbeat not sent", "to", to.String(), "reason", err.Error())
			}
			continue
		}
		t.counters.sent.Add(1)
	}
	return nil
}

// encoded is the outgoing datagram in a version and under a key, made once for all peers of a network that are spoken to alike.
func (t *Transport) encoded(version uint8, key int) ([]byte, error) {
	w := t.wires.get(version, key)
	if len(w.data) > 0 {
		return w.data, nil
	}
	t.outgoing.Version = version
	data, err := t.codec.Append(w.data, &t.outgoing, key)
	if err != nil {
		return nil, err
	}
	w.data = data
	return data, nil
}

// Links tells how each peer is heard on each network, in order of peer and network.
func (t *Transport) Links() []Link { return t.links.list(t.now(), t.cfg.Silence) }

// Peers tells how each configured peer is spoken to, in order of id.
func (t *Transport) Peers() []Peer { return t.peers.list(t.now(), t.cfg.Versions, t.codec) }

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
