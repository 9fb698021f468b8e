package mesh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

const (
	// maintainEvery is how often the configuration is looked at, and an address tried again on which nothing could listen.
	maintainEvery = 250 * time.Millisecond
	// pingEvery is how long nothing is sent on a connection before a ping is, deadAfter how long an answer may take: together they
	// notice a dead peer within a second.
	pingEvery = 400 * time.Millisecond
	deadAfter = 600 * time.Millisecond
	// silentAfter is how long an accepted connection may be silent: some pings.
	silentAfter = 2 * time.Second
	// dialTimeout bounds an attempt on all addresses with its handshakes; stagger is how long one address has before the next is tried
	// beside it.
	dialTimeout = time.Second
	stagger     = 50 * time.Millisecond
	// redialLeast to redialMost is the pause between two failed attempts.
	redialLeast, redialMost = 50 * time.Millisecond, time.Second
	// greetTimeout bounds the handshake of an accepted connection.
	greetTimeout = time.Second
	// maxPending bounds the accepted connections that are not authentic yet: when there are more the oldest is closed, since a real
	// handshake takes some milliseconds.
	maxPending = 64
	// staleAfter is how long a message waits for a connection: its sender says it again if it still holds.
	staleAfter = 2 * time.Second
	// suspectFor is how long an address on which a connection failed is tried after the others.
	suspectFor = 10 * time.Second
)

// Peer is another agent of the cluster.
type Peer struct {
	ID model.NodeID
	// Addresses are where it listens, one on each internal network, the preferred one first.
	Addresses []netip.AddrPort
}

// Config is what a Mesh needs to know. The functions are called from one goroutine, some times a second, and must not block.
type Config struct {
	Self model.NodeID
	// Cluster is the same on all nodes of a cluster and on no others; agents of different clusters refuse each other.
	Cluster string
	// Listen are the node's own addresses; one that is not there yet is tried again.
	Listen func() []netip.AddrPort
	// Peers are the other nodes. Connections with nodes that are no peers any more are closed.
	Peers func() []Peer
	// Keys are those that authenticate heartbeats (pkg/heartbeat), newest first: the first that the other side accepts is used, all are
	// accepted. A connection goes on under an older key until that is not accepted any more.
	Keys func() [][]byte
	// Receive takes a message, which belongs to it. It is called from one goroutine for each peer; while it does not return the oldest
	// of the peer's next messages are dropped. What it gets has exactly one of Lead and Follow, and no object that is null; everything else is for the receiver to judge.
	Receive func(from model.NodeID, m *autonomy.Message)
	Log     logr.Logger

	// DialContext and ListenTCP are the kernel's when nil.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	ListenTCP   func(ctx context.Context, address netip.AddrPort) (net.Listener, error)
}

// Mesh keeps the connections of one agent.
type Mesh struct {
	cfg   Config
	log   logr.Logger
	codec *codec
	tasks sync.WaitGroup

	mu        sync.Mutex
	peers     map[model.NodeID]*peer
	incoming  map[model.NodeID]*secured
	listeners map[netip.AddrPort]net.Listener
	deaf      map[netip.AddrPort]string
	pending   []net.Conn
	raw       [][]byte
	keys      []secret
	refused   map[string]uint64
	logged    map[string]time.Time
}

// New makes a mesh that does nothing until it runs.
func New(cfg Config) *Mesh {
	if cfg.DialContext == nil {
		cfg.DialContext = dialer().DialContext
	}
	if cfg.ListenTCP == nil {
		cfg.ListenTCP = listenTCP
	}
	return &Mesh{
		cfg: cfg, log: cfg.Log, peers: map[model.NodeID]*peer{}, incoming: map[model.NodeID]*secured{},
		listeners: map[netip.AddrPort]net.Listener{}, deaf: map[netip.AddrPort]string{}, refused: map[string]uint64{},
		logged: map[string]time.Time{},
	}
}

// Run keeps the connections until ctx ends; then all are closed, and nothing calls Receive any more when it returns.
func (m *Mesh) Run(ctx context.Context) error {
	var err error
	if m.codec, err = newCodec(); err != nil {
		return err
	}
	defer m.codec.unpack.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer m.tasks.Wait()
	defer m.close()
	defer cancel()
	ticker := time.NewTicker(maintainEvery)
	defer ticker.Stop()
	for {
		m.maintain(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Send gives a message on its way. It never blocks: a message that waits for its connection gives way to the next one for the same
// peer, and is dropped after two seconds. One to a node that is no peer is dropped. Nobody may change what m points to afterwards.
func (m *Mesh) Send(to model.NodeID, msg *autonomy.Message) {
	m.mu.Lock()
	o := m.peers[to]
	m.mu.Unlock()
	if o != nil {
		o.put(msg)
	}
}

// maintain makes everything fit the configuration.
func (m *Mesh) maintain(ctx context.Context) {
	peers, listen := m.cfg.Peers(), m.cfg.Listen()
	m.rekey(m.cfg.Keys())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range peers {
		if p.ID == m.cfg.Self {
			continue
		}
		o := m.peers[p.ID]
		if o == nil {
			o = newPeer(m, p.ID)
			m.peers[p.ID] = o
			ctx, cancel := context.WithCancel(ctx)
			o.cancel = cancel
			m.tasks.Go(func() { o.run(ctx) })
			m.tasks.Go(func() { o.deliver(ctx) })
		}
		o.setAddresses(p.Addresses)
	}
	for id, o := range m.peers {
		if !slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == id }) {
			o.cancel()
			delete(m.peers, id)
		} else if c := o.connection(); c != nil && !m.accepts(c.key) {
			_ = c.conn.Close() // its goroutines tell
		}
	}
	for id, c := range m.incoming {
		if m.peers[id] == nil || !m.accepts(c.key) {
			_ = c.conn.Close()
		}
	}
	m.listen(ctx, listen)
}

// rekey takes over changed keys. One that cannot be used is left out, and said once.
func (m *Mesh) rekey(keys [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.EqualFunc(keys, m.raw, slices.Equal) {
		return
	}
	m.raw = nil
	var secrets []secret
	for _, key := range keys {
		m.raw = append(m.raw, slices.Clone(key))
		s, err := newSecret(key, m.cfg.Cluster)
		if err != nil {
			m.log.Error(err, "A key of the cluster cannot be used for connections between agents")
			continue
		}
		secrets = append(secrets, s)
	}
	m.keys = secrets
}

// accepts is called with the lock held.
func (m *Mesh) accepts(id heartbeat.KeyID) bool {
	return slices.ContainsFunc(m.keys, func(s secret) bool { return s.id == id })
}

// secrets are the keys in force, newest first.
func (m *Mesh) secrets() []secret {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys
}

func (m *Mesh) isPeer(id model.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[id] != nil
}

func (m *Mesh) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.listeners {
		_ = l.Close()
	}
	for _, c := range m.incoming {
		_ = c.conn.Close()
	}
	for _, conn := range m.pending {
		_ = conn.Close()
	}
	clear(m.listeners)
}

// logAgain is how often the same trouble is logged.
const logAgain = time.Minute

// sayOnce logs a trouble unless the same one was logged a short while ago. The number of troubles that are remembered is bounded.
func (m *Mesh) sayOnce(key, text string, err error, values ...any) {
	m.mu.Lock()
	if at, found := m.logged[key]; found && time.Since(at) < logAgain {
		m.mu.Unlock()
		return
	}
	if len(m.logged) >= 1024 {
		clear(m.logged)
	}
	m.logged[key] = time.Now()
	m.mu.Unlock()
	m.log.Info(text, append(values, "reason", err.Error())...)
}

// isEnd says that a connection ended because this side closed it.
func isEnd(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) }
