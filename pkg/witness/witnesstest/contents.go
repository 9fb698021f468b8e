package witnesstest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/witness"
)

func testContent(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0].hold(), h[1]
	b.register()
	first, second, third := record(3, 1, 1, 2), record(5, 1, 1), record(7, 2, 1, 2)
	a.ok("save", a.save(witness.Content{Committed: first}))
	b.wantContent(witness.Content{Committed: first})
	a.ok("save", a.save(witness.Content{Committed: first, Tentative: second}))
	b.wantContent(witness.Content{Committed: first, Tentative: second})
	b.ok("take", b.take(a.me))
	b.wantContent(witness.Content{Committed: first, Tentative: second})
	b.ok("save", b.save(witness.Content{Committed: second, Tentative: third}))
	a.wantContent(witness.Content{Committed: second, Tentative: third})
	// A tentative record goes by being committed, never by being forgotten.
	b.ok("save", b.save(witness.Content{Committed: third}))
	a.wantContent(witness.Content{Committed: third})
	for n := uint64(8); n < 14; n++ {
		b.ok("save", b.save(witness.Content{View: model.ViewID{Number: n, Coordinator: 2}, Committed: record(n, 1, 1)}))
		a.wantContent(witness.Content{View: model.ViewID{Number: n, Coordinator: 2}, Committed: record(n, 1, 1)})
	}
	// The highest view stays with the witness when it is taken.
	a.register()
	a.ok("take", a.take(b.me))
	a.ok("save", a.save(witness.Content{View: model.ViewID{Number: 7, Coordinator: 1}, Committed: record(13, 1, 1)}))
	b.wantContent(witness.Content{View: model.ViewID{Number: 13, Coordinator: 2}, Committed: record(13, 1, 1)})
}

func testStates(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 9)
	a, b, c := h[0].hold(), h[1], h[2]
	b.register()
	large := make([]byte, witness.MaxState)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range large {
		large[i] = byte(random.Uint32())
	}
	a.ok("save", a.save(witness.Content{State: []byte("one"), StateVersion: 1}))
	b.wantContent(witness.Content{State: []byte("one"), StateVersion: 1})
	a.ok("save the largest", a.save(witness.Content{State: large, StateVersion: 5}))
	b.wantContent(witness.Content{State: large, StateVersion: 5})
	a.ok("save an older one", a.save(witness.Content{State: []byte("old"), StateVersion: 4}))
	a.ok("save another of the same version", a.save(witness.Content{State: []byte("same"), StateVersion: 5}))
	a.ok("save none", a.save(witness.Content{Committed: record(1, 0, 1)}))
	b.wantContent(witness.Content{Committed: record(1, 0, 1), State: large, StateVersion: 5})
	if err := a.save(witness.Content{State: append(bytes.Clone(large), 0), StateVersion: 6}); err == nil {
		t.Error("a state that is too large is saved")
	}
	b.ok("take", b.take(a.me))
	b.ok("save", b.save(witness.Content{Committed: record(1, 0, 1), State: []byte("six"), StateVersion: 6}))
	a.wantContent(witness.Content{Committed: record(1, 0, 1), State: []byte("six"), StateVersion: 6})
	// Node 9 shares its place on a disk with node 1.
	c.register()
	c.ok("take", c.take(b.me))
	for v := uint64(7); v < 11; v++ {
		c.ok("save", c.save(witness.Content{State: []byte{byte(v)}, StateVersion: v}))
		a.wantContent(witness.Content{Committed: record(1, 0, 1), State: []byte{byte(v)}, StateVersion: v})
	}
}

// testLateSave: a holder that was preempted saves nothing that counts.
func testLateSave(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0].hold(), h[1]
	b.register()
	a.ok("save", a.save(witness.Content{Committed: record(3, 1, 1, 2), State: []byte("three"), StateVersion: 3}))
	b.ok("take", b.take(a.me))
	want := witness.Content{Committed: record(4, 2, 2), State: []byte("four"), StateVersion: 4}
	b.ok("save", b.save(want))
	a.conflict("a late save", a.save(witness.Content{Committed: record(9, 1, 1), State: []byte("nine"), StateVersion: 9}))
	b.wantContent(want)
	a.register()
	a.conflict("a challenger's save", a.save(witness.Content{Committed: record(9, 1, 1), State: []byte("nine"), StateVersion: 9}))
	b.wantContent(want)
}

func testContentWithoutHolding(t *testing.T, open Open) {
	a := hosts(t, open, 1)[0]
	a.register()
	a.conflict("saving to a witness that nobody holds", a.save(witness.Content{Committed: record(1, 0, 1)}))
	a.wantContent(witness.Content{})
}

// testReopened: everything survives the processes that wrote it.
func testReopened(t *testing.T, open Open) {
	a := hosts(t, open, 1)[0].hold()
	want := witness.Content{Committed: record(3, 1, 1, 2), Tentative: record(4, 1, 1), State: []byte("state"), StateVersion: 2}
	a.ok("save", a.save(want))
	id := a.look().ID
	again := newHost(t, open, 1, 1)
	again.wantContent(want)
	again.wantStatus(a.me, a.me)
	if got := again.look().ID; got != id {
		t.Errorf("identity %x after it was opened again, was %x", got, id)
	}
}
