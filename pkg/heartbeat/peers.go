package heartbeat

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Peer is how this node speaks to another one.
type Peer struct {
	ID model.NodeID
	// Heard says that an authentic datagram of it came lately, of any version.
	Heard bool
	// Understood are the versions that the peer says it understands; zero before it was heard, and for agents that cannot say.
	Understood Versions
	// Version is what this node speaks to it; 0 before it was heard, and when they have none in common.
	Version uint8
	// NewestKey says that the peer accepts the newest key that this node has; KeyKnown that it has said what it accepts.
	NewestKey, KeyKnown bool
	// KeyUnknown says that the peer accepts a key that this node does not have: a rotation has begun that has not arrived here.
	KeyUnknown bool
	// Unspeakable says why the last message could not be told to the peer in its version; empty if it could.
	Unspeakable string
}

// Incompatible reports whether the peer and this node have no version in common.
func (p Peer) Incompatible() bool { return p.Heard && p.Version == 0 }

// peer is what the envelopes of a peer have told. It is the sender's last word: an agent may be replaced by an older or newer build
// without a new incarnation.
type peer struct {
	heard       bool
	lastHeard   time.Duration
	understood  Versions
	keys        []KeyID
	unspeakable string
}

func (p *peer) learn(e *Envelope, now time.Duration) {
	p.heard, p.lastHeard, p.understood = true, now, e.Understood
	p.keys = append(p.keys[:0], e.Keys...)
}

func (p *peer) cannot(err error) {
	p.unspeakable = ""
	if err != nil {
		p.unspeakable = err.Error()
	}
}

// versions are those in which a message is sent to the peer; 0 is none. A peer of which nothing is known gets this node's highest,
// whose envelope tells it what to answer in, and version 1 too, if an agent may be as old as that: it tells nothing of itself. One
// without a common version gets the highest, so that it can name this node in its own status.
func (p *peer) versions(own Versions) [2]uint8 {
	if p.understood.Zero() {
		if own.Lowest == legacyVersion && own.Highest > legacyVersion {
			return [2]uint8{own.Highest, legacyVersion}
		}
		return [2]uint8{own.Highest}
	}
	if common := own.Common(p.understood); common != 0 {
		return [2]uint8{common}
	}
	return [2]uint8{own.Highest}
}

// key is the index of the newest key that the peer accepts. One of which nothing is known is spoken to with the oldest: whoever has
// a newer one still accepts that during a rotation, and an agent that has only the newest says so in its own datagrams.
func (p *peer) key(own []KeyID) int {
	for i, id := range own {
		if slices.Contains(p.keys, id) {
			return i
		}
	}
	return len(own) - 1
}

type peers map[model.NodeID]*peer

func (ps peers) get(id model.NodeID) *peer {
	p, found := ps[id]
	if !found {
		p = &peer{}
		ps[id] = p
	}
	return p
}

// forgetAfter is how long a peer is spoken of that is not heard any more.
const forgetAfter = 15 * time.Second

func (ps peers) list(now time.Duration, own Versions, codec *Codec) []Peer {
	out := make([]Peer, 0, len(ps))
	for id, p := range ps {
		shown := Peer{ID: id, Heard: p.heard && now-p.lastHeard <= forgetAfter, Understood: p.understood, KeyKnown: len(p.keys) > 0}
		switch {
		case !p.understood.Zero():
			shown.Version = own.Common(p.understood)
		case shown.Heard && own.Has(legacyVersion):
			shown.Version, shown.Unspeakable = legacyVersion, p.unspeakable
		}
		if codec != nil && shown.KeyKnown {
			shown.NewestKey = slices.Contains(p.keys, codec.ids[0])
			shown.KeyUnknown = slices.ContainsFunc(p.keys, func(id KeyID) bool { return !slices.Contains(codec.ids, id) })
		}
		out = append(out, shown)
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// wires are one message's encodings for one network, by version and key.
type wires []wire

type wire struct {
	version uint8
	key     int
	data    []byte
}

func (ws wires) clear() {
	for i := range ws {
		ws[i].data = ws[i].data[:0]
	}
}

func (ws *wires) get(version uint8, key int) *wire {
	for i := range *ws {
		if w := &(*ws)[i]; w.version == version && w.key == key {
			return w
		}
	}
	*ws = append(*ws, wire{version: version, key: key})
	return &(*ws)[len(*ws)-1]
}
