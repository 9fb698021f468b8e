package mesh

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

// Link tells of the connections with one peer.
type Link struct {
	Peer model.NodeID
	// Connected says that this node can send to the peer, Heard that the peer can send to this node.
	Connected, Heard bool
	// Address is that of the connection, or of the last one; not valid if there never was one.
	Address netip.AddrPort
	// Key is that of the connection; 0 without one.
	Key heartbeat.KeyID
	// Since is when it was connected, or lost.
	Since time.Time
	// Trouble says why there is no connection.
	Trouble string
}

// Links tells of all peers, in order of id.
func (m *Mesh) Links() []Link {
	m.mu.Lock()
	defer m.mu.Unlock()
	links := make([]Link, 0, len(m.peers))
	for id, o := range m.peers {
		o.mu.Lock()
		link := o.link
		o.mu.Unlock()
		link.Heard = m.incoming[id] != nil
		links = append(links, link)
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Peer, b.Peer) })
	return links
}

// Refused counts the connections that were refused, by reason (OtherCluster, UnknownKey, UnknownNode, OtherVersion, Forged, Garbled,
// Timeout, Lost), and the messages that could not be read (Unread).
func (m *Mesh) Refused() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.refused)
}
