package witnesstest

import (
	"testing"

	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

func testFresh(t *testing.T, open Open) {
	a := hosts(t, open, 1)[0]
	a.wantStatus(0)
	a.wantContent(witness.Content{})
	a.conflict("taking a free witness without standing", a.take(0))
	a.wantStatus(0)
}

func testStanding(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0], h[1]
	a.register()
	b.register()
	b.register()
	a.wantStatus(0, a.me, b.me)
	newer := newHost(t, open, 2, 2)
	newer.register()
	a.wantStatus(0, a.me, newer.me)
	b.conflict("taking with a key that was replaced", b.take(0))
}

func testTaking(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 3)
	a, b, c := h[0].hold(), h[1], h[2]
	b.register()
	c.register()
	a.wantStatus(a.me, a.me, b.me, c.me)
	b.conflict("taking as free what is held", b.take(0))
	b.conflict("taking from somebody who does not hold", b.take(c.me))
	b.wantStatus(a.me, a.me, b.me, c.me)
	a.register()
	a.wantStatus(a.me, a.me, b.me, c.me)
	a.ok("taking what it holds", a.take(0))
	b.ok("take", b.take(a.me))
	b.wantStatus(b.me, b.me, c.me)
	a.wantStatus(b.me, b.me, c.me)
	c.conflict("taking from a holder that was preempted", c.take(a.me))
	if id := a.look().ID; id == 0 || id != b.look().ID || id != c.look().ID {
		t.Errorf("the hosts read different identities, or none: %x %x %x", id, b.look().ID, c.look().ID)
	}
}

func testRemoving(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 3, 4)
	a, b, c, d := h[0].hold(), h[1], h[2], h[3]
	for _, challenger := range []*host{b, c, d} {
		challenger.register()
	}
	b.conflict("removing without holding", b.Remove(t.Context(), b.me, c.me))
	b.conflict("removing the holder", b.Remove(t.Context(), b.me, a.me))
	a.wantStatus(a.me, a.me, b.me, c.me, d.me)
	a.ok("remove", a.Remove(t.Context(), a.me, b.me))
	a.ok("remove again", a.Remove(t.Context(), a.me, b.me))
	b.conflict("taking after being removed", b.take(a.me))
	a.wantStatus(a.me, a.me, c.me, d.me)
	a.ok("remove several", a.Remove(t.Context(), a.me, b.me, c.me, d.me))
	a.wantStatus(a.me, a.me)
	b.register()
	b.ok("take", b.take(a.me))
	c.register()
	a.conflict("removing after being preempted", a.Remove(t.Context(), a.me, c.me))
	a.conflict("removing nobody after being preempted", a.Remove(t.Context(), a.me))
	b.wantStatus(b.me, b.me, c.me)
}

// testRestart: a node that restarts never finds itself holding without having taken (R8e).
func testRestart(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0].hold(), h[1]
	b.register()
	again := newHost(t, open, 1, 2)
	if st := again.look(); st.Holder != a.me {
		t.Fatalf("held by %s before the restarted node stands, want %s", st.Holder, a.me)
	}
	again.register()
	st := again.look()
	if st.Holder == again.me {
		t.Fatal("a restarted node holds the witness without having taken it")
	}
	if !st.Registered(again.me) || st.Holder != 0 && st.Holder != a.me {
		t.Fatalf("after the restart: %+v", st)
	}
	b.conflict("taking from the key that is gone", b.take(a.me))
	again.ok("take", again.take(st.Holder))
	again.wantStatus(again.me, again.me, b.me)
}

func testLeaving(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0].hold(), h[1]
	b.register()
	b.ok("releasing what another holds", b.Release(t.Context(), b.me))
	a.wantStatus(a.me, a.me, b.me)
	a.ok("release", a.Release(t.Context(), a.me))
	a.wantStatus(0, a.me, b.me)
	b.conflict("taking from who has released", b.take(a.me))
	b.ok("take", b.take(0))
	a.ok("unregister", a.Unregister(t.Context(), a.me))
	a.ok("unregister again", a.Unregister(t.Context(), a.me))
	b.wantStatus(b.me, b.me)
	b.ok("unregister as the holder", b.Unregister(t.Context(), b.me))
	b.wantStatus(0)
}

// testLiveDefender is anchor A46: a holder that looks keeps the witness against any number of challengers.
func testLiveDefender(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 3)
	a, b, c := h[0].hold(), h[1], h[2]
	for range 3 {
		b.register()
		c.register()
		st := a.look()
		if len(st.Challengers()) != 2 {
			t.Fatalf("the holder sees %v, want two challengers", st)
		}
		a.ok("remove", a.Remove(t.Context(), a.me, st.Challengers()...))
		b.conflict("take", b.take(a.me))
		c.conflict("take", c.take(a.me))
		a.wantStatus(a.me, a.me)
	}
}

// testDeadDefender is anchor A46: of two challengers of a holder that does nothing, exactly one wins.
func testDeadDefender(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 3)
	a, b, c := h[0].hold(), h[1], h[2]
	b.register()
	c.register()
	results := make(chan error, 2)
	for _, challenger := range []*host{b, c} {
		go func() { results <- challenger.take(a.me) }()
	}
	first, second := <-results, <-results
	if (first == nil) == (second == nil) {
		t.Fatalf("two challengers: %v and %v, want one success", first, second)
	}
	b.conflict("the loser", map[bool]error{true: first, false: second}[first != nil])
	if st := a.look(); st.Holder != b.me && st.Holder != c.me {
		t.Errorf("held by %s", st.Holder)
	}
}

// testChangedKey: a preempt names the key that was read when the wait began (R8e).
func testChangedKey(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2, 3)
	a, b, c := h[0].hold(), h[1], h[2]
	b.register()
	c.register()
	read := b.look().Holder
	c.ok("take", c.take(a.me))
	b.conflict("taking from the key that was read", b.take(read))
	b.wantStatus(c.me, b.me, c.me)
}

func testForeignKey(t *testing.T, open Open) {
	a := hosts(t, open, 1)[0]
	foreign, err := reservation.NewKey(1, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Register(t.Context(), foreign); err == nil {
		t.Error("a key of another cluster is registered")
	}
	a.wantStatus(0)
}

func testEndedContext(t *testing.T, open Open) {
	a := hosts(t, open, 1)[0].hold()
	ctx := ended(t)
	if err := a.Release(ctx, a.me); err == nil {
		t.Error("a call with an ended context succeeds")
	}
	a.wantStatus(a.me, a.me)
}
