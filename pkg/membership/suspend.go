package membership

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// A node whose keeping has ended while its challenge for the witness is under way is suspended: it silences its addresses, but stops
// what it runs only one W' after quorum was lost, since it may be about to win (the survivor of two). It has dropped its view, and it
// may go on in its generation only in a view of nodes that are suspended from the same one, when the witness shows no later view:
// then nobody can have acted without it meanwhile.

// Suspended tells that keeping has ended, and that the stop begins at Until unless QuorumGained comes before.
type Suspended struct {
	View  *View
	Until time.Duration
	At    time.Duration
}

func (Suspended) event() {}

// lapse ends keeping: by a suspension if a challenge is under way, for good otherwise.
func (m *Machine) lapse(now time.Duration) {
	ended := m.keepingUntil(now)
	if ended <= 0 {
		ended = min(now, m.v.KeptUntil)
	}
	until := ended + m.cfg.witnessWait()
	if until <= now || !m.challenging() {
		m.loseQuorum(now)
		return
	}
	m.events = append(m.events, Suspended{View: m.v.View, Until: until, At: now})
	m.v.Suspended, m.v.SuspendedUntil, m.v.Dropped = m.v.View.ID, until, m.v.View
	m.v.View, m.v.Proposal, m.v.Acted, m.v.ActedInView = nil, nil, false, false
	m.dropGrants()
	m.changed, m.stale = true, true
}

// challenging reports whether this node stands at the witness and could go on with its vote.
func (m *Machine) challenging() bool {
	if m.a.witness == 0 || !m.a.registered || !m.a.reached || m.a.holding || m.v.Leaving || m.v.View == nil {
		return false
	}
	heard := []model.NodeID{m.cfg.Self}
	for _, o := range m.v.View.Members {
		if p := m.peer(o.ID); p != nil && !p.Silent {
			heard = append(heard, o.ID)
		}
	}
	return m.quorateSet(heard)
}

// eligible reports whether a peer may be in a view with this node: it is ready, or suspended from the same view.
func (m *Machine) eligible(p *Peer) bool {
	if m.v.Suspended.Number != 0 {
		return p.Suspended == m.v.Suspended
	}
	return !p.NotReady
}

// noteKept keeps the end of keeping, for a lapse that an input brings about.
func (m *Machine) noteKept(now time.Duration) {
	if until := m.keepingUntil(now); until != quorum.Lapsed {
		m.v.KeptUntil = until
	}
}
