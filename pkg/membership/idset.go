package membership

import (
	"math/bits"

	"github.com/quorate/quorate/pkg/model"
)

// idSet is a set of small numbers, a bit each; words beyond its length are zero. Node ids are at most model.MaxNodeID, so the largest
// set has 64 words. What is in a Peer is replaced, never changed, so that clones may share it.
type idSet []uint64

func (s idSet) has(i int) bool { return i/64 < len(s) && s[i/64]&(1<<(i%64)) != 0 }

// add puts i into the set, which grows as needed.
func (s *idSet) add(i int) {
	for len(*s) <= i/64 {
		*s = append(*s, 0)
	}
	(*s)[i/64] |= 1 << (i % 64)
}

func (s idSet) equal(o idSet) bool {
	if len(s) < len(o) {
		s, o = o, s
	}
	for i, word := range s {
		if i < len(o) && word != o[i] || i >= len(o) && word != 0 {
			return false
		}
	}
	return true
}

func (s idSet) size() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// sizeWith counts what is in both sets.
func (s idSet) sizeWith(o idSet) (n int) {
	for i, word := range s[:min(len(s), len(o))] {
		n += bits.OnesCount64(word & o[i])
	}
	return n
}

// with is a new set of what is in both.
func (s idSet) with(o idSet) idSet {
	both := make(idSet, min(len(s), len(o)))
	for i := range both {
		both[i] = s[i] & o[i]
	}
	return both
}

// less is a new set without i.
func (s idSet) less(i int) idSet {
	rest := append(idSet(nil), s...)
	rest[i/64] &^= 1 << (i % 64)
	return rest
}

// lowerThan reports whether the lowest number that is in one set only is in this one.
func (s idSet) lowerThan(o idSet) bool {
	for i := range max(len(s), len(o)) {
		var a, b uint64
		if i < len(s) {
			a = s[i]
		}
		if i < len(o) {
			b = o[i]
		}
		if differ := a ^ b; differ != 0 {
			return a&(differ&-differ) != 0
		}
	}
	return false
}

// of lists the ids whose places in list are in the set.
func (s idSet) of(list []model.NodeID) []model.NodeID {
	out := make([]model.NodeID, 0, s.size())
	for i, id := range list {
		if s.has(i) {
			out = append(out, id)
		}
	}
	return out
}
