package heartbeat

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Version 2: the body begins with a table of all nodes that it speaks of; lists of nodes are sets of bits over that table, and the
// generations of members are told by their difference from what is heard, which is nearly always 0. So the datagram of a cluster
// of 64 nodes fits into one Ethernet frame. Each message has one encoding only.

// appendVersion2 encodes a datagram that has passed check.
func (c *Codec) appendVersion2(b []byte, d *Datagram) ([]byte, error) {
	m, t := &d.Message, &c.table
	if !t.gather(d) {
		return b, fmt.Errorf("the message speaks of more than %d nodes", maxTable)
	}
	flags := flagsOf(m)
	if flags >= flagsOfVersion(d.Version) {
		return b, errPending
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.AppendUvarint(b, uint64(m.Generation))
	b = binary.AppendUvarint(b, uint64(m.Hold))
	b = binary.AppendUvarint(b, m.HighestView)
	b = t.append(b)
	b, set := t.appendSet(b)
	for i := range m.Heard {
		t.put(set, m.Heard[i].ID)
	}
	for i := range m.Heard {
		h := &m.Heard[i]
		b = append(b, heardFlags(h))
		b = binary.AppendUvarint(b, h.Incarnation)
		b = binary.AppendUvarint(b, uint64(h.Generation))
		b = binary.AppendUvarint(b, h.Sequence)
	}
	b = t.appendMembers(b, m.Proposal)
	if m.View != nil {
		b = appendViewID(b, m.View.ID)
		b = t.appendMembers(b, m.View.Members)
	}
	if m.Committed != nil {
		b = t.appendRecord(b, m.Committed)
	}
	if m.Tentative != nil {
		b = t.appendRecord(b, m.Tentative)
	}
	return appendWitness(t.appendEchoes(b, d), m), nil
}

func (t *table) appendMembers(b []byte, list []model.Member) []byte {
	b, set := t.appendSet(b)
	for _, o := range list {
		t.put(set, o.ID)
	}
	for _, o := range list {
		b = appendDifference(b, uint64(o.Generation), t.generation[t.slot[o.ID]])
	}
	return b
}

func (t *table) appendRecord(b []byte, r *quorum.Record) []byte {
	b = binary.AppendUvarint(b, r.Number)
	b = binary.AppendUvarint(b, uint64(r.Coordinator))
	b = appendRecordFlags(b, r)
	b, set := t.appendSet(b)
	for _, id := range r.Voters {
		t.put(set, id)
	}
	return b
}

// appendEchoes tells sequences by what they lag behind what is heard on any network, and ages in microseconds.
func (t *table) appendEchoes(b []byte, d *Datagram) []byte {
	b, set := t.appendSet(b)
	for _, e := range d.Echoes {
		t.put(set, e.Peer)
	}
	for _, e := range d.Echoes {
		b = appendDifference(b, e.Sequence, t.sequence[t.slot[e.Peer]])
		b = binary.AppendUvarint(b, uint64(e.Age/time.Microsecond))
	}
	return b
}

func (c *Codec) readVersion2(r *reader, d *Datagram) {
	m, t := &d.Message, &c.table
	m.From, m.Incarnation, m.Sequence = d.From, d.Incarnation, d.Sequence
	flags := r.messageFlags(m, flagsOfVersion(d.Version))
	m.Generation = model.Generation(r.number(anyNumber))
	m.Hold = time.Duration(r.number(uint64(maxHold)))
	m.HighestView = r.number(anyNumber)
	t.read(r, m)
	for s := t.set(r); s.next(); {
		h := membership.Heard{ID: t.ids[s.at]}
		r.heardFlags(&h)
		h.Incarnation = r.number(anyNumber)
		h.Generation = model.Generation(r.number(anyNumber))
		h.Sequence = r.number(anyNumber)
		t.generation[s.at], t.sequence[s.at] = uint64(h.Generation), h.Sequence
		m.Heard = append(m.Heard, h)
	}
	m.Proposal = t.readMembers(r, m.Proposal)
	if flags&flagView != 0 {
		d.view.ID = r.viewID()
		d.view.Members = t.readMembers(r, d.view.Members)
		m.View = &d.view
	}
	if flags&flagCommitted != 0 {
		t.readRecord(r, &d.committed)
		m.Committed = &d.committed
	}
	if flags&flagTentative != 0 {
		t.readRecord(r, &d.tentative)
		m.Tentative = &d.tentative
	}
	t.readEchoes(r, d)
	r.witness(d, flags)
	r.failed = r.failed || !t.whole()
}

func (t *table) readMembers(r *reader, into []model.Member) []model.Member {
	for s := t.set(r); s.next(); {
		into = append(into, model.Member{ID: t.ids[s.at], Generation: model.Generation(r.difference(t.generation[s.at]))})
	}
	return into
}

func (t *table) readRecord(r *reader, into *quorum.Record) {
	into.Number, into.Coordinator = r.number(anyNumber), model.NodeID(r.number(uint64(model.MaxNodeID)))
	r.recordFlags(into)
	for s := t.set(r); s.next(); {
		into.Voters = append(into.Voters, t.ids[s.at])
	}
}

func (t *table) readEchoes(r *reader, d *Datagram) {
	for s := t.set(r); s.next(); {
		e := Echo{Peer: t.ids[s.at], Sequence: r.difference(t.sequence[s.at])}
		e.Age = time.Duration(r.number(uint64(maxEcho/time.Microsecond))) * time.Microsecond
		d.Echoes = append(d.Echoes, e)
	}
}
