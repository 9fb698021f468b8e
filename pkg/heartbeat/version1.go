package heartbeat

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Version 1: the whole message in one piece, with all lists spelled out. Numbers are unsigned varints, the sender and the flags 16
// bits each. It knows nothing of witnesses and of forced quorum.

// flagsVersion1 is above all flags that version 1 knows.
const flagsVersion1 = flagReachesWitness

// expressible refuses what version 1 cannot say. What is only left out tells a peer of version 1 nothing that it would use: whether
// the sender acts, reaches the witness and can serve.
func expressible(m *membership.Message) error {
	special := func(r *quorum.Record) bool { return r != nil && (r.Witness != 0 || r.WitnessOnly || r.Forced) }
	if special(m.Committed) || special(m.Tentative) || m.Claim != nil || m.Suspended.Number != 0 {
		return errors.New("version 1 knows neither a witness nor forced quorum")
	}
	if m.Pending {
		return errPending
	}
	return nil
}

// appendVersion1 encodes a message that has passed check and is expressible.
func appendVersion1(b []byte, m *membership.Message) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(m.From))
	b = binary.BigEndian.AppendUint16(b, flagsOf(m)%flagsVersion1)
	for _, n := range []uint64{m.Incarnation, uint64(m.Generation), m.Sequence, uint64(m.Hold), m.HighestView} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, byte(len(m.Heard)))
	for i := range m.Heard {
		b = appendHeard(b, &m.Heard[i])
	}
	b = appendMembers(b, m.Proposal)
	if m.View != nil {
		b = appendViewID(b, m.View.ID)
		b = appendMembers(b, m.View.Members)
	}
	if m.Committed != nil {
		b = appendRecord(b, m.Committed)
	}
	if m.Tentative != nil {
		b = appendRecord(b, m.Tentative)
	}
	return b
}

func appendHeard(b []byte, h *membership.Heard) []byte {
	b = binary.AppendUvarint(b, uint64(h.ID))
	b = append(b, heardFlags(h))
	b = binary.AppendUvarint(b, h.Incarnation)
	b = binary.AppendUvarint(b, uint64(h.Generation))
	return binary.AppendUvarint(b, h.Sequence)
}

func appendMembers(b []byte, members []model.Member) []byte {
	b = append(b, byte(len(members)))
	for _, m := range members {
		b = binary.AppendUvarint(b, uint64(m.ID))
		b = binary.AppendUvarint(b, uint64(m.Generation))
	}
	return b
}

func appendRecord(b []byte, r *quorum.Record) []byte {
	b = binary.AppendUvarint(b, r.Number)
	b = binary.AppendUvarint(b, uint64(r.Coordinator))
	b = append(b, 0, byte(len(r.Voters)))
	for _, id := range r.Voters {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

func (r *reader) version1(d *Datagram) {
	m := &d.Message
	m.From = model.NodeID(r.uint16())
	flags := r.messageFlags(m, flagsVersion1)
	m.Incarnation = r.number(anyNumber)
	m.Generation = model.Generation(r.number(anyNumber))
	m.Sequence = r.number(anyNumber)
	m.Hold = time.Duration(r.number(uint64(maxHold)))
	m.HighestView = r.number(anyNumber)
	for range r.count() {
		m.Heard = append(m.Heard, r.heard())
	}
	m.Proposal = r.members(m.Proposal)
	if flags&flagView != 0 {
		d.view.ID = r.viewID()
		d.view.Members = r.members(d.view.Members)
		m.View = &d.view
	}
	if flags&flagCommitted != 0 {
		r.record(&d.committed)
		m.Committed = &d.committed
	}
	if flags&flagTentative != 0 {
		r.record(&d.tentative)
		m.Tentative = &d.tentative
	}
}

func (r *reader) heard() membership.Heard {
	h := membership.Heard{ID: model.NodeID(r.number(uint64(model.MaxNodeID)))}
	r.heardFlags(&h)
	h.Incarnation = r.number(anyNumber)
	h.Generation = model.Generation(r.number(anyNumber))
	h.Sequence = r.number(anyNumber)
	return h
}

func (r *reader) members(into []model.Member) []model.Member {
	for range r.count() {
		id, generation := r.number(uint64(model.MaxNodeID)), r.number(anyNumber)
		into = append(into, model.Member{ID: model.NodeID(id), Generation: model.Generation(generation)})
	}
	return into
}

func (r *reader) record(into *quorum.Record) {
	into.Number, into.Coordinator = r.number(anyNumber), model.NodeID(r.number(uint64(model.MaxNodeID)))
	r.flags(1)
	for range r.count() {
		into.Voters = append(into.Voters, model.NodeID(r.number(uint64(model.MaxNodeID))))
	}
}
