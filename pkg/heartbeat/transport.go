package heartbeat

import (
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
	// Keys authenticate: all are accepted, the newest is first (two during a rotation).
	Keys [][]byte
	// Silence is after how long a link is Down (T = threshold x interval).
	Silence  time.Duration
	Networks []Network
	// Versions are Supported when zero; only tests of other builds' agents set them.
	Versions Versions
}

// Transport sends and receives on all internal networks. One goroutine owns it; only Stats may be called by others.
type Transport struct {
	log      logr.Logger
	now      func() time.Duration
	cfg      Config
	codec    *Codec
	wake     chan struct{}
	routes   []*route
	links    links
	peers    peers
	sent     history
	counters *counters
	buffer   [maxDatagram + 1]byte
	received Datagram
	outgoing Datagram
	wires    wires
}

// NewTransport returns a transport that is silent and deaf until it is configured. now is CLOCK_BOOTTIME.
func NewTransport(now func() time.Duration, log logr.Logger) *Transport {
	return &Transport{
		log: log, now: now, wake: make(chan struct{}, 1), links: links{}, peers: peers{}, counters: newCounters(),
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
	before := t.routes
	t.cfg, t.codec, t.routes = cfg, codec, nil
	known := map[linkKey]bool{}
	heard := map[model.NodeID]bool{}
	for _, n := range cfg.Networks {
		r := newRoute(n, cfg.Port)
		for i := range r.targets {
			target := &r.targets[i]
			target.link, target.peer = t.links.get(target.id, n.Name), t.peers.get(target.id)
			known[linkKey{target.id, n.Name}], heard[target.id] = true, true
		}
		if i := slices.IndexFunc(before, func(o *route) bool { return o.name == r.name && o.local == r.local }); i >= 0 {
			r.socket, before[i].socket = before[i].socket, nil
		}
		t.routes = append(t.routes, r)
	}
	for _, r := range before {
		r.close()
	}
	maps.DeleteFunc(t.links, func(key linkKey, _ *link) bool { return !known[key] })
	maps.DeleteFunc(t.peers, func(id model.NodeID, _ *peer) bool { return !heard[id] })
	t.Maintain()
	return nil
}

// Maintain opens the sockets that could not be opened before. It is cheap when there is nothing to do.
func (t *Transport) Maintain() {
	for _, r := range t.routes {
		if r.socket != nil {
			continue
		}
		now := t.now()
		if now < r.retry {
			continue
		}
		s, err := listen(r.local)
		if err != nil {
			if r.retry == 0 {
				t.log.Info("Cannot listen for heartbeats yet; trying again", "network", r.name, "reason", err.Error())
			}
			r.retry = now + bindRetry
			continue
		}
		r.socket = s
		go s.watch(t.wake)
		t.log.Info("Listening for heartbeats", "network", r.name, "address", r.local.String())
	}
}

// Readable signals when Drain has something to do.
func (t *Transport) Readable() <-chan struct{} { return t.wake }

// Drain reads all that the kernel has received and hands the good messages over in the order of arrival on each network; a message
// is valid until handle returns. The loop calls it before it looks at any timer, so that a host that was frozen hears its peers
// before it judges them.
func (t *Transport) Drain(handle func(now time.Duration, m *membership.Message)) {
	for _, r := range t.routes {
		if r.socket == nil {
			continue
		}
		for range drainLimit {
			size, ok := r.socket.read(t.buffer[:])
			if !ok {
				break
			}
			now := t.now()
			if err := t.accept(t.buffer[:size], r, now); err != nil {
				t.counters.drop(err, now, r.socket.sender(), r.name)
				if log := t.log.V(2); log.Enabled() {
					log.Info("Heartbeat dropped", "network", r.name, "from", r.socket.sender().String(), "reason", err.Error())
				}
				continue
			}
			t.counters.hear(size)
			handle(now, &t.received.Message)
		}
		r.socket.drained()
	}
}

// accept reads a datagram into t.received and checks its sender. What an envelope tells of its sender is learned even if the body
// cannot be read, once it is authentic and no replay.
func (t *Transport) accept(datagram []byte, r *route, now time.Duration) error {
	d := &t.received
	if err := t.codec.Open(datagram, d); err != nil {
		return err
	}
	target := r.target(d.From)
	if target == nil || d.From == t.cfg.Self {
		return ErrUnknown
	}
	l := target.link
	if v := l.judge(d.Incarnation, d.Sequence); v != fresh {
		return l.refuse(v, d.Incarnation, d.Sequence)
	}
	target.peer.learn(&d.Envelope, now)
	if d.Version != legacyVersion {
		if err := t.codec.Read(d); err != nil {
			return err
		}
	}
	l.hear(d.Incarnation, d.Sequence, now, t.cfg.Silence)
	if trip, ok := t.sent.roundTrip(d, t.cfg.Self, now); ok {
		l.measure(trip)
	}
	return nil
}

// Send sends a message to every peer on every network, to each in the highest version and with the newest key that it understands.
// The error is about the message; what the kernel refuses to send is only counted: to the protocol it is a lost datagram.
func (t *Transport) Send(m *membership.Message) error {
	now := t.now()
	t.sent.note(m.Incarnation, m.Sequence, now)
	t.outgoing.Message = *m
	t.outgoing.Envelope = Envelope{
		Understood: t.cfg.Versions, From: m.From, Incarnation: m.Incarnation, Sequence: m.Sequence, Keys: t.codec.ids,
	}
	for _, r := range t.routes {
		if r.socket == nil {
			continue
		}
		t.outgoing.Echoes = r.echoes(t.outgoing.Echoes[:0], now)
		t.wires.clear()
		for i := range r.targets {
			if err := t.sendTo(r.socket, &r.targets[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendTo sends the outgoing message to one peer. A peer whose version cannot say the message is left out and shown (see Peers); in
// this node's own highest version everything can be said, so an error there is the message's.
func (t *Transport) sendTo(s *socket, to *target) error {
	key := to.peer.key(t.codec.ids)
	for _, version := range to.peer.versions(t.cfg.Versions) {
		if version == 0 {
			break
		}
		encoded, err := t.encoded(version, key)
		if version != t.cfg.Versions.Highest {
			to.peer.cannot(err)
		}
		switch {
		case err != nil && version == t.cfg.Versions.Highest:
			return err
		case err != nil:
			continue
		}
		if err := s.send(encoded, to.address); err != nil {
			t.counters.sendErrors.Add(1)
			t.log.V(2).Info("Heartbeat not sent", "to", to.id, "reason", err.Error())
			continue
		}
		t.counters.send(len(encoded))
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

// KeyIDs are the ids of the keys in force, newest first.
func (t *Transport) KeyIDs() []KeyID {
	if t.codec == nil {
		return nil
	}
	return slices.Clone(t.codec.ids)
}

// Listening tells for each network whether its socket is open.
func (t *Transport) Listening() map[string]bool {
	out := map[string]bool{}
	for _, r := range t.routes {
		out[r.name] = r.socket != nil
	}
	return out
}

// Stats may be called from any goroutine.
func (t *Transport) Stats() Stats { return t.counters.stats() }

// Close closes all sockets.
func (t *Transport) Close() {
	for _, r := range t.routes {
		r.close()
	}
	t.routes = nil
}
