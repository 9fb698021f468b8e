package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/witnesstest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func over(m *memory) witnesstest.Open {
	return func(t *testing.T, node model.NodeID) witness.Device {
		t.Helper()
		name := fmt.Sprint(node)
		d, err := New(t.Context(), "/dev/w", m.target.Host(name), host{m, name}, witnesstest.Cluster)
		must(t, err)
		return d
	}
}

func TestConformance(t *testing.T) {
	witnesstest.Run(t, func(*testing.T) witnesstest.Open { return over(newMemory()) })
}

// held returns a witness that node 1 holds, and its key.
func held(t *testing.T, m *memory) (witness.Device, reservation.Key) {
	t.Helper()
	d, me := over(m)(t, 1), witnesstest.Key(t, 1, 1)
	must(t, d.Register(t.Context(), me))
	must(t, d.Take(t.Context(), me, 0))
	return d, me
}

func content(n uint64) witness.Content {
	return witness.Content{ClusterID: witnesstest.Cluster, Committed: quorum.NewRecord(n, 1, []model.NodeID{1, 2}),
		State: []byte(strings.Repeat(fmt.Sprint(n, ","), 3000)), StateVersion: n}
}

// TestTornWrites cuts the power in each write of a save, after any number of bytes. What was saved before is still there, or what is
// new.
func TestTornWrites(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 120 {
		m := newMemory()
		d, me := held(t, m)
		last := uint64(1 + random.IntN(3))
		for n := uint64(1); n <= last; n++ {
			must(t, d.Save(t.Context(), me, content(n)))
		}
		writes, at := random.IntN(4), 0
		m.tear = func(_ int64, n int) (int, bool) {
			if at++; at > writes {
				return random.IntN(n + 1), true
			}
			return n, false
		}
		err := d.Save(t.Context(), me, content(last+1))
		m.tear = nil
		got, loadErr := over(m)(t, 2).Load(t.Context())
		must(t, loadErr)
		if number := got.Committed.Number; number != last && number != last+1 || err == nil && number != last+1 {
			t.Fatalf("round %d: record %d after saving %d (%v), want it or the one before", round, number, last+1, err)
		}
		if v := got.StateVersion; v != last && v != last+1 || err == nil && v != last+1 {
			t.Fatalf("round %d: state %d after saving %d (%v), want it or the one before", round, v, last+1, err)
		}
		if diff := cmp.Diff(content(got.StateVersion).State, got.State); diff != "" || got.StateLost {
			t.Fatalf("round %d: the state is damaged (lost %t): %s", round, got.StateLost, diff)
		}
	}
}

// TestDamagedState: a state that was whole and is not any more is not taken for one that never was; the one before it is still there. A
// newer one takes its place.
func TestDamagedState(t *testing.T) {
	m := newMemory()
	d, me := held(t, m)
	for n := uint64(1); n <= 3; n++ {
		must(t, d.Save(t.Context(), me, content(n)))
	}
	newest, _, err := d.(*Device).newestState()
	must(t, err)
	m.put(copyAt(newest)+block, []byte("rot"))
	got, err := over(m)(t, 2).Load(t.Context())
	must(t, err)
	if !got.StateLost || got.StateVersion != 3 || string(got.State) != string(content(2).State) {
		t.Errorf("lost %t, version %d, %d bytes", got.StateLost, got.StateVersion, len(got.State))
	}
	must(t, d.Save(t.Context(), me, content(3)))
	if got, err = d.Load(t.Context()); err != nil || !got.StateLost {
		t.Errorf("another state of the same version takes its place (%v)", err)
	}
	must(t, d.Save(t.Context(), me, content(4)))
	if got, err = d.Load(t.Context()); err != nil || got.StateLost || got.StateVersion != 4 {
		t.Errorf("version %d, lost %t, %v", got.StateVersion, got.StateLost, err)
	}
}

// TestTornFormat cuts the power while a blank disk becomes a witness. The next holder makes it one, or finds it one.
func TestTornFormat(t *testing.T) {
	for cut := range 2 * block {
		if cut%97 != 0 {
			continue
		}
		m := newMemory()
		d, me := over(m)(t, 1), witnesstest.Key(t, 1, 1)
		must(t, d.Register(t.Context(), me))
		left := cut
		m.tear = func(_ int64, n int) (int, bool) {
			now := min(n, left)
			left -= now
			return now, now < n
		}
		if err := d.Take(t.Context(), me, 0); !errors.Is(err, witness.ErrUnreachable) {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		m.tear = nil
		next, key := over(m)(t, 2), witnesstest.Key(t, 2, 1)
		must(t, next.Register(t.Context(), key))
		must(t, next.Take(t.Context(), key, me))
		must(t, next.Save(t.Context(), key, content(1)))
	}
}

// TestTakenWhileFormatting: the target refuses the writes of a new holder that was preempted before it made the disk a witness. That is
// a lost race, not a broken disk.
func TestTakenWhileFormatting(t *testing.T) {
	for _, act := range []string{"take", "look"} {
		m := newMemory()
		a, b := over(m)(t, 1), over(m)(t, 2)
		keyA, keyB := witnesstest.Key(t, 1, 1), witnesstest.Key(t, 2, 1)
		must(t, a.Register(t.Context(), keyA))
		must(t, b.Register(t.Context(), keyB))
		m.before = func() {
			m.before = nil
			must(t, m.target.Host("2").PreemptAbort(t.Context(), keyB, keyA))
		}
		if act == "take" {
			if err := a.Take(t.Context(), keyA, 0); !errors.Is(err, witness.ErrConflict) {
				t.Errorf("the take of a host that was preempted before it wrote: %v, want a conflict", err)
			}
			continue
		}
		must(t, m.target.Host("1").Reserve(t.Context(), keyA))
		if st, err := a.Look(t.Context(), keyA); err != nil || st.Holder != keyB {
			t.Errorf("the look of a host that was preempted before it wrote: %+v, %v, want %s as the holder", st, err, keyB)
		}
	}
}

// TestEarlierWitness: after the header was zeroed the witness begins anew, whatever else is still there.
func TestEarlierWitness(t *testing.T) {
	m := newMemory()
	d, me := held(t, m)
	must(t, d.Save(t.Context(), me, content(7)))
	before, err := d.Look(t.Context(), me)
	must(t, err)
	m.put(0, make([]byte, reserved))
	again := over(m)(t, 1)
	st, err := again.Look(t.Context(), me)
	must(t, err)
	if st.ID == 0 || st.ID == before.ID {
		t.Errorf("identity %x after it was zeroed, was %x", st.ID, before.ID)
	}
	got, err := again.Load(t.Context())
	must(t, err)
	if diff := cmp.Diff(witness.Content{ClusterID: witnesstest.Cluster}, got); diff != "" {
		t.Errorf("content of a new witness (-want +got):\n%s", diff)
	}
}

// TestLostPathRegistration: a write that the target refuses because a path has lost its registration is repeated once it is registered.
func TestLostPathRegistration(t *testing.T) {
	m := newMemory()
	d, me := held(t, m)
	refused := false
	m.tear = func(_ int64, n int) (int, bool) { return n, false }
	d.(*Device).data = refuseOnce{host{m, "1"}, &refused}
	must(t, d.Save(t.Context(), me, content(1)))
	if !refused {
		t.Error("the write was not refused once")
	}
}

type refuseOnce struct {
	host
	done *bool
}

func (r refuseOnce) WriteAt(p []byte, off int64) (int, error) {
	if !*r.done {
		*r.done = true
		return 0, unix.EBADE
	}
	return r.host.WriteAt(p, off)
}

func TestRefuses(t *testing.T) {
	put := func(at int64, data string) func(*memory) { return func(m *memory) { m.put(at, []byte(data)) } }
	cases := map[string]struct {
		spoil func(*memory)
		want  error
		text  string
	}{
		"too small":          {func(m *memory) { m.size = MinSize - block }, witness.ErrTooSmall, "64"},
		"ext4":               {put(1024+56, "\x53\xef"), witness.ErrInUse, "ext4"},
		"xfs":                {put(0, "XFSB"), witness.ErrInUse, "xfs"},
		"btrfs":              {put(64<<10+64, "_BHRfS_M"), witness.ErrInUse, "btrfs"},
		"GPT":                {put(512, "EFI PART"), witness.ErrInUse, "GPT"},
		"MBR":                {put(510, "\x55\xaa"), witness.ErrInUse, "MBR"},
		"LVM":                {put(512, "LABELONE"), witness.ErrInUse, "LVM"},
		"software RAID":      {put(4096, "\xfc\x4e\x2b\xa9"), witness.ErrInUse, "RAID"},
		"unknown data":       {put(reserved-1, "x"), witness.ErrInUse, "not a witness's"},
		"broken header":      {put(0, "QRTWIT01"), witness.ErrGarbled, "zero"},
		"newer format":       {put(0, "QRTWIT02"), witness.ErrGarbled, "upgrade"},
		"no reservations":    {func(m *memory) { m.target.Enforced = false }, witness.ErrNoReservations, "/dev/w"},
		"commands not known": {func(m *memory) { m.target.Before = func(string, reservation.Service) error { return unix.EOPNOTSUPP } }, witness.ErrNoReservations, "file share"},
		"path is down":       {func(m *memory) { m.target.Before = func(string, reservation.Service) error { return unix.EIO } }, witness.ErrUnreachable, "/dev/w"},
		"another cluster's key": {func(m *memory) {
			must(t, m.target.Host("x").RegisterIgnore(t.Context(), 0x1111110010000001))
		}, witness.ErrForeign, "0x1111110010000001"},
		"another cluster's witness": {func(m *memory) {
			d, err := New(t.Context(), "x", m.target.Host("x"), host{m, "x"}, 5)
			must(t, err)
			key, err := reservation.NewKey(0, 1, 1)
			must(t, err)
			must(t, d.Register(t.Context(), key))
			must(t, d.Take(t.Context(), key, 0))
			must(t, d.Unregister(t.Context(), key))
		}, witness.ErrForeign, "0000000000000005"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			tc.spoil(m)
			_, err := New(t.Context(), "/dev/w", m.target.Host("1"), host{m, "1"}, witnesstest.Cluster)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v that says %q", err, tc.want, tc.text)
			}
		})
	}
}

// TestLatePreempt: after a preempt that was left behind in the kernel, nobody stands again before it is surely dead. Were it to arrive
// afterwards, it would take the witness with a registration that has not waited.
func TestLatePreempt(t *testing.T) {
	m := newMemory()
	_, holder := held(t, m)
	b, keyB := over(m)(t, 2), witnesstest.Key(t, 2, 1)
	must(t, b.Register(t.Context(), keyB))
	stuck := true
	m.target.Before = func(host string, s reservation.Service) error {
		if host == "2" && (s == reservation.ServicePreemptAbort || s == reservation.ServiceLUNReset) && stuck {
			return fmt.Errorf("%w: %w", reservation.ErrPath, bounded.ErrHung)
		}
		return nil
	}
	if err := b.Take(t.Context(), keyB, holder); !errors.Is(err, witness.ErrUnreachable) {
		t.Fatalf("a preempt that hangs: %v", err)
	}
	if err := b.Register(t.Context(), keyB); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("standing again while it hangs: %v, want %v", err, witness.ErrUnreachable)
	}
	stuck = false
	must(t, b.Register(t.Context(), keyB))
	if m.target.Resets != 1 {
		t.Errorf("%d resets of the disk, want one, which aborts what hangs", m.target.Resets)
	}
	must(t, b.Register(t.Context(), keyB))
	if m.target.Resets != 1 {
		t.Errorf("%d resets of the disk after it has settled, want one", m.target.Resets)
	}
}

// TestAttention: the target's news are not an answer.
func TestAttention(t *testing.T) {
	m := newMemory()
	calls := 0
	m.target.Before = func(string, reservation.Service) error {
		if calls++; calls%3 != 0 {
			return reservation.ErrAttention
		}
		return nil
	}
	held(t, m)
}
