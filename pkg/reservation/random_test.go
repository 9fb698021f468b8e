package reservation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/quorate/quorate/pkg/model"
)

// turns lets exactly one host at a time do its next command, in an order drawn from a seed.
type turns struct {
	rng     *rand.Rand
	mu      sync.Mutex
	waiting map[string]chan struct{}
	running int
}

func (w *turns) wait(host string) {
	ch := make(chan struct{})
	w.mu.Lock()
	w.waiting[host] = ch
	w.running--
	w.pick()
	w.mu.Unlock()
	<-ch
}

func (w *turns) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	w.pick()
}

// pick starts one waiting host when no other runs.
func (w *turns) pick() {
	if w.running > 0 || len(w.waiting) == 0 {
		return
	}
	hosts := make([]string, 0, len(w.waiting))
	for _, h := range []string{"a", "b", "c"} {
		if _, ok := w.waiting[h]; ok {
			hosts = append(hosts, h)
		}
	}
	h := hosts[w.rng.IntN(len(hosts))]
	close(w.waiting[h])
	delete(w.waiting, h)
	w.running++
}

// owners is what the hosts believe, checked after every successful Acquire and Verify.
type owners struct {
	t     *testing.T
	seed  uint64
	disk  *Fake
	nodes map[string]model.NodeID
}

// acquired checks S2: when a host has acquired the disk, or verified that it has it, no older owner can write.
func (o *owners) acquired(host string, epoch model.Epoch) {
	st := o.disk.Status()
	for _, k := range st.Keys {
		if k.Epoch() < epoch {
			o.t.Errorf("seed %d: %s acquired epoch %d, yet %v may still write", o.seed, host, epoch, k)
		}
	}
	if st.Holder == 0 {
		o.t.Errorf("seed %d: the disk is free after %s acquired it (O15)", o.seed, host)
	}
}

// TestInterleavings runs three hosts that compete for one disk with growing epochs, one command at a time in random order, with
// conflicts, unit attentions and acquisitions that are cut short.
func TestInterleavings(t *testing.T) {
	for seed := range uint64(400) {
		interleave(t, seed)
	}
}

func interleave(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 17))
	f := NewFake()
	o := &owners{t: t, seed: seed, disk: f, nodes: map[string]model.NodeID{"a": 1, "b": 2, "c": 3}}
	w := &turns{rng: rng, waiting: map[string]chan struct{}{}, running: len(o.nodes)}
	cut := errors.New("power cut")
	left := map[string]int{"a": 60, "b": 60, "c": 60}
	f.Before = func(host string, _ Service) error {
		w.wait(host)
		left[host]--
		switch n := rng.IntN(100); {
		case n < 5:
			return ErrAttention
		case n < 10:
			return cut
		}
		return nil
	}
	var (
		wg    sync.WaitGroup
		next  model.Epoch
		everA bool
	)
	for host, node := range o.nodes {
		wg.Go(func() {
			defer w.done()
			w.wait(host)
			for left[host] > 0 {
				next++ // guarded by the turns: only the host whose turn it is runs
				epoch := next
				me := key(t, node, epoch)
				if _, err := Acquire(t.Context(), f.Host(host), me, nil); err != nil {
					continue
				}
				everA = true
				o.acquired(host, epoch)
				for left[host] > 0 && rng.IntN(4) > 0 {
					if err := Verify(t.Context(), f.Host(host), me); errors.Is(err, ErrLost) {
						break
					} else if err == nil {
						o.acquired(host, epoch)
					}
				}
			}
		})
	}
	wg.Wait()
	f.Before = nil
	// Liveness: when all is quiet, one more with the highest epoch gets it.
	me := key(t, 1, next+1)
	if _, err := Acquire(t.Context(), f.Host("a"), me, nil); err != nil {
		t.Errorf("seed %d: the last one did not get the disk: %v", seed, err)
	}
	if !everA {
		t.Logf("seed %d: nobody acquired the disk in between", seed)
	}
	if st := f.Status(); fmt.Sprint(st.Keys) != fmt.Sprint([]Key{me}) {
		t.Errorf("seed %d: the disk ends with keys %v", seed, st.Keys)
	}
}
