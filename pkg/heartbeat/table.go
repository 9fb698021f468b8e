package heartbeat

import (
	"encoding/binary"
	"math/bits"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// maxTable is the most nodes that a table can have: its length is one byte.
const maxTable = 255

// table is the sorted list of the nodes that a body speaks of, with what members and echoes are told against. Lists of nodes are
// sets over it: one bit for each of its nodes.
type table struct {
	ids []model.NodeID
	// generation and sequence are what the sender hears of each node; its own generation for itself.
	generation, sequence [maxTable]uint64

	// slot is the place of each id in ids. It is filled when writing only.
	slot [model.MaxNodeID + 1]uint8
	// named has a bit for each id while a table is gathered.
	named [(model.MaxNodeID + 64) / 64]uint64
	// used has a bit for each node of the table that some list has; all must have one in the end.
	used [maxTable/8 + 1]byte
}

func (t *table) name(id model.NodeID) { t.named[id/64] |= 1 << (id % 64) }

// gather makes the table of what a datagram speaks of, and reports whether it is small enough.
func (t *table) gather(d *Datagram) bool {
	m := &d.Message
	clear(t.named[:])
	for i := range m.Heard {
		t.name(m.Heard[i].ID)
	}
	for _, o := range m.Proposal {
		t.name(o.ID)
	}
	if m.View != nil {
		for _, o := range m.View.Members {
			t.name(o.ID)
		}
	}
	if m.Committed != nil {
		for _, id := range m.Committed.Voters {
			t.name(id)
		}
	}
	if m.Tentative != nil {
		for _, id := range m.Tentative.Voters {
			t.name(id)
		}
	}
	for _, e := range d.Echoes {
		t.name(e.Peer)
	}
	return t.list(m)
}

// list lists what was named.
func (t *table) list(m *membership.Message) bool {
	t.ids = t.ids[:0]
	for i, word := range t.named {
		for ; word != 0; word &= word - 1 {
			if len(t.ids) == maxTable {
				return false
			}
			id := model.NodeID(i*64 + bits.TrailingZeros64(word))
			t.slot[id] = uint8(len(t.ids))
			t.ids = append(t.ids, id)
		}
	}
	clear(t.generation[:len(t.ids)])
	clear(t.sequence[:len(t.ids)])
	t.own(m)
	for i := range m.Heard {
		slot := t.slot[m.Heard[i].ID]
		t.generation[slot], t.sequence[slot] = uint64(m.Heard[i].Generation), m.Heard[i].Sequence
	}
	return true
}

// own notes the sender's generation, if the table has the sender.
func (t *table) own(m *membership.Message) {
	for i, id := range t.ids {
		if id == m.From {
			t.generation[i] = uint64(m.Generation)
		}
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

func (t *table) read(r *reader, m *membership.Message) {
	t.ids = t.ids[:0]
	clear(t.used[:])
	id := uint64(0)
	for range r.byte() {
		step := r.number(uint64(model.MaxNodeID))
		if id += step; step == 0 || id > uint64(model.MaxNodeID) {
			r.failed = true
		}
		if r.failed {
			break
		}
		t.ids = append(t.ids, model.NodeID(id))
	}
	clear(t.generation[:len(t.ids)])
	clear(t.sequence[:len(t.ids)])
	t.own(m)
}

// bytes is the size of a set.
func (t *table) bytes() int { return (len(t.ids) + 7) / 8 }

// appendSet makes room for a set and returns it.
func (t *table) appendSet(b []byte) (all, set []byte) {
	at := len(b)
	b = append(b, zeros[:t.bytes()]...)
	return b, b[at:]
}

func (t *table) put(set []byte, id model.NodeID) {
	i := t.slot[id]
	set[i/8] |= 1 << (i % 8)
}

// places are the places in the table that a set has: `for s := t.set(r); s.next(); { ... s.at ... }`.
type places struct {
	words [(maxTable + 63) / 64]uint64
	at    int
}

func (p *places) next() bool {
	for i := range p.words {
		if w := p.words[i]; w != 0 {
			p.at = i*64 + bits.TrailingZeros64(w)
			p.words[i] &= w - 1
			return true
		}
	}
	return false
}

// set reads a set of at most maxList nodes.
func (t *table) set(r *reader) (p places) {
	set := r.take(t.bytes())
	n := 0
	for i, b := range set {
		t.used[i] |= b
		n += bits.OnesCount8(b)
		p.words[i/8] |= uint64(b) << (i % 8 * 8)
	}
	if rest := len(t.ids) % 8; rest != 0 && set[len(set)-1]>>rest != 0 {
		r.failed = true
	}
	if r.failed = r.failed || n > maxList; r.failed {
		return places{}
	}
	return p
}

// whole reports whether every node of the table is in some list: a table with more would be a second encoding.
func (t *table) whole() bool {
	n := 0
	for _, b := range t.used {
		n += bits.OnesCount8(b)
	}
	return n == len(t.ids)
}
