package witnesstest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
)

// taken is one success of Take.
type taken struct{ by, from reservation.Key }

// testManyAtOnce lets hosts restart, stand and take without waiting, all at once. Every key that ever held must have been taken from
// by one host only: the takes form one chain.
func testManyAtOnce(t *testing.T, open Open) {
	const rounds = 6
	all := hosts(t, open, 1, 2, 3, 4)
	var mu sync.Mutex
	var takes []taken
	var wg sync.WaitGroup
	for _, h := range all {
		wg.Go(func() {
			for n := range rounds {
				h.me = keyOf(h.me.Node(), model.Epoch(n+2))
				won, err := challenge(h)
				if err != nil {
					t.Errorf("node %d: %v", h.me.Node(), err)
					return
				}
				if won != nil {
					mu.Lock()
					takes = append(takes, *won)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(takes) == 0 {
		t.Fatal("nobody ever took the witness")
	}
	from := map[reservation.Key]reservation.Key{}
	for _, s := range takes {
		if other, twice := from[s.from]; twice && s.from != 0 {
			t.Errorf("both %s and %s took the witness from %s", other, s.by, s.from)
		}
		from[s.from] = s.by
	}
	// The holder of the end is somebody from whom nobody took. A first look may show the state before.
	var next reservation.Key
	for range 3 {
		holder := all[0].look().Holder
		if next = from[holder]; next == 0 || holder == 0 {
			return
		}
	}
	t.Errorf("the witness is still held by whom %s took it from", next)
}

func keyOf(node model.NodeID, incarnation model.Epoch) reservation.Key {
	k, err := reservation.NewKey(uint32(Cluster>>40), node, incarnation)
	if err != nil {
		panic(err)
	}
	return k
}

// challenge is one life of a host: stand, look, take. It returns the take if it succeeded.
func challenge(h *host) (*taken, error) {
	ctx := h.t.Context()
	if err := h.Register(ctx, h.me); err != nil {
		return nil, err
	}
	st, err := h.Look(ctx, h.me)
	if err != nil {
		return nil, err
	}
	if st.Holder == h.me {
		return nil, errors.New("it holds the witness without having taken it")
	}
	err = h.Take(ctx, h.me, st.Holder)
	if errors.Is(err, witness.ErrConflict) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &taken{by: h.me, from: st.Holder}, nil
}

// testLookAndTake: a look that begins after a take has succeeded never says that the old holder holds it.
func testLookAndTake(t *testing.T, open Open) {
	h := hosts(t, open, 1, 2)
	a, b := h[0].hold(), h[1]
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for lost := false; !lost; {
			after := over.Load()
			st, err := a.Look(t.Context(), a.me)
			if err != nil {
				t.Errorf("look: %v", err)
				return
			}
			if lost = st.Holder != a.me; !lost && after {
				t.Error("a look that began after the take says that the old holder holds it")
				return
			}
		}
	})
	t.Cleanup(wg.Wait)
	b.register()
	b.ok("take", b.take(a.me))
	over.Store(true)
	wg.Wait()
}

// testFirstOfMany: hosts that find a witness that nobody has used agree on what it is.
func testFirstOfMany(t *testing.T, open Open) {
	all := hosts(t, open, 1, 2, 3, 4)
	var wg sync.WaitGroup
	var winners atomic.Int32
	for _, h := range all {
		wg.Go(func() {
			if err := h.Register(t.Context(), h.me); err != nil {
				t.Errorf("node %d: register: %v", h.me.Node(), err)
				return
			}
			switch err := h.take(0); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, witness.ErrConflict):
				t.Errorf("node %d: take: %v", h.me.Node(), err)
			}
		})
	}
	wg.Wait()
	if n := winners.Load(); n != 1 {
		t.Fatalf("%d of 4 hosts took a new witness, want one", n)
	}
	first := all[0].look()
	if first.ID == 0 || len(first.Keys) != 4 {
		t.Errorf("after the first take: %+v, want an identity and four keys", first)
	}
	for _, h := range all[1:] {
		if st := h.look(); st.ID != first.ID || st.Holder != first.Holder {
			t.Errorf("node %d reads %+v, node 1 %+v", h.me.Node(), st, first)
		}
	}
}
