package nodeagent

import (
	"reflect"
	"time"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// standing is how this node stands in its cluster, as core last saw it. Others read it and never change it.
type standing struct {
	membership.Status
	Settings *Settings
	Links    []heartbeat.Link
	// Speech tells in which version and under which key each peer is spoken to.
	Speech []heartbeat.Peer
	// Keys are the ids of the heartbeat keys in force, newest first.
	Keys []heartbeat.KeyID
	// Listening tells for each internal network whether heartbeats can be received on it.
	Listening map[string]bool
	Heartbeat heartbeat.Stats
	// Installed is the wall clock at the installation of the view; Detect is how long the last lost member had been silent then.
	Installed time.Time
	Detect    time.Duration
	// Trouble says why core cannot do its work, such as a state directory that cannot be written.
	Trouble string
}

// keyOf is what is worth waking others for; times that move with each datagram are left out.
type key struct {
	settings             *Settings
	self                 model.Member
	incarnation          uint64
	ready, left          bool
	acting, keeping      bool
	view                 membership.View
	committed, tentative quorum.Record
	reporter             model.NodeID
	peers                []peerKey
	links                []heartbeat.Link
	speech               []heartbeat.Peer
	keys                 []heartbeat.KeyID
	listening            map[string]bool
	drops                []bool
	trouble              string
	witness              witnessKeyed
	suspended, prevented bool
}

// witnessKeyed is what is worth waking others for about the witness.
type witnessKeyed struct {
	holder          model.NodeID
	counts, reached bool
}

type peerKey struct {
	id                         model.NodeID
	silent, ready, reaches     bool
	leaving, left, hears, hasR bool
	pending                    bool
	view                       model.ViewID
}

func keyOf(s *standing) key {
	k := key{
		settings: s.Settings, self: s.Self, incarnation: s.Incarnation, ready: s.Ready, left: s.Left, acting: s.Acting,
		keeping: s.Keeping, reporter: s.Reporter, listening: s.Listening, speech: s.Speech, keys: s.Keys, trouble: s.Trouble,
		witness:   witnessKeyed{s.Witness.Holder, s.Witness.Counts, s.Witness.Reached},
		suspended: s.Suspended, prevented: s.Prevented,
	}
	if s.View != nil {
		k.view = *s.View
	}
	if s.Committed != nil {
		k.committed = *s.Committed
	}
	if s.Tentative != nil {
		k.tentative = *s.Tentative
	}
	for _, p := range s.Peers {
		peer := peerKey{p.ID, p.Silent, p.Ready, p.ReachesAPI, p.Leaving, p.Left, p.HearsUs, p.HasRecord, p.Pending, model.ViewID{}}
		if p.View != nil {
			peer.view = p.View.ID
		}
		k.peers = append(k.peers, peer)
	}
	for _, l := range s.Links {
		l.Figures = heartbeat.Figures{}
		k.links = append(k.links, l)
	}
	for _, d := range s.Heartbeat.Drops {
		k.drops = append(k.drops, d.Count > 0)
	}
	return k
}

func (k key) equal(o key) bool { return reflect.DeepEqual(k, o) }

// reporting says that this node is to publish the view. While a member is silent another view is about to come, and a node that
// has become the reporter only by that silence waits for it: the write would be in the way of the one that matters.
func (s *standing) reporting() bool {
	if !s.Acting || s.Reporter != s.Self.ID {
		return false
	}
	for _, m := range s.View.Members {
		if p, found := s.peer(m.ID); found && p.Silent {
			return false
		}
	}
	return true
}

// peer returns what is known of another node; false for this one and for strangers.
func (s *standing) peer(id model.NodeID) (membership.PeerStatus, bool) {
	for _, p := range s.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return membership.PeerStatus{}, false
}
