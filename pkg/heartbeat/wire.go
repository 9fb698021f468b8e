package heartbeat

import (
	"encoding/binary"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// appendMessage encodes a message that has passed check. Numbers are unsigned varints, the sender and the flags 16 bits each.
func appendMessage(b []byte, m membership.Message) []byte {
	var flags uint16
	for _, f := range []struct {
		set bool
		bit uint16
	}{
		{m.NotReady, flagNotReady},
		{m.Leaving, flagLeaving},
		{m.Released, flagReleased},
		{m.ReachesAPI, flagReachesAPI},
		{m.View != nil, flagView},
		{m.Committed != nil, flagCommitted},
		{m.Tentative != nil, flagTentative},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	b = binary.BigEndian.AppendUint16(b, uint16(m.From))
	b = binary.BigEndian.AppendUint16(b, flags)
	for _, n := range []uint64{m.Incarnation, uint64(m.Generation), m.Sequence, uint64(m.Hold), m.HighestView} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, byte(len(m.Heard)))
	for _, h := range m.Heard {
		b = appendHeard(b, h)
	}
	b = appendMembers(b, m.Proposal)
	if m.View != nil {
		b = binary.AppendUvarint(b, m.View.ID.Number)
		b = binary.AppendUvarint(b, uint64(m.View.ID.Coordinator))
		b = appendMembers(b, m.View.Members)
	}
	for _, r := range []*quorum.Record{m.Committed, m.Tentative} {
		if r != nil {
			b = appendRecord(b, r)
		}
	}
	return b
}

func appendHeard(b []byte, h membership.Heard) []byte {
	var flags byte
	if h.Alive {
		flags |= heardAlive
	}
	if h.Grant {
		flags |= heardGrant
	}
	b = binary.AppendUvarint(b, uint64(h.ID))
	b = append(b, flags)
	for _, n := range []uint64{h.Incarnation, uint64(h.Generation), h.Sequence} {
		b = binary.AppendUvarint(b, n)
	}
	return b
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
	var flags byte
	if r.WitnessVotes {
		flags = recordWitness
	}
	b = binary.AppendUvarint(b, r.Number)
	b = binary.AppendUvarint(b, uint64(r.Coordinator))
	b = append(b, flags, byte(len(r.Voters)))
	for _, id := range r.Voters {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// reader takes a message apart. After the first failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return make([]byte, n)
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }

// number reads a varint that is at most limit, in its only (shortest) form.
func (r *reader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(r.b)
	if r.failed || size <= 0 || n > limit || size != varintSize(n) {
		r.failed = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func varintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// flags reads one byte of which only the bits below end may be set.
func (r *reader) flags(end byte) byte {
	f := r.byte()
	r.failed = r.failed || f >= end
	return f
}

func (r *reader) count() int {
	n := r.byte()
	if n > maxList {
		r.failed = true
	}
	if r.failed {
		return 0
	}
	return int(n)
}

const anyNumber = ^uint64(0)

func (r *reader) message() membership.Message {
	var m membership.Message
	m.From = model.NodeID(r.uint16())
	flags := r.uint16()
	r.failed = r.failed || flags >= flagsEnd
	m.NotReady, m.Leaving = flags&flagNotReady != 0, flags&flagLeaving != 0
	m.Released, m.ReachesAPI = flags&flagReleased != 0, flags&flagReachesAPI != 0
	m.Incarnation = r.number(anyNumber)
	m.Generation = model.Generation(r.number(anyNumber))
	m.Sequence = r.number(anyNumber)
	m.Hold = time.Duration(r.number(uint64(maxHold)))
	m.HighestView = r.number(anyNumber)
	for range r.count() {
		m.Heard = append(m.Heard, r.heard())
	}
	m.Proposal = r.members()
	if flags&flagView != 0 {
		number, coordinator := r.number(anyNumber), r.number(uint64(model.MaxNodeID))
		m.View = &membership.View{
			ID: model.ViewID{Number: number, Coordinator: model.NodeID(coordinator)}, Members: r.members(),
		}
	}
	if flags&flagCommitted != 0 {
		m.Committed = r.record()
	}
	if flags&flagTentative != 0 {
		m.Tentative = r.record()
	}
	return m
}

func (r *reader) heard() membership.Heard {
	h := membership.Heard{ID: model.NodeID(r.number(uint64(model.MaxNodeID)))}
	flags := r.flags(heardEnd)
	h.Alive, h.Grant = flags&heardAlive != 0, flags&heardGrant != 0
	h.Incarnation = r.number(anyNumber)
	h.Generation = model.Generation(r.number(anyNumber))
	h.Sequence = r.number(anyNumber)
	return h
}

func (r *reader) members() []model.Member {
	var members []model.Member
	for range r.count() {
		id, generation := r.number(uint64(model.MaxNodeID)), r.number(anyNumber)
		members = append(members, model.Member{ID: model.NodeID(id), Generation: model.Generation(generation)})
	}
	return members
}

func (r *reader) record() *quorum.Record {
	record := &quorum.Record{Number: r.number(anyNumber), Coordinator: model.NodeID(r.number(uint64(model.MaxNodeID)))}
	record.WitnessVotes = r.flags(recordEnd)&recordWitness != 0
	for range r.count() {
		record.Voters = append(record.Voters, model.NodeID(r.number(uint64(model.MaxNodeID))))
	}
	return record
}
