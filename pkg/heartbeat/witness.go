package heartbeat

import (
	"encoding/binary"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// What a datagram says of the witness comes last in the body of version 2: the view from which the sender is
// suspended, and the holder's claim.

func appendWitness(b []byte, m *membership.Message) []byte {
	if m.Suspended.Number != 0 {
		b = appendViewID(b, m.Suspended)
	}
	if c := m.Claim; c != nil {
		b = binary.AppendUvarint(b, c.Witness)
		b = binary.AppendUvarint(b, uint64(c.Remaining))
		b = appendViewID(b, c.View)
		b = appendViewID(b, model.ViewID{Number: c.Record, Coordinator: c.Coordinator})
	}
	return b
}

func appendViewID(b []byte, id model.ViewID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, id.Number), uint64(id.Coordinator))
}

func (r *reader) witness(d *Datagram, flags uint16) {
	m := &d.Message
	if flags&flagSuspended != 0 {
		m.Suspended = r.viewID()
		r.failed = r.failed || m.Suspended.Number == 0
	}
	if flags&flagClaim != 0 {
		d.claim = membership.Claim{Witness: r.number(anyNumber), Remaining: time.Duration(r.number(uint64(maxHold))), View: r.viewID()}
		record := r.viewID()
		d.claim.Record, d.claim.Coordinator = record.Number, record.Coordinator
		m.Claim = &d.claim
	}
}

func (r *reader) viewID() model.ViewID {
	number := r.number(anyNumber)
	return model.ViewID{Number: number, Coordinator: model.NodeID(r.number(uint64(model.MaxNodeID)))}
}
