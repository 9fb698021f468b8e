package heartbeat

import (
	"cmp"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// upAfter is how many datagrams in a row, without a silence between them, bring a link Up again. A link that flaps is Down.
const upAfter = 4

// Link is how one peer is heard on one network.
type Link struct {
	Peer    model.NodeID
	Network string
	Up      bool
	// LastHeard is the time since boot of the last datagram; zero when there was none.
	LastHeard time.Duration
}

type linkKey struct {
	peer    model.NodeID
	network string
}

// link keeps what hysteresis and the replay check need.
type link struct {
	up                    bool
	lastHeard             time.Duration
	streak                int
	incarnation, sequence uint64
}

// fresh reports whether a datagram is newer than all that were heard on the link.
func (l *link) fresh(incarnation, sequence uint64) bool {
	return incarnation > l.incarnation || (incarnation == l.incarnation && sequence > l.sequence)
}

// hear counts a fresh datagram, and remembers it so that it is never fresh again.
func (l *link) hear(incarnation, sequence uint64, now, silence time.Duration) {
	l.incarnation, l.sequence = incarnation, sequence
	l.age(now, silence)
	l.lastHeard = now
	if l.streak++; l.streak >= upAfter {
		l.up = true
	}
}

// age takes the link down after a silence.
func (l *link) age(now, silence time.Duration) {
	if now-l.lastHeard > silence {
		l.up, l.streak = false, 0
	}
}

// links of every peer on every network.
type links map[linkKey]*link

func (ls links) get(peer model.NodeID, network string) *link {
	key := linkKey{peer, network}
	l, found := ls[key]
	if !found {
		l = &link{}
		ls[key] = l
	}
	return l
}

func (ls links) list(now, silence time.Duration) []Link {
	out := make([]Link, 0, len(ls))
	for key, l := range ls {
		l.age(now, silence)
		out = append(out, Link{Peer: key.peer, Network: key.network, Up: l.up, LastHeard: l.lastHeard})
	}
	slices.SortFunc(out, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Network, b.Network))
	})
	return out
}
