package fileshare

import (
	"context"

	"github.com/quorate/quorate/pkg/witness/swap"
)

// Tidy removes the document that the last swap replaced, and once in a while everything else that nobody will need.
func (s *store) Tidy(ctx context.Context, present swap.StateRef) {
	if s.before.number > 0 {
		_ = s.dir.remove(s.before.doc()) // what stays is found by the next look for remains
		s.before = point{}
	}
	if s.swaps++; s.swaps%tidyEvery != 1 {
		return
	}
	names, err := s.dir.list()
	if err != nil {
		return
	}
	head, none, err := s.head()
	if err != nil || none || head.number == 0 {
		return
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if useless(name, head, present) || s.isAbandoned(name) {
			_ = s.dir.remove(name)
		}
	}
}

// useless says that a file can never be needed again, now that head was seen: heads and documents of other roots, documents up to
// head's number, states older than the present one. It holds however late the removal comes, since numbers and versions only grow and no
// name comes twice.
func useless(name string, head point, present swap.StateRef) bool {
	if p, ok := parsePoint(name, headPrefix); ok {
		return p.root != head.root || p.number < head.number
	}
	if p, ok := parsePoint(name, docPrefix); ok {
		return p.root != head.root || p.number <= head.number && p != head
	}
	version, ok := parseState(name)
	return ok && version < present.Version
}

func (s *store) isAbandoned(name string) bool {
	if len(name) <= len(newPrefix) || name[:len(newPrefix)] != newPrefix {
		return false
	}
	age, err := s.dir.age(name)
	return err == nil && age > abandoned
}
