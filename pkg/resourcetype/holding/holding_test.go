package holding

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// disks are two disks in memory.
func disks() (map[string]*reservation.Fake, Opener) {
	fakes := map[string]*reservation.Fake{"one": reservation.NewFake(), "two": reservation.NewFake()}
	return fakes, func(disk string, node model.NodeID) (reservation.Device, error) {
		return fakes[disk].Host(fmt.Sprint("node-", node)), nil
	}
}

func instance(node model.NodeID, epoch model.Epoch) *resourcetype.Instance {
	return &resourcetype.Instance{ClusterID: "abcdef0123456789", Node: node, Epoch: epoch}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func idle(string) (func(), error) { return func() {}, nil }

var both = []string{"one", "two"}

// TestAllMustProve: disks together prove only what each of them proves, and one that is refused refuses all.
func TestAllMustProve(t *testing.T) {
	fakes, open := disks()
	ctx := t.Context()
	_, err := New(open).Reserve(ctx, instance(1, 1), both[:1], Earlier{}, idle)
	must(t, err)
	// The second disk was free, so nobody knows who wrote to it.
	b := New(open)
	r, err := b.Reserve(ctx, instance(2, 2), both, Earlier{}, idle)
	must(t, err)
	if r.Proof() || r.EpochFound != 1 {
		t.Errorf("one disk taken and one free: %+v, want no proof", r)
	}
	c := New(open)
	if r, err = c.Reserve(ctx, instance(3, 3), both, Earlier{}, idle); err != nil || !r.Proof() {
		t.Errorf("both taken: %+v, %v, want proof", r, err)
	}
	if err := b.Verify(ctx, instance(2, 2), both); !errors.Is(err, reservation.ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
	fakes["two"].Before = func(string, reservation.Service) error { return errors.New("cable pulled") }
	if r, err := New(open).Reserve(ctx, instance(4, 4), both, Earlier{}, idle); err == nil || r.Proof() || r.EpochFound != 3 {
		t.Errorf("one disk that fails: %+v, %v", r, err)
	}
}

// TestHeldBefore: how a disk was taken the first time is what counts when it is taken once more at the same epoch, also after a
// restart of the agent.
func TestHeldBefore(t *testing.T) {
	_, open := disks()
	ctx := t.Context()
	_, err := New(open).Reserve(ctx, instance(1, 1), both, Earlier{}, idle)
	must(t, err)
	s := New(open)
	first, err := s.Reserve(ctx, instance(2, 2), both, Earlier{}, idle)
	must(t, err)
	for name, set := range map[string]*Set{"same agent": s, "next agent": New(open)} {
		r, err := set.Reserve(ctx, instance(2, 2), both, Earlier{Epoch: 2, Result: first}, idle)
		if err != nil || !r.Proof() {
			t.Errorf("%s: %+v, %v, want the proof of the first time", name, r, err)
		}
	}
	if r, err := New(open).Reserve(ctx, instance(2, 2), both, Earlier{}, idle); err != nil || r.Proof() {
		t.Errorf("without a record: %+v, %v, want no proof", r, err)
	}
}

// TestBusy: a disk in use is shared at the same epoch only.
func TestBusy(t *testing.T) {
	fakes, open := disks()
	ctx := t.Context()
	s := New(open)
	busy := func(string) (func(), error) { return nil, ErrBusy }
	if _, err := s.Reserve(ctx, instance(1, 1), both, Earlier{}, busy); !errors.Is(err, ErrBusy) {
		t.Errorf("a disk that another program uses: %v", err)
	}
	first, err := s.Reserve(ctx, instance(1, 1), both, Earlier{}, idle)
	must(t, err)
	sent := len(fakes["one"].Log)
	if r, err := s.Reserve(ctx, instance(1, 1), both, Earlier{}, busy); err != nil || r != first || len(fakes["one"].Log) != sent {
		t.Errorf("a disk that a sibling uses: %+v, %v, sent %v", r, err, fakes["one"].Log[sent:])
	}
	if _, err := s.Reserve(ctx, instance(1, 2), both, Earlier{}, busy); !errors.Is(err, ErrBusy) {
		t.Errorf("a disk that a sibling uses at an older epoch: %v", err)
	}
	// The epoch in place, by one of them: the other's checks go on.
	_, err = s.Advance(ctx, instance(1, 3), both, Earlier{Epoch: 1, Result: first})
	must(t, err)
	must(t, s.Verify(ctx, instance(1, 1), both))
	must(t, s.Adopt(ctx, instance(1, 3), both, Earlier{Epoch: 3}))
	must(t, s.Depart(ctx, instance(1, 3), both))
	if st := fakes["one"].Status(); st.Holder.Epoch() != 3 {
		t.Errorf("after Depart of the holder the disk has %+v", st)
	}
}

// TestOpensAnew after an error: the disk may have come back under another number.
func TestOpensAnew(t *testing.T) {
	fakes, open := disks()
	opened := 0
	s := New(func(disk string, node model.NodeID) (reservation.Device, error) {
		opened++
		return open(disk, node)
	})
	ctx := t.Context()
	_, err := s.Reserve(ctx, instance(1, 1), both[:1], Earlier{}, idle)
	must(t, err)
	must(t, s.Verify(ctx, instance(1, 1), both[:1]))
	if opened != 1 {
		t.Errorf("opened %d times, want once: a multipath device remembers its paths", opened)
	}
	fakes["one"].Before = func(string, reservation.Service) error { return reservation.ErrPath }
	if _, err := s.Identify(ctx, instance(1, 1), both[:1]); err != nil {
		t.Errorf("a disk without a name: %v", err)
	}
	if err := s.Verify(ctx, instance(1, 1), both[:1]); !errors.Is(err, reservation.ErrPath) {
		t.Errorf("Verify() without a path = %v", err)
	}
	fakes["one"].Before = nil
	must(t, s.Verify(ctx, instance(1, 1), both[:1]))
	if opened < 2 {
		t.Error("the disk was not opened anew after an error")
	}
}
