package disks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/vm/guest"
)

const (
	cluster        = 0xabcdef
	registrantType = "Write Exclusive, registrants only"
)

func key(node model.NodeID, epoch model.Epoch) reservation.Key {
	k, err := reservation.NewKey(cluster, node, epoch)
	if err != nil {
		panic(err)
	}
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, device string) reservation.Device {
	t.Helper()
	dev, err := reservation.OpenDisk(device)
	must(t, err)
	return dev
}

// witness compares the disk with what sg_persist says of it, undisturbed by unit attentions.
func witness(t testing.TB, device string, holder reservation.Key, keys ...reservation.Key) {
	t.Helper()
	calm(t, device)
	compare(t, device, holder, keys...)
}

func compare(t testing.TB, device string, holder reservation.Key, keys ...reservation.Key) {
	t.Helper()
	want := guest.Reservations{}
	for _, k := range keys {
		want.Keys = append(want.Keys, fmt.Sprintf("%#x", uint64(k)))
	}
	if holder != 0 {
		want.Holder, want.Type = fmt.Sprintf("%#x", uint64(holder)), registrantType
	}
	got := guest.ReadReservations(t, device)
	slices.Sort(want.Keys)
	slices.Sort(got.Keys)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sg_persist sees (-want +got):\n%s", diff)
	}
}

// calm takes the unit attentions that wait for this host, such as the one after a reset, so that the witness is not disturbed.
func calm(t testing.TB, device string) {
	t.Helper()
	for range 5 {
		if _, err := guest.Try(t, "sg_turs", device); err == nil {
			return
		}
	}
}

// TestGuestTakeOver is the protocol between two hosts of one disk: who is fenced writes nothing, who took over writes.
func TestGuestTakeOver(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	a, b := lun.Path(t), lun.Path(t)
	onA, onB := open(t, a), open(t, b)
	r, err := reservation.Acquire(t.Context(), onA, key(1, 1), nil)
	must(t, err)
	if r.Proof() || !r.Enforced {
		t.Errorf("a free disk gives %+v, want no proof (O19)", r)
	}
	witness(t, b, key(1, 1), key(1, 1))
	if !guest.WriteSector(t, a, 0, 1) || guest.WriteSector(t, b, 0, 2) {
		t.Error("the owner cannot write, or the other host can")
	}
	r, err = reservation.Acquire(t.Context(), onB, key(2, 2), nil)
	must(t, err)
	if !r.Proof() || r.EpochFound != 1 {
		t.Errorf("a disk taken over gives %+v, want proof", r)
	}
	witness(t, a, key(2, 2), key(2, 2))
	if guest.WriteSector(t, a, 0, 3) || !guest.WriteSector(t, b, 0, 4) {
		t.Error("the old owner writes, or the new one cannot")
	}
	if got := lun.SectorBehind(t, 0); got != 4 {
		t.Errorf("the disk has %d, want what the new owner wrote", got)
	}
	if err := reservation.Verify(t.Context(), onA, key(1, 1)); !errors.Is(err, reservation.ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
	var stale *reservation.StaleError
	if _, err := reservation.Acquire(t.Context(), onA, key(1, 1), nil); !errors.As(err, &stale) || stale.Epoch != 2 {
		t.Errorf("Acquire() at a stale epoch = %v", err)
	}
	must(t, reservation.Advance(t.Context(), onB, key(2, 2), key(2, 5)))
	must(t, reservation.Verify(t.Context(), onB, key(2, 5)))
	must(t, reservation.Depart(t.Context(), onB, cluster, 2))
	witness(t, a, key(2, 5), key(2, 5)) // the holder stays parked (O15)

	// A foreign registration is respected, and seen while the disk is held.
	guest.Persist(t, a, "--register-ignore", "--param-sark=0x1234")
	var foreign *reservation.ForeignError
	if err := reservation.Verify(t.Context(), onB, key(2, 5)); !errors.As(err, &foreign) || foreign.Key != 0x1234 {
		t.Errorf("Verify() with a foreign key = %v", err)
	}
	witness(t, b, key(2, 5), key(2, 5), 0x1234)
	guest.Persist(t, a, "--register", "--param-rk=0x1234", "--param-sark=0")
	must(t, reservation.Decommission(t.Context(), onB, key(2, 5)))
	witness(t, a, 0)
	name, err := reservation.Identity(t.Context(), onA)
	must(t, err)
	other, err := reservation.Identity(t.Context(), onB)
	if err != nil || name != other || !strings.HasPrefix(name, "naa.6001405") {
		t.Errorf("the disk is called %q and %q, %v", name, other, err)
	}
}

// TestGuestChallengers: of two that want a dead holder's disk exactly one gets it; and a live holder that comes with a higher epoch
// gets it back from either.
func TestGuestChallengers(t *testing.T) {
	guest.Require(t)
	lun := guest.NewLUN(t, 8)
	paths := lun.Paths(t, 3)
	for round := range model.Epoch(5) {
		base := round*10 + 1
		_, err := reservation.Acquire(t.Context(), open(t, paths[0]), key(1, base), nil)
		must(t, err)
		var wait sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			wait.Go(func() {
				_, errs[i] = reservation.Acquire(t.Context(), open(t, paths[i+1]), key(model.NodeID(i+2), base+1+model.Epoch(i)), nil)
			})
		}
		wait.Wait()
		if errs[1] != nil {
			out, _ := guest.Try(t, "sh", "-c", "echo w > /proc/sysrq-trigger; sleep 1; dmesg | tail -150")
			t.Log(out)
		}
		// The higher epoch wins in the end, whoever came first; the other may have had it for a moment.
		if errs[1] != nil {
			t.Errorf("round %d: the challenger with the higher epoch failed: %v (the other: %v)", round, errs[1], errs[0])
		}
		if err := reservation.Verify(t.Context(), open(t, paths[1]), key(2, base+1)); !errors.Is(err, reservation.ErrLost) {
			t.Errorf("round %d: the loser holds the disk too: %v", round, err)
		}
		must(t, reservation.Verify(t.Context(), open(t, paths[2]), key(3, base+2)))
		witness(t, paths[0], key(3, base+2), key(3, base+2))
		writers := 0
		for _, p := range paths {
			if guest.WriteSector(t, p, 1, byte(round)) {
				writers++
			}
		}
		if writers != 1 {
			t.Errorf("round %d: %d hosts write", round, writers)
		}
	}
}

// command is one of the matrix.
type command struct {
	name string
	do   func(ctx context.Context, d reservation.Device, claimed, victim reservation.Key) error
}

var matrix = []command{
	{"register", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.Register(ctx, claimed, key(2, 9))
	}},
	{"register, ignoring", func(ctx context.Context, d reservation.Device, _, _ reservation.Key) error {
		return d.RegisterIgnore(ctx, key(2, 9))
	}},
	{"unregister", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.Register(ctx, claimed, 0)
	}},
	{"reserve", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.Reserve(ctx, claimed)
	}},
	{"release", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.Release(ctx, claimed)
	}},
	{"preempt and abort", func(ctx context.Context, d reservation.Device, claimed, victim reservation.Key) error {
		return d.PreemptAbort(ctx, claimed, victim)
	}},
	{"preempt of nobody", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.PreemptAbort(ctx, claimed, key(7, 7))
	}},
	{"clear", func(ctx context.Context, d reservation.Device, claimed, _ reservation.Key) error {
		return d.Clear(ctx, claimed)
	}},
	{"reset", func(ctx context.Context, d reservation.Device, _, _ reservation.Key) error { return d.LUNReset(ctx) }},
}

// TestGuestMatrix sends every command with every kind of key, to the target and to the emulation at once: both must answer alike and
// end up alike, and the target as sg_persist sees it. So what the emulated kinds and the simulations show holds for real disks. A disk
// that nobody holds, and claims of keys that one has not, are among the long tests.
func TestGuestMatrix(t *testing.T) {
	guest.Require(t)
	foreign := reservation.Key(0x1234567)
	states := []struct {
		name                string
		registered, claimed reservation.Key
		long                bool
	}{
		{"no key", 0, 0, false},
		{"no key, claims the holder's", 0, key(1, 1), true},
		{"own key", key(2, 2), key(2, 2), false},
		{"other key", key(2, 2), key(1, 1), false},
		{"foreign key", foreign, foreign, false},
		{"claims a foreign key", key(2, 2), foreign, true},
		{"stale epoch", key(2, 2), key(2, 1), false},
	}
	lun := guest.NewLUN(t, 8)
	a, b, outside := lun.Path(t), lun.Path(t), lun.Path(t)
	for _, held := range []bool{true, false} {
		for _, c := range matrix {
			for i, s := range states {
				if !held && i%2 != 0 || (!held || s.long) && !guest.AtLength() {
					continue // a free disk asks for less: half of the states are enough
				}
				t.Run(fmt.Sprintf("held=%v/%s/%s", held, c.name, s.name), func(t *testing.T) {
					fake := reservation.NewFake()
					disks := [][2]reservation.Device{{open(t, a), open(t, b)}, {fake.Host("a"), fake.Host("b")}}
					var outcomes [2]error
					for i, d := range disks {
						must(t, again(func() error { return d[0].RegisterIgnore(t.Context(), key(1, 1)) }))
						must(t, again(func() error { return d[0].Clear(t.Context(), key(1, 1)) }))
						must(t, again(func() error { return d[0].RegisterIgnore(t.Context(), key(1, 1)) }))
						if held {
							must(t, again(func() error { return d[0].Reserve(t.Context(), key(1, 1)) }))
						}
						if s.registered != 0 {
							must(t, again(func() error { return d[1].RegisterIgnore(t.Context(), s.registered) }))
						}
						outcomes[i] = again(func() error { return c.do(t.Context(), d[1], s.claimed, key(1, 1)) })
					}
					if real, model := outcomes[0], outcomes[1]; !alike(real, model, held, c.name, s.registered) {
						t.Errorf("the target says %v, the emulation %v", real, model)
					}
					want := fake.Status()
					if c.name == "reset" {
						calm(t, outside) // nothing else leaves an attention for one that is not registered
					}
					compare(t, outside, want.Holder, want.Keys...)
					got, err := disks[0][0].ReadStatus(t.Context())
					if errors.Is(err, reservation.ErrAttention) {
						got, err = disks[0][0].ReadStatus(t.Context())
					}
					must(t, err)
					slices.Sort(got.Keys)
					slices.Sort(want.Keys)
					got.Generation, want.Generation = 0, 0
					got.PTPL, want.PTPL = false, false // active as long as something is registered
					if diff := cmp.Diff(want, got, cmp.Transformer("none", func(k []reservation.Key) string { return fmt.Sprint(k) })); diff != "" {
						t.Errorf("the disk (-emulation +target):\n%s", diff)
					}
				})
			}
		}
	}
}

// alike compares two outcomes. What this target answers otherwise than SPC-4 asks for changes nothing on the disk, which is compared
// in any case: a release by one that is not the holder is well whatever key it names, and one that is not registered is told NOT READY
// on a disk that nobody holds.
func alike(real, model error, held bool, command string, registered reservation.Key) bool {
	switch {
	case (real == nil) == (model == nil) && errors.Is(real, reservation.ErrConflict) == errors.Is(model, reservation.ErrConflict):
		return true
	case command == "release" && registered != 0:
		return real == nil && errors.Is(model, reservation.ErrConflict)
	case registered == 0 && !held:
		return errors.Is(real, reservation.ErrPath) && errors.Is(model, reservation.ErrConflict)
	}
	return false
}

// again repeats what a UNIT ATTENTION has kept from being carried out.
func again(f func() error) error {
	var err error
	for range 6 {
		if err = f(); !errors.Is(err, reservation.ErrAttention) {
			return err
		}
	}
	return err
}

// partition makes one partition on a disk: an old table of partitions has its entries at 446, 16 bytes each, and ends in 55 aa.
func partition(t *testing.T, disk string) {
	t.Helper()
	table := make([]byte, 512)
	copy(table[446:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0}) // from sector 2048, 4096 sectors
	table[510], table[511] = 0x55, 0xaa
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(table)
	must(t, err)
	must(t, f.Close())
	guest.Run(t, "blockdev", "--rereadpt", disk)
}

// TestGuestRefused: what is not a disk with reservations is refused with the reason.
func TestGuestRefused(t *testing.T) {
	guest.Require(t)
	disk := guest.NewLUN(t, 8).Path(t)
	partition(t, disk)
	guest.Eventually(t, "the partition", func() bool {
		_, err := os.Stat(disk + "1")
		return err == nil
	})
	for device, want := range map[string]string{
		disk + "1":                               "reservations are of whole disks, here " + disk,
		"/dev/loop0":                             "LoopbackDisk",
		"/dev/vda":                               "no persistent reservations",
		"/dev/nosuch":                            "no such device",
		"/dev/null":                              "no block device",
		"/dev/disk/by-id/wwn-0x6001405000000000": "no such device",
	} {
		if _, err := reservation.OpenDisk(device); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenDisk(%s) = %v, want %q", device, err, want)
		}
	}
}
