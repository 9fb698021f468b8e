package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/witness"
)

// keeps takes what is to be put on the witness. It must be on the node's disk before.
func (s *shell) keeps(k *autonomy.Keep) {
	if s.unsaved != nil {
		s.net.t.Errorf("node %d puts on the witness what is not on its disk", s.id)
	}
	s.asked = append(s.asked, k)
}

// take gives the witness to a node, which reads it with turns of its loop in between; it returns when the load has ended.
func (n *company) take(id model.NodeID, state *autonomy.State) {
	n.t.Helper()
	s := n.nodes[id]
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.loaded(ctx, state, "") }()
	<-s.wake
	for range 50 {
		s.turn(n.t.Context())
		select {
		case err := <-done:
			if err != nil {
				n.t.Fatal(err)
			}
			n.holder = id
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	n.t.Fatalf("the load of node %d does not end: %s", id, s.machine)
}

// TestJournalThroughTheWitness: a node alone decides by the vote of the witness once what it decides is there, and the next node alone
// goes on from there: its load ends when its heartbeats say that it goes by a journal.
func TestJournalThroughTheWitness(t *testing.T) {
	n := newNet(t)
	n.pass(2 * time.Second)
	n.reaches, n.needed = false, true
	a, b := n.nodes[1], n.nodes[2]
	n.install(9, 1)
	n.take(1, nil)
	n.pass(time.Second)
	if got, _ := a.assignment(); len(a.asked) == 0 || got.Epoch != 4 {
		t.Fatalf("a goes by %+v with nothing on the witness: %s", got, a.machine)
	}
	a.kept(a.asked[len(a.asked)-1].Serial, "")
	n.pass(time.Second)
	before, _ := a.assignment()
	if before.Epoch != 4 {
		t.Fatalf("a goes by %+v before the witness has it", before)
	}
	kept := a.asked[len(a.asked)-1]
	a.kept(kept.Serial, "")
	n.pass(200 * time.Millisecond)
	first, from := a.assignment()
	if from != "journal" || first.Node == "node-c" || first.Epoch <= 4 {
		t.Fatalf("a goes by %+v of the %s: %s", first, from, a.machine)
	}

	n.install(10, 2)
	b.mute = errors.New("the heartbeats do not say it yet")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.loaded(ctx, kept.State, "") }()
	<-b.wake
	for range 3 {
		b.turn(t.Context())
	}
	select {
	case err := <-ended:
		t.Fatalf("the load has ended (%v) before the heartbeats say that b goes by a journal", err)
	case <-time.After(20 * time.Millisecond):
	}
	if got, from := b.assignment(); from == "API server" {
		t.Errorf("b obeys %+v of the API server while it takes the journal over", got)
	}
	b.mute = nil
	b.turn(t.Context())
	if err := <-ended; err != nil || !b.pending {
		t.Fatalf("%v, heartbeats say %t", err, b.pending)
	}
	if raw, err := b.store.load(); err != nil || !raw.Pending || len(raw.Journal) == 0 {
		t.Errorf("on b's disk is %+v, %v", raw, err)
	}
}

// TestLoadOfTheWitnessEnds: it ends with its time when the journal does not take over what was read, such as on a full disk, and the next
// one succeeds.
func TestLoadOfTheWitnessEnds(t *testing.T) {
	n := newNet(t)
	n.pass(2 * time.Second)
	n.reaches = false
	n.install(9, 2)
	b := n.nodes[2]
	b.full = errors.New("no space left")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	state := &autonomy.State{Pending: true, Copy: replica.Of(newObjects()), Journal: []replica.Entry{{UID: "u", Status: &v1alpha1.ResourceGroupStatus{}}}}
	go func() { done <- b.loaded(ctx, state, "") }()
	<-b.wake
	b.turn(t.Context())
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the load has ended with %v", err)
	}
	b.full = nil
	n.take(2, state)
}

// aCopier is a copier whose witness is in memory, for a journal that the test stands for.
type aCopier struct {
	*copier
	standing standing
	state    *autonomy.State
	unread   string
	serial   uint64
	refused  string
	mu       sync.Mutex
	told     uint64
}

func newCopier(t *testing.T, o *snapshot.Objects) *aCopier {
	c := &aCopier{standing: standing{Settings: &Settings{Autonomy: true}}}
	c.standing.View = &membership.View{ID: model.ViewID{Number: 9, Coordinator: 1}}
	c.standing.Witness.Holding = true
	c.copier = &copier{
		log: testr.New(t), cluster: o.Name, world: func() *world { return &world{cached: &copyReader{objects: o}} },
		standing: func() *standing { return &c.standing },
		setState: func(_ context.Context, v uint64) error { c.mu.Lock(); defer c.mu.Unlock(); c.told = v; return nil },
		raise:    func(string, model.Epoch) error { return nil },
		loaded: func(_ context.Context, s *autonomy.State, unread string) error {
			c.state, c.unread = s, unread
			return nil
		},
		kept: func(serial uint64, refused string) { c.serial, c.refused = serial, refused },
		wake: make(chan struct{}, 1),
	}
	return c
}

// TestCopierKeepsTheJournal: what the journal asks for is what the next holder reads; no mere copy takes its place until it is over, and
// nothing of before a read is written after it.
func TestCopierKeepsTheJournal(t *testing.T) {
	c, ctx := newCopier(t, newObjects()), t.Context()
	if err := c.renew(ctx); err != nil || c.told != 9<<viewInVersion+1 {
		t.Fatalf("%v, version %x", err, c.told)
	}
	pending := &autonomy.State{Pending: true, Copy: replica.Of(newObjects()), Journal: []replica.Entry{{UID: "u", Status: &v1alpha1.ResourceGroupStatus{}}}}
	c.keep(&autonomy.Keep{Serial: 3, State: pending})
	if err := errors.Join(c.renew(ctx), c.putJournal(ctx), c.renew(ctx)); err != nil {
		t.Fatal(err)
	}
	raw, version := c.copier.state()
	if state, _, err := decodeKept(raw); err != nil || !state.Pending || len(state.Journal) != 1 || version != c.told {
		t.Fatalf("%+v, %v, version %x of %x", state, err, version, c.told)
	}
	c.saved(version - 1)
	if c.serial != 0 {
		t.Error("an older version is taken for the journal's")
	}
	c.saved(version)
	if c.serial != 3 || c.refused != "" {
		t.Errorf("serial %d, %q", c.serial, c.refused)
	}
	// Another has held it meanwhile, and has put something there in the same view.
	if err := c.read(ctx, &witness.Content{State: raw, StateVersion: version + 5}); err != nil || c.state == nil || !c.state.Pending {
		t.Fatalf("%v, %+v", err, c.state)
	}
	if again, _ := c.copier.state(); again != nil {
		t.Error("what was made before the read would be written after it")
	}
	if err := c.renew(ctx); err != nil {
		t.Fatal(err)
	}
	if again, _ := c.copier.state(); again != nil {
		t.Error("a copy takes the place of a journal that was read")
	}
	c.keep(&autonomy.Keep{Serial: 4, State: &autonomy.State{Copy: replica.Of(newObjects())}})
	if err := errors.Join(c.putJournal(ctx), c.renew(ctx)); err != nil || c.told <= version+5+afterRead/2 {
		t.Errorf("%v, version %x after %x", err, c.told, version)
	}
}

// TestCopierSaysWhatItCannotRead: a damaged state, a garbled one, and one that an agent without autonomy has written.
func TestCopierSaysWhatItCannotRead(t *testing.T) {
	plain, err := replica.Encode(newObjects(), witness.MaxState)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		content witness.Content
		unread  bool
	}{
		"nothing":     {},
		"epochs only": {content: witness.Content{State: plain, StateVersion: 1}},
		"garbled":     {content: witness.Content{State: []byte("x"), StateVersion: 1}, unread: true},
		"damaged":     {content: witness.Content{State: plain, StateVersion: 2, StateLost: true}, unread: true},
	} {
		c := newCopier(t, newObjects())
		if err := c.read(t.Context(), &tc.content); err != nil || c.state != nil || (c.unread != "") != tc.unread {
			t.Errorf("%s: %v, state %+v, unread %q", name, err, c.state, c.unread)
		}
	}
}

// TestTooLargeForTheWitness: what does not fit is stood for by the word that there is a journal.
func TestTooLargeForTheWitness(t *testing.T) {
	c := newCopier(t, newObjects())
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for range 400_000 {
		fmt.Fprintf(&text, "%x", random.Uint64())
	}
	large := replica.Of(newObjects())
	g := large.Groups[0].DeepCopy()
	g.Annotations = map[string]string{"x": text.String()}
	large.Groups = []*v1alpha1.ResourceGroup{g}
	c.keep(&autonomy.Keep{Serial: 1, State: &autonomy.State{Pending: true, Copy: large}})
	if err := c.putJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, version := c.copier.state()
	if state, _, err := decodeKept(raw); err != nil || !state.Pending || !state.Lost || state.Copy != nil {
		t.Errorf("%+v, %v", state, err)
	}
	if c.saved(version); c.serial != 1 || !strings.Contains(c.refused, "too large") {
		t.Errorf("serial %d, %q", c.serial, c.refused)
	}
}

func FuzzDecodeKept(f *testing.F) {
	raw, err := encodeKept(&autonomy.State{Pending: true, Copy: replica.Of(newObjects()), Journal: []replica.Entry{{UID: "u", Status: &v1alpha1.ResourceGroupStatus{}}}})
	if err != nil {
		f.Fatal(err)
	}
	plain, err := replica.Encode(newObjects(), witness.MaxState)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(plain)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, epochs, err := decodeKept(raw)
		if err != nil {
			return
		}
		epochs.Epochs()
		if s != nil && s.Copy != nil {
			s.Copy.Apply(s.Journal) // what is accepted can be used
			replica.Newest(s.Copy, replica.Of(newObjects()))
		}
	})
}
