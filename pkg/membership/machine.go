package membership

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Machine is one node's part of the protocol. It is not safe for concurrent use.
type Machine struct {
	cfg Config
	// nodes are the configured ones.
	nodes idSet
	p     Persistent
	v     Volatile
	a     arbitration
	// heard is where the next message's list is gathered.
	heard idSet

	// What has gathered since the last Ready.
	persist  bool
	messages []Message
	events   []Event

	// changed asks for a message at once: a peer waits for what has changed, not for the next beat.
	changed bool
	// stale asks for a new proposal: something that it is made from has changed.
	stale bool
	// lostSince is since when the view has not held the witness (R8g); 0 while it does.
	lostSince time.Duration
	// heldWitness is the full name of the one that it holds; 0 when it holds none.
	heldWitness uint64
	// state is the version of the newest copy of the cluster's state.
	state uint64
	// witnessForgotten says that it has been lost for so long that a record takes its vote away.
	witnessForgotten bool
}

// New starts or resumes a machine. persistent is what was last written, nil on a host that never ran one or has lost its disk.
// volatile is what was last written in this boot, nil after a reboot; one that belongs to another incarnation is ignored. The
// first Ready must be taken, and its Persist be on disk, before anything is sent. It fails on a bad configuration only.
func New(cfg Config, persistent *Persistent, volatile *Volatile, now time.Duration) (*Machine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Machine{stale: true, changed: true}
	m.configure(cfg)
	if persistent != nil {
		m.p = persistent.clone()
	}
	if volatile != nil && persistent != nil && volatile.Incarnation == persistent.Incarnation && !volatile.Left {
		m.resume(volatile, now)
	} else {
		m.start(now)
	}
	m.alignPeers(now)
	m.extendHold()
	m.a = arbitration{until: quorum.Lapsed}
	m.lostSince = now
	return m, nil
}

func (m *Machine) configure(cfg Config) {
	m.cfg, m.nodes = cfg, nil
	m.cfg.Nodes = slices.Clone(cfg.Nodes)
	for _, n := range cfg.Nodes {
		m.nodes.add(int(n.ID))
	}
}

// has reports whether the node is configured.
func (m *Machine) has(id model.NodeID) bool { return m.nodes.has(int(id)) }

// start begins a new incarnation and generation, and waits out what an earlier one may have promised (R2, O3).
func (m *Machine) start(now time.Duration) {
	m.p.Incarnation++
	m.p.Generation++
	m.persist = true
	m.v = Volatile{Incarnation: m.p.Incarnation, Generation: m.p.Generation, NextBeat: now}
	if enforced(R2) {
		m.v.QuietUntil = now + promiseFor(max(m.p.LongestHold, m.cfg.Hold()))
	}
}

// resume goes on where the same incarnation stopped (R2, planned restart). If the generation was burnt on disk and the process
// died before it could say so in memory, the burning is what counts.
func (m *Machine) resume(v *Volatile, now time.Duration) {
	m.v = *v.clone()
	m.v.unpack()
	if m.v.Generation != m.p.Generation {
		m.dropGeneration(now, m.v.Generation)
	}
}

// alignPeers makes the peers those of the configuration. One that was removed stays as long as a promise to it does.
func (m *Machine) alignPeers(now time.Duration) {
	var peers []Peer
	for _, p := range m.v.Peers {
		if m.has(p.ID) || p.PromisedUntil > now {
			peers = append(peers, p)
		}
	}
	for _, n := range m.cfg.Nodes {
		if n.ID != m.cfg.Self && !slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == n.ID }) {
			peers = append(peers, Peer{ID: n.ID, Silent: true})
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int { return int(a.ID) - int(b.ID) })
	m.v.Peers = peers
}

// extendHold persists a longer T before anything is promised under it (R2).
func (m *Machine) extendHold() {
	if h := m.cfg.Hold(); h > m.p.LongestHold {
		m.p.LongestHold, m.persist = h, true
	}
}

// SetConfig takes a changed configuration: nodes, votes, intervals. Self cannot change. A shorter T holds for new promises only.
func (m *Machine) SetConfig(cfg Config, now time.Duration) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Self != m.cfg.Self {
		return fmt.Errorf("membership: node id cannot change from %d to %d while running; restart the agent", m.cfg.Self, cfg.Self)
	}
	m.configure(cfg)
	m.alignPeers(now)
	m.extendHold()
	m.stale = true
	m.settle(now)
	return nil
}

// SetReady says whether nothing of an older generation is left on this host (O3). It is false after each start and after each
// QuorumLost until the caller sets it; setting it to false keeps this node out of new views.
func (m *Machine) SetReady(ready bool, now time.Duration) {
	if m.v.Clean != ready {
		m.v.Clean, m.stale, m.changed = ready, true, true
	}
	m.settle(now)
}

// SetReachesAPI says whether this node reaches the API server; peers are told at once, since it decides who reports.
func (m *Machine) SetReachesAPI(reaches bool, now time.Duration) {
	if m.v.ReachesAPI != reaches {
		m.v.ReachesAPI, m.changed = reaches, true
	}
	m.settle(now)
}

// SetPending says whether this node goes by its journal and not by the API server; peers are told at once, since none of them may obey
// the API server in a view with a member that says so.
func (m *Machine) SetPending(pending bool, now time.Duration) {
	if m.v.Pending != pending {
		m.v.Pending, m.changed = pending, true
	}
	m.settle(now)
}

// Form gives this node the first record of its cluster, and must be given the same one on every node that it names (R11). It
// fails with ErrHasRecord when the node has a record.
func (m *Machine) Form(record quorum.Record, now time.Duration) error {
	if m.p.Committed != nil || m.p.Tentative != nil {
		return ErrHasRecord
	}
	if len(record.Voters) == 0 || record.Number == 0 {
		return fmt.Errorf("membership: a first record needs a number and voters, got %s", &record)
	}
	m.p.Committed = record.Clone()
	m.p.HighestView = max(m.p.HighestView, record.Number)
	m.persist, m.changed, m.stale = true, true, true
	m.events = append(m.events, RecordCommitted{Record: *record.Clone(), At: now})
	m.settle(now)
	return nil
}

// Leave begins a graceful leave: the others commit a record without this node first, then Left is told. The caller has taken
// everything offline before. A node that has nothing to hand over has left at once.
func (m *Machine) Leave(now time.Duration) {
	if !m.v.Leaving {
		m.v.Leaving, m.changed = true, true
	}
	m.settle(now)
}

// Ready hands out what the last steps ask for, once. See the package comment for the order.
func (m *Machine) Ready() Ready {
	rd := Ready{Messages: m.messages, Events: m.events}
	if m.persist {
		rd.Persist = new(m.p.clone())
	}
	if m.persist || len(m.messages) > 0 || len(m.events) > 0 {
		rd.Volatile = m.v.clone()
		rd.Volatile.pack()
	}
	if m.a.out {
		rd.Witness, m.a.out = new(*m.a.op), false
	}
	m.persist, m.messages, m.events = false, nil, nil
	return rd
}

// self is this node in its present life.
func (m *Machine) self() model.Member {
	return model.Member{ID: m.cfg.Self, Generation: m.p.Generation}
}

// peer returns what is known of another node, nil if it is none of ours.
func (m *Machine) peer(id model.NodeID) *Peer {
	i := sort.Search(len(m.v.Peers), func(i int) bool { return m.v.Peers[i].ID >= id })
	if i == len(m.v.Peers) || m.v.Peers[i].ID != id {
		return nil
	}
	return &m.v.Peers[i]
}

// notReady keeps this node out of views: at a start (R2), with something burnt left (O3), once it has left, while it must
// not form a quorum.
func (m *Machine) notReady(now time.Duration) bool {
	return !m.v.Clean || m.v.Left || now < m.v.QuietUntil || m.prevented()
}

// settle brings the machine to rest after an input: each part may enable the next, and a single node goes through all of them
// in one call. The bound is a guard against a mistake here, not part of the protocol.
//
// A node whose keeping has run out rests until Tick has burnt its generation: were it to send before that, it could be granted
// anew and go on over the gap (R6). After a freeze the datagrams that waited may still show that there was no gap.
func (m *Machine) settle(now time.Duration) {
	if !m.lapsed(now) {
		m.proceed(now)
	}
}

// proceed is settle for what has not lapsed.
func (m *Machine) proceed(now time.Duration) {
	m.alignWitness(now)
	for range 16 {
		if !m.adoptCommitted(now) && !m.propose(now) && !m.install(now) && !m.advanceRecord(now) && !m.goIfReleased(now) {
			break
		}
	}
	m.noteActing(now)
	m.noteWitness(now)
	m.arbitrate(now)
	m.noteKept(now)
	if m.changed || m.v.NextBeat <= now {
		m.send(now)
	}
}
