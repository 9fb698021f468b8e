package sim

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// Options shape a world.
type Options struct {
	Seed     uint64
	Nodes    int
	Networks int
	// StaticVotes turns dynamic votes off.
	StaticVotes bool
	// Witness configures a witness; WitnessOnly lets it alone vote (DiskOnly).
	Witness, WitnessOnly bool
	// SlowSaves is how much longer, at most, something takes to be on the witness.
	SlowSaves time.Duration
	// Drift lets each clock run up to 1% fast or slow.
	Drift bool
	// Trace receives a line for each thing that happens; nil for none.
	Trace io.Writer
	// Agent makes what runs on each host beside its membership machine; nil for nothing.
	Agent func(*Host) Agent
}

// World is one simulated cluster. Everything in it happens in the order of (time, number of the event).
type World struct {
	opts  Options
	rng   *rand.Rand
	now   time.Duration
	queue eventQueue
	count uint64

	Hosts []*Host
	net   *network
	// witnesses by id: the configured one and those before it.
	witnesses map[uint32]*witnessDisk
	check     *checker
	cfg       membership.Config
	err       error
	// observe is called after every event; nil for nobody.
	observe func()
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// NewWorld makes a cluster of hosts 1..Nodes that are switched on, have the first record and are clean from the start.
func NewWorld(opts Options) *World {
	w := &World{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0x9e3779b97f4a7c15))}
	w.cfg = membership.Config{Interval: 250 * time.Millisecond, Threshold: 4, DynamicVotes: !opts.StaticVotes}
	w.witnesses = map[uint32]*witnessDisk{}
	if opts.Witness || opts.WitnessOnly {
		w.witnesses[1] = newWitnessDisk(w)
		w.cfg.Witness = membership.WitnessConfig{ID: 1, Only: opts.WitnessOnly}
	}
	var voters []model.NodeID
	for i := range opts.Nodes {
		id := model.NodeID(i + 1)
		w.cfg.Nodes = append(w.cfg.Nodes, membership.NodeConfig{ID: id, Votes: 1})
		voters = append(voters, id)
	}
	w.net = newNetwork(w, max(1, opts.Networks))
	w.check = newChecker(w)
	for _, id := range voters {
		w.Hosts = append(w.Hosts, newHost(w, id))
	}
	first := quorum.NewRecord(1, 0, voters)
	for _, h := range w.Hosts {
		h.boot()
	}
	for _, h := range w.Hosts {
		w.RunUntil(10*time.Millisecond, func() bool { return !h.busy })
		h.step(func(now time.Duration) {
			if err := h.machine.Form(*first, now); err != nil {
				w.fail("form on %d: %v", h.id, err)
			}
		})
	}
	return w
}

// Host returns the host with this id.
func (w *World) Host(id model.NodeID) *Host { return w.Hosts[id-1] }

// Now is the true time, which no host knows.
func (w *World) Now() time.Duration { return w.now }

// Err is the first violation, nil if there was none.
func (w *World) Err() error { return w.err }

// After runs something later.
func (w *World) After(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, event{at: w.now + max(0, d), seq: w.count, do: do})
}

// Run lets time pass until then, or until the first violation.
func (w *World) Run(until time.Duration) error {
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= until {
		e := heap.Pop(&w.queue).(event)
		w.do(e)
	}
	w.now = max(w.now, until)
	return w.err
}

func (w *World) do(e event) {
	w.now = e.at
	e.do()
	if w.observe != nil {
		w.observe()
	}
}

// RunUntil lets time pass until the condition holds, and returns how long that took; false if it does not within the limit.
func (w *World) RunUntil(limit time.Duration, cond func() bool) (time.Duration, bool) {
	begin := w.now
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= begin+limit {
		if cond() {
			return w.now - begin, true
		}
		e := heap.Pop(&w.queue).(event)
		w.do(e)
	}
	return w.now - begin, w.err == nil && cond()
}

// Settled reports whether every host that is named acts in one view of exactly these hosts, with a record that follows it.
func (w *World) Settled(ids ...model.NodeID) bool {
	var first *membership.View
	for _, id := range ids {
		h := w.Host(id)
		if h.machine == nil || h.frozen || h.busy {
			return false
		}
		st := h.machine.Status(h.local())
		if !st.Acting || len(st.View.Members) != len(ids) || first != nil && !first.Equal(st.View) {
			return false
		}
		if !w.opts.StaticVotes && (st.Tentative != nil || st.Committed == nil || len(st.Committed.Voters) != len(ids)) {
			return false
		}
		if c := w.cfg.Witness; c.ID != 0 && (!st.Witness.Counts || uint32(st.Committed.Witness>>32) != c.ID || st.Committed.WitnessOnly != c.Only) {
			return false
		}
		first = st.View
		for _, other := range ids {
			if !st.View.Has(other) {
				return false
			}
		}
	}
	return true
}

// All are the ids of all hosts.
func (w *World) All() []model.NodeID {
	ids := make([]model.NodeID, len(w.Hosts))
	for i, h := range w.Hosts {
		ids[i] = h.id
	}
	return ids
}

// Describe tells what each host thinks, for a failure's message.
func (w *World) Describe() string {
	var b strings.Builder
	for _, h := range w.Hosts {
		fmt.Fprintf(&b, "host %d: %s\n", h.id, h.describe())
	}
	return b.String()
}

func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: "+format, append([]any{w.now}, args...)...)
		w.trace("VIOLATION %v", w.err)
	}
}

func (w *World) trace(format string, args ...any) {
	if w.opts.Trace != nil {
		fmt.Fprintf(w.opts.Trace, "%10.4f  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

func (w *World) chance(p float64) bool { return w.rng.Float64() < p }

// between draws a duration from [lo, hi).
func (w *World) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)))
}
