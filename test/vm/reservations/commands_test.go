package reservations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/test/vm/guest"
)

const (
	ours   = 0xabcdef
	theirs = 0x123456
)

func key(t *testing.T, cluster uint32, node model.NodeID, epoch model.Epoch) reservation.Key {
	t.Helper()
	k, err := reservation.NewKey(cluster, node, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t *testing.T, device string) reservation.Device {
	t.Helper()
	d, err := reservation.OpenDisk(device)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// plain is a key as sg_persist prints it.
func plain(k reservation.Key) string { return fmt.Sprintf("%#x", uint64(k)) }

func set(option string, k reservation.Key) string { return "--param-" + option + "=" + plain(k) }

// state is what sg_persist sees, in short.
type state struct {
	Keys   []reservation.Key
	Holder reservation.Key
}

// wantState compares what is on the disk, seen from a host that has nothing to do with it.
func wantState(t *testing.T, witness, after string, want state) {
	t.Helper()
	seen := guest.ReadReservations(t, witness)
	var keys []string
	for _, k := range want.Keys {
		keys = append(keys, plain(k))
	}
	slices.Sort(keys)
	slices.Sort(seen.Keys)
	holder, kind := "", ""
	if want.Holder != 0 {
		holder, kind = plain(want.Holder), "Write Exclusive, registrants only"
	}
	if diff := cmp.Diff(guest.Reservations{Keys: keys, Holder: holder, Type: kind}, seen); diff != "" {
		t.Errorf("after %s the disk has (-want +got):\n%s", after, diff)
	}
}

const typeFive = "--prout-type=5"

// occupy makes the disk empty, and then registered and reserved for a host by a key, all by sg_persist.
func occupy(t *testing.T, device string, k reservation.Key) {
	t.Helper()
	for _, command := range [][]string{
		{"--register-ignore", set("sark", 1)}, {"--clear", set("rk", 1)},
		{"--register-ignore", set("sark", k)}, {"--reserve", set("rk", k), typeFive},
	} {
		if !guest.Persist(t, device, command...) {
			t.Fatalf("sg_persist %v is refused", command)
		}
	}
}

// TestGuestCommands sends every command in every state: from a host that is not registered, with its own key, and with a key that is
// not its own, while another host holds the disk. (test/vm/disks TestGuestMatrix does it in every run, prepared by our own commands.)
func TestGuestCommands(t *testing.T) {
	guest.RequireFull(t)
	hosts := guest.NewLUN(t, 8).Paths(t, 3)
	me, holder, witness := open(t, hosts[0]), hosts[1], hosts[2]
	held, mine, next, wrong := key(t, ours, 2, 4), key(t, ours, 1, 5), key(t, ours, 1, 6), key(t, ours, 3, 9)
	var (
		unchanged = state{Keys: []reservation.Key{held}, Holder: held}
		both      = state{Keys: []reservation.Key{held, mine}, Holder: held}
		renewed   = state{Keys: []reservation.Key{held, next}, Holder: held}
		taken     = state{Keys: []reservation.Key{mine}, Holder: mine}
	)
	type command func(context.Context) error
	for _, c := range []struct {
		what       string
		registered bool
		do         command
		want       error
		after      state
	}{
		{"no key: register", false, func(ctx context.Context) error { return me.Register(ctx, 0, mine) }, nil, both},
		{"no key: register over a key it has not", false, func(ctx context.Context) error { return me.Register(ctx, wrong, mine) }, reservation.ErrConflict, unchanged},
		{"no key: register and ignore", false, func(ctx context.Context) error { return me.RegisterIgnore(ctx, mine) }, nil, both},
		{"no key: reserve", false, func(ctx context.Context) error { return me.Reserve(ctx, mine) }, reservation.ErrConflict, unchanged},
		{"no key: release", false, func(ctx context.Context) error { return me.Release(ctx, mine) }, reservation.ErrConflict, unchanged},
		{"no key: release with the holder's key", false, func(ctx context.Context) error { return me.Release(ctx, held) }, reservation.ErrConflict, unchanged},
		{"no key: preempt", false, func(ctx context.Context) error { return me.PreemptAbort(ctx, mine, held) }, reservation.ErrConflict, unchanged},
		{"no key: clear", false, func(ctx context.Context) error { return me.Clear(ctx, mine) }, reservation.ErrConflict, unchanged},
		{"own key: register anew", true, func(ctx context.Context) error { return me.Register(ctx, mine, next) }, nil, renewed},
		{"own key: unregister", true, func(ctx context.Context) error { return me.Register(ctx, mine, 0) }, nil, unchanged},
		{"own key: register and ignore", true, func(ctx context.Context) error { return me.RegisterIgnore(ctx, next) }, nil, renewed},
		{"own key: reserve what another holds", true, func(ctx context.Context) error { return me.Reserve(ctx, mine) }, reservation.ErrConflict, both},
		{"own key: release what another holds", true, func(ctx context.Context) error { return me.Release(ctx, mine) }, nil, both},
		{"own key: preempt the holder", true, func(ctx context.Context) error { return me.PreemptAbort(ctx, mine, held) }, nil, taken},
		{"own key: preempt one who is not there", true, func(ctx context.Context) error { return me.PreemptAbort(ctx, mine, wrong) }, reservation.ErrConflict, both},
		{"own key: clear", true, func(ctx context.Context) error { return me.Clear(ctx, mine) }, nil, state{}},
		{"own key: reset the unit", true, me.LUNReset, nil, both},
		{"other key: register as if it had none", true, func(ctx context.Context) error { return me.Register(ctx, 0, next) }, reservation.ErrConflict, both},
		{"other key: register anew", true, func(ctx context.Context) error { return me.Register(ctx, wrong, next) }, reservation.ErrConflict, both},
		{"other key: reserve", true, func(ctx context.Context) error { return me.Reserve(ctx, wrong) }, reservation.ErrConflict, both},
		// SPC-4 wants a conflict here; this target says GOOD to whoever does not hold the reservation, and does nothing.
		{"other key: release what another holds", true, func(ctx context.Context) error { return me.Release(ctx, wrong) }, nil, both},
		{"other key: preempt", true, func(ctx context.Context) error { return me.PreemptAbort(ctx, wrong, held) }, reservation.ErrConflict, both},
		{"other key: clear", true, func(ctx context.Context) error { return me.Clear(ctx, wrong) }, reservation.ErrConflict, both},
	} {
		occupy(t, holder, held)
		if c.registered && !guest.Persist(t, hosts[0], "--register-ignore", set("sark", mine)) {
			t.Fatalf("%s: cannot register", c.what)
		}
		if err := settled(t, c.do); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		wantState(t, witness, c.what, c.after)
		if st := settledStatus(t, me); st.Holder != c.after.Holder || len(st.Keys) != len(c.after.Keys) {
			t.Errorf("%s: we read %v held by %s, sg_persist %v held by %s", c.what, st.Keys, st.Holder, c.after.Keys, c.after.Holder)
		}
	}
}

// settled repeats a command as long as the disk answers with UNIT ATTENTION, which is news about the past and no answer.
func settled(t *testing.T, do func(context.Context) error) error {
	t.Helper()
	var err error
	for range 5 {
		if err = do(t.Context()); !errors.Is(err, reservation.ErrAttention) {
			return err
		}
	}
	return err
}

func settledStatus(t *testing.T, d reservation.Device) reservation.Status {
	t.Helper()
	var st reservation.Status
	err := settled(t, func(ctx context.Context) (err error) {
		st, err = d.ReadStatus(ctx)
		return err
	})
	if err != nil {
		t.Errorf("reading the state: %v", err)
	}
	return st
}
