package sim

import (
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// network carries messages between hosts over several networks, each direction of each pair on its own.
type network struct {
	w        *World
	networks int
	cut      map[link]bool
	// Loss and Slow are chances per datagram: to be lost, and to be late by up to 1.5 s. Twice is that of a duplicate.
	loss, slow, twice float64
	// bad links lose more than that.
	bad map[link]float64
}

type link struct {
	from, to model.NodeID
	network  int
}

func newNetwork(w *World, networks int) *network {
	return &network{w: w, networks: networks, cut: map[link]bool{}, bad: map[link]float64{}}
}

// send carries a message to all other hosts on all networks.
func (n *network) send(from model.NodeID, msg *membership.Message) {
	for _, h := range n.w.Hosts {
		if h.id == from {
			continue
		}
		for i := range n.networks {
			n.carry(link{from, h.id, i}, h, msg)
		}
	}
}

func (n *network) carry(l link, to *Host, msg *membership.Message) {
	if n.cut[l] || n.w.chance(max(n.loss, n.bad[l])) {
		return
	}
	n.w.After(n.delay(), func() { to.deliver(msg) })
	if n.w.chance(n.twice) {
		n.w.After(n.delay(), func() { to.deliver(msg) })
	}
}

func (n *network) delay() time.Duration {
	if n.w.chance(n.slow) {
		return n.w.between(time.Millisecond, 1500*time.Millisecond)
	}
	return n.w.between(100*time.Microsecond, 2*time.Millisecond)
}

// heal mends everything.
func (n *network) heal() {
	clear(n.cut)
	clear(n.bad)
	n.loss, n.slow, n.twice = 0, 0, 0
}

// CutOneWay stops what one host sends to another, on one network or, below 0, on all. Mend is the opposite.
func (w *World) CutOneWay(from, to model.NodeID, network int) { w.setLink(from, to, network, true) }

// Mend lets one host send to another again.
func (w *World) Mend(from, to model.NodeID, network int) { w.setLink(from, to, network, false) }

// DegradeOneWay sets the chance of what one host sends to another on one network to be lost.
func (w *World) DegradeOneWay(from, to model.NodeID, network int, loss float64) {
	w.net.bad[link{from, to, network}] = loss
}

// Isolate cuts a host off, both ways, on one network or, below 0, on all.
func (w *World) Isolate(id model.NodeID, network int) {
	for _, h := range w.Hosts {
		if h.id != id {
			w.CutOneWay(id, h.id, network)
			w.CutOneWay(h.id, id, network)
		}
	}
}

// Heal mends every link.
func (w *World) Heal() {
	w.trace("net    healed")
	w.net.heal()
}

func (w *World) setLink(from, to model.NodeID, network int, cut bool) {
	for i := range w.net.networks {
		if network < 0 || network == i {
			if cut {
				w.net.cut[link{from, to, i}] = true
			} else {
				delete(w.net.cut, link{from, to, i})
			}
		}
	}
}
