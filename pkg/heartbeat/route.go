package heartbeat

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// route is one network with all that is looked up once, at configuration, and not for each datagram.
type route struct {
	name  string
	local netip.AddrPort
	// socket is nil while the address is not there, retry is when to try again.
	socket *socket
	retry  time.Duration
	// targets are sorted by id.
	targets []target
}

// target is one peer on one network.
type target struct {
	id      model.NodeID
	address unix.Sockaddr
	link    *link
	peer    *peer
}

func newRoute(n Network, port uint16) *route {
	r := &route{name: n.Name, local: netip.AddrPortFrom(n.Local, port)}
	for id, address := range n.Peers {
		r.targets = append(r.targets, target{id: id, address: sockaddr(netip.AddrPortFrom(address, port), n.Local.Unmap().Is4())})
	}
	slices.SortFunc(r.targets, func(a, b target) int { return cmp.Compare(a.id, b.id) })
	return r
}

func (r *route) target(id model.NodeID) *target {
	i, found := slices.BinarySearchFunc(r.targets, id, func(t target, id model.NodeID) int { return cmp.Compare(t.id, id) })
	if !found {
		return nil
	}
	return &r.targets[i]
}

// echoes appends what was last heard of each peer on this network.
func (r *route) echoes(into []Echo, now time.Duration) []Echo {
	for i := range r.targets {
		l := r.targets[i].link
		if age := now - l.topAt; l.window.top != 0 && age >= 0 && age <= maxEcho {
			into = append(into, Echo{Peer: r.targets[i].id, Sequence: l.window.top, Age: age})
		}
	}
	return into
}

func (r *route) close() {
	if r.socket != nil {
		r.socket.close()
		r.socket = nil
	}
}

// history remembers when the last sequences were sent, for the round trip.
type history struct {
	incarnation uint64
	at          [256]sentAt
}

type sentAt struct {
	sequence uint64
	at       time.Duration
}

func (h *history) note(incarnation, sequence uint64, now time.Duration) {
	h.incarnation = incarnation
	h.at[sequence%uint64(len(h.at))] = sentAt{sequence, now}
}

// roundTrip is how long ago that was sent which a datagram echoes, less the time that the echo waited at the peer.
func (h *history) roundTrip(d *Datagram, self model.NodeID, now time.Duration) (time.Duration, bool) {
	i, found := slices.BinarySearchFunc(d.Echoes, self, func(e Echo, id model.NodeID) int { return cmp.Compare(e.Peer, id) })
	if !found || heardOf(&d.Message, self).Incarnation != h.incarnation {
		return 0, false
	}
	echo := d.Echoes[i]
	sent := h.at[echo.Sequence%uint64(len(h.at))]
	if sent.sequence != echo.Sequence {
		return 0, false
	}
	return now - sent.at - echo.Age, true
}

func heardOf(m *membership.Message, id model.NodeID) membership.Heard {
	i, found := slices.BinarySearchFunc(m.Heard, id, func(h membership.Heard, id model.NodeID) int { return cmp.Compare(h.ID, id) })
	if !found {
		return membership.Heard{}
	}
	return m.Heard[i]
}
