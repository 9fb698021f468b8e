package nodeagent

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/mesh"
	"github.com/quorate/quorate/pkg/model"
)

// meshLook is how often it is looked whether the connections are needed, and of which node they are.
const meshLook = 500 * time.Millisecond

// links are the connections that carry what is decided without the API server: those of pkg/mesh, as long as the cluster may need them.
// They use the port of the heartbeats over TCP, on the internal networks.
type links struct {
	log      logr.Logger
	standing func() *standing
	orders   func() *orders
	receive  func(from model.NodeID, m *autonomy.Message)

	current atomic.Pointer[mesh.Mesh]
}

// meshKey is what a mesh is made for; the zero value is none.
type meshKey struct {
	self    model.NodeID
	cluster string
}

// send never waits. What cannot be sent is dropped: the journal says it again.
func (l *links) send(to model.NodeID, m *autonomy.Message) {
	if current := l.current.Load(); current != nil {
		current.Send(to, m)
	}
}

// needed says for which node connections are needed now. A journal that there is has to be told of and written also where nothing more may
// be decided.
func (l *links) needed() meshKey {
	s, o := l.standing(), l.orders()
	if s.Settings == nil || s.Settings.Self == 0 || !s.Settings.Autonomy && !o.pending && !s.membersPending() {
		return meshKey{}
	}
	return meshKey{self: s.Settings.Self, cluster: s.Settings.ClusterID}
}

// run keeps the connections until ctx ends.
func (l *links) run(ctx context.Context) {
	ticker := time.NewTicker(meshLook)
	defer ticker.Stop()
	for {
		if key := l.needed(); key != (meshKey{}) {
			l.keep(ctx, key)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keep runs a mesh until something else is needed.
func (l *links) keep(ctx context.Context, key meshKey) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := mesh.New(mesh.Config{
		Self: key.self, Cluster: key.cluster, Receive: l.receive, Log: l.log,
		Listen: func() []netip.AddrPort { return meshAddresses(l.standing().Settings, key.self) },
		Peers:  func() []mesh.Peer { return meshPeers(l.standing().Settings) },
		Keys: func() [][]byte {
			if s := l.standing().Settings; s != nil {
				return s.Keys
			}
			return nil
		},
	})
	go func() {
		defer cancel()
		ticker := time.NewTicker(meshLook)
		defer ticker.Stop()
		for l.needed() == key {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	l.current.Store(m)
	defer l.current.Store(nil)
	if err := m.Run(ctx); err != nil {
		l.log.Error(err, "Nothing can be decided without the API server: agents are not connected")
	}
}

// meshPeers are the other nodes of the settings with where they listen.
func meshPeers(s *Settings) []mesh.Peer {
	if s == nil {
		return nil
	}
	var peers []mesh.Peer
	for _, n := range s.Nodes {
		if n.ID != s.Self {
			peers = append(peers, mesh.Peer{ID: n.ID, Addresses: meshAddresses(s, n.ID)})
		}
	}
	return peers
}

// meshAddresses are where a node listens: on each internal network, in the order of the Cluster.
func meshAddresses(s *Settings, id model.NodeID) []netip.AddrPort {
	if s == nil {
		return nil
	}
	var list []netip.AddrPort
	for _, n := range s.Nodes {
		if n.ID != id {
			continue
		}
		for _, network := range s.Networks {
			if address, err := netip.ParseAddr(n.Addresses[network.Name]); err == nil && network.Heartbeats {
				list = append(list, netip.AddrPortFrom(address, s.Port))
			}
		}
	}
	return list
}
