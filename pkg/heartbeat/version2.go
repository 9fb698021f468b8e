package heartbeat

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Version 2: the body begins with a table of all nodes that it speaks of; lists of nodes are sets of bits over that table, and the
// generations of members are told by their difference from what is heard, which is nearly always 0. So the datagram of a cluster
// of 64 nodes fits into one Ethernet frame. Each message has one encoding only.

// maxTable is the most nodes that a table can have: its length is one byte.
const maxTable = 255

// table is the sorted list of the nodes of a body.
type table struct {
	ids []model.NodeID
	// used has a bit for each node that some list has; all must be set in the end.
	used [maxTable/8 + 1]byte
}

func (t *table) index(id model.NodeID) int {
	i, _ := slices.BinarySearch(t.ids, id)
	return i
}

// bytes is the size of a set.
func (t *table) bytes() int { return (len(t.ids) + 7) / 8 }

func (t *table) gather(d *Datagram) {
	m := &d.Message
	t.ids = t.ids[:0]
	for i := range m.Heard {
		t.ids = append(t.ids, m.Heard[i].ID)
	}
	t.members(m.Proposal)
	if m.View != nil {
		t.members(m.View.Members)
	}
	if m.Committed != nil {
		t.ids = append(t.ids, m.Committed.Voters...)
	}
	if m.Tentative != nil {
		t.ids = append(t.ids, m.Tentative.Voters...)
	}
	for _, e := range d.Echoes {
		t.ids = append(t.ids, e.Peer)
	}
	slices.Sort(t.ids)
	t.ids = slices.Compact(t.ids)
}

func (t *table) members(list []model.Member) {
	for _, o := range list {
		t.ids = append(t.ids, o.ID)
	}
}

// append writes the table: its length, then each id as what it is more than the one before.
func (t *table) append(b []byte) []byte {
	b = append(b, byte(len(t.ids)))
	before := model.NodeID(0)
	for _, id := range t.ids {
		b = binary.AppendUvarint(b, uint64(id-before))
		before = id
	}
	return b
}

func (t *table) read(r *reader) {
	t.ids = t.ids[:0]
	clear(t.used[:])
	id := uint64(0)
	for range r.byte() {
		step := r.number(uint64(model.MaxNodeID))
		if id += step; step == 0 || id > uint64(model.MaxNodeID) {
			r.failed = true
		}
		if r.failed {
			return
		}
		t.ids = append(t.ids, model.NodeID(id))
	}
}

// appendSet makes room for a set and returns it.
func (t *table) appendSet(b []byte) (all, set []byte) {
	at := len(b)
	b = append(b, zeros[:t.bytes()]...)
	return b, b[at:]
}

func (t *table) put(set []byte, id model.NodeID) {
	i := t.index(id)
	set[i/8] |= 1 << (i % 8)
}

// set reads a set of at most maxList nodes; ids returns its nodes.
func (t *table) set(r *reader) []byte {
	set := r.take(t.bytes())
	n := 0
	for i, bits := range set {
		t.used[i] |= bits
		for ; bits != 0; bits &= bits - 1 {
			n++
		}
	}
	if rest := len(t.ids) % 8; rest != 0 && !r.failed && set[len(set)-1]>>rest != 0 {
		r.failed = true
	}
	r.failed = r.failed || n > maxList
	return set
}

func (t *table) has(set []byte, i int) bool { return set[i/8]&(1<<(i%8)) != 0 }

// whole reports whether every node of the table is in some list: a table with more would be a second encoding.
func (t *table) whole() bool {
	for i := range t.ids {
		if !t.has(t.used[:], i) {
			return false
		}
	}
	return true
}

// generationOf is what members' generations are told against: what the sender hears of the node, its own for itself.
func generationOf(m *membership.Message, id model.NodeID) uint64 {
	if id == m.From {
		return uint64(m.Generation)
	}
	return uint64(heardOf(m, id).Generation)
}

func heardOf(m *membership.Message, id model.NodeID) membership.Heard {
	i, found := slices.BinarySearchFunc(m.Heard, id, func(h membership.Heard, id model.NodeID) int { return int(h.ID) - int(id) })
	if !found {
		return membership.Heard{}
	}
	return m.Heard[i]
}

// appendVersion2 encodes a datagram that has passed check.
func (c *Codec) appendVersion2(b []byte, d *Datagram) ([]byte, error) {
	m, t := &d.Message, &c.table
	if t.gather(d); len(t.ids) > maxTable {
		return b, fmt.Errorf("the message speaks of %d nodes, more than %d", len(t.ids), maxTable)
	}
	b = binary.BigEndian.AppendUint16(b, flagsOf(m))
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
	b = t.appendMembers(b, m, m.Proposal)
	if m.View != nil {
		b = appendViewID(b, m.View.ID)
		b = t.appendMembers(b, m, m.View.Members)
	}
	if m.Committed != nil {
		b = t.appendRecord(b, m.Committed)
	}
	if m.Tentative != nil {
		b = t.appendRecord(b, m.Tentative)
	}
	return appendWitness(t.appendEchoes(b, d), m), nil
}

func (t *table) appendMembers(b []byte, m *membership.Message, list []model.Member) []byte {
	b, set := t.appendSet(b)
	for _, o := range list {
		t.put(set, o.ID)
	}
	for _, o := range list {
		b = appendDifference(b, uint64(o.Generation), generationOf(m, o.ID))
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
		b = appendDifference(b, e.Sequence, heardOf(&d.Message, e.Peer).Sequence)
		b = binary.AppendUvarint(b, uint64(e.Age/time.Microsecond))
	}
	return b
}

func (c *Codec) readVersion2(r *reader, d *Datagram) {
	m, t := &d.Message, &c.table
	m.From, m.Incarnation, m.Sequence = d.From, d.Incarnation, d.Sequence
	flags := r.messageFlags(m)
	m.Generation = model.Generation(r.number(anyNumber))
	m.Hold = time.Duration(r.number(uint64(maxHold)))
	m.HighestView = r.number(anyNumber)
	t.read(r)
	set := t.set(r)
	for i, id := range t.ids {
		if !t.has(set, i) {
			continue
		}
		h := membership.Heard{ID: id}
		r.heardFlags(&h)
		h.Incarnation = r.number(anyNumber)
		h.Generation = model.Generation(r.number(anyNumber))
		h.Sequence = r.number(anyNumber)
		m.Heard = append(m.Heard, h)
	}
	m.Proposal = t.readMembers(r, m, m.Proposal)
	if flags&flagView != 0 {
		d.view.ID = r.viewID()
		d.view.Members = t.readMembers(r, m, d.view.Members)
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

func (t *table) readMembers(r *reader, m *membership.Message, into []model.Member) []model.Member {
	set := t.set(r)
	for i, id := range t.ids {
		if t.has(set, i) {
			into = append(into, model.Member{ID: id, Generation: model.Generation(r.difference(generationOf(m, id)))})
		}
	}
	return into
}

func (t *table) readRecord(r *reader, into *quorum.Record) {
	into.Number, into.Coordinator = r.number(anyNumber), model.NodeID(r.number(uint64(model.MaxNodeID)))
	r.recordFlags(into)
	set := t.set(r)
	for i, id := range t.ids {
		if t.has(set, i) {
			into.Voters = append(into.Voters, id)
		}
	}
}

func (t *table) readEchoes(r *reader, d *Datagram) {
	set := t.set(r)
	for i, id := range t.ids {
		if !t.has(set, i) {
			continue
		}
		e := Echo{Peer: id, Sequence: r.difference(heardOf(&d.Message, id).Sequence)}
		e.Age = time.Duration(r.number(uint64(maxEcho/time.Microsecond))) * time.Microsecond
		d.Echoes = append(d.Echoes, e)
	}
}
