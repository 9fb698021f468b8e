package heartbeat

import (
	"encoding/binary"
)

const anyNumber = ^uint64(0)

// reader takes a body apart. After the first failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

var zeros [32]byte

// take returns the next n bytes, at most 32.
func (r *reader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return zeros[:n]
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

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

// difference reads a number that was written as its difference from another one, of either sign.
func (r *reader) difference(from uint64) uint64 {
	n := r.number(anyNumber)
	return from + (n>>1 ^ -(n & 1))
}

func appendDifference(b []byte, n, from uint64) []byte {
	d := n - from
	return binary.AppendUvarint(b, d<<1^-(d>>63))
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

// count reads the length of a list of nodes.
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
