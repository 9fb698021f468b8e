package nodeagent

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
)

// LocalPeer is how this node speaks to another one.
type LocalPeer struct {
	Node string `json:"node"`
	// Understands are the versions of the heartbeat protocol that its agent understands; empty before it was heard, and for agents
	// that cannot say.
	Understands string `json:"understands,omitempty"`
	// Speaks is the version in which this node speaks to it; 0 for none.
	Speaks uint8 `json:"speaks"`
	// Key is Newest, Older or Unknown: which of this node's keys it accepts.
	Key string `json:"key"`
}

// LocalLink is how one node is heard on one network, with the figures that change all the time.
type LocalLink struct {
	Node    string             `json:"node"`
	Network string             `json:"network"`
	State   v1alpha1.LinkState `json:"state"`
	// RecentLoss is the loss among the last 64 datagrams.
	RecentLoss string `json:"recentLoss"`
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Late       uint64 `json:"late"`
	Repeated   uint64 `json:"repeated"`
	RoundTrip  string `json:"roundTrip,omitempty"`
	Jitter     string `json:"jitter,omitempty"`
}

func localPeers(s *standing) []LocalPeer {
	var list []LocalPeer
	for _, p := range s.Speech {
		l := LocalPeer{Node: s.Settings.nodeName(p.ID), Speaks: p.Version, Key: "Unknown"}
		if !p.Understood.Zero() {
			l.Understands = p.Understood.String()
		}
		switch {
		case p.NewestKey:
			l.Key = "Newest"
		case p.KeyKnown:
			l.Key = "Older"
		}
		list = append(list, l)
	}
	return list
}

func localLinks(s *standing) []LocalLink {
	var list []LocalLink
	for _, l := range s.Links {
		out := LocalLink{
			Node: s.Settings.nodeName(l.Peer), Network: l.Network, State: linkState(l), RecentLoss: fmt.Sprintf("%.1f%%", l.RecentLoss*100),
			Received: l.Received, Lost: l.Lost, Late: l.Late, Repeated: l.Repeated,
		}
		if l.RoundTrip > 0 {
			out.RoundTrip, out.Jitter = l.RoundTrip.Round(time.Microsecond).String(), l.Jitter.Round(time.Microsecond).String()
		}
		list = append(list, out)
	}
	return list
}

func linkState(l heartbeat.Link) v1alpha1.LinkState {
	if l.Up {
		return v1alpha1.LinkUp
	}
	return v1alpha1.LinkDown
}

// keysOf are the ids of the heartbeat keys in force, newest first.
func keysOf(s *standing) []string {
	var ids []string
	for _, id := range s.Keys {
		ids = append(ids, fmt.Sprintf("%08x", uint32(id)))
	}
	return ids
}
