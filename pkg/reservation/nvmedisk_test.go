package reservation

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/quorate/quorate/pkg/reservation/nvme"
)

// controller is an NVMe controller over a Fake disk, with a host's registrations as the specification has them.
type controller struct {
	disk *Fake
	host string
}

func (c controller) device() Device {
	return &nvmeDisk{name: "/dev/" + c.host, wwid: "eui.1", transport: c}
}

func (c controller) Do(ctx context.Context, cmd nvme.Command) (uint16, []byte, error) {
	host := c.disk.Host(c.host)
	mine := c.registered()
	var first, second Key
	if len(cmd.Out) >= 8 {
		first = Key(binary.LittleEndian.Uint64(cmd.Out))
	}
	if len(cmd.Out) >= 16 {
		second = Key(binary.LittleEndian.Uint64(cmd.Out[8:]))
	}
	ignore := cmd.CDW10&8 != 0
	var err error
	switch action := cmd.CDW10 & 7; {
	case cmd.Opcode == 0x0e:
		return 0, c.report(), nil
	case cmd.Opcode == 0x0d && action == 0 && (mine == 0 || mine == second):
		err = host.RegisterIgnore(ctx, second)
	case cmd.Opcode == 0x0d && action == 1 && mine != 0:
		err = host.Register(ctx, first, 0)
	case cmd.Opcode == 0x0d && action == 2 && mine != 0 && (ignore || mine == first):
		err = host.RegisterIgnore(ctx, second)
	case cmd.Opcode == 0x11 && action == 0:
		err = host.Reserve(ctx, first)
	case cmd.Opcode == 0x11 && action == 2:
		err = host.PreemptAbort(ctx, first, second)
	case cmd.Opcode == 0x15 && action == 0:
		err = host.Release(ctx, first)
	case cmd.Opcode == 0x15 && action == 1:
		err = host.Clear(ctx, first)
	default:
		err = ErrConflict
	}
	if errors.Is(err, ErrConflict) {
		return 0x4083, nil, nil
	}
	return 0, nil, err
}

func (c controller) registered() Key {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return c.disk.array.Registrations[c.host]
}

func (c controller) report() []byte {
	st := c.disk.Status()
	raw := make([]byte, 64)
	binary.LittleEndian.PutUint32(raw, st.Generation)
	if st.Holder != 0 {
		raw[4] = nvme.TypeRegistrantsOnly
	}
	raw[5] = byte(len(st.Keys))
	if st.PTPL {
		raw[9] = 1
	}
	for _, k := range st.Keys {
		e := make([]byte, 64)
		if k == st.Holder {
			e[2] = 1
		}
		binary.LittleEndian.PutUint64(e[8:], uint64(k))
		raw = append(raw, e...)
	}
	return raw
}

// TestNVMeTakeOver runs the protocol over NVMe's commands.
func TestNVMeTakeOver(t *testing.T) {
	disk := NewFake()
	a, b := controller{disk, "a"}.device(), controller{disk, "b"}.device()
	r, err := Acquire(t.Context(), a, key(t, 1, 1), nil)
	must(t, err)
	if r.Proof() || disk.Resets != 0 {
		t.Errorf("a free namespace gives %+v", r)
	}
	r, err = Acquire(t.Context(), b, key(t, 2, 2), nil)
	must(t, err)
	if !r.Proof() || disk.MayWrite("a") {
		t.Errorf("a taken namespace gives %+v", r)
	}
	if err := Verify(t.Context(), a, key(t, 1, 1)); !errors.Is(err, ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
	must(t, Advance(t.Context(), b, key(t, 2, 2), key(t, 2, 3)))
	// O19: after an earlier life of this node commands in flight cannot be aborted, so it proves nothing.
	r, err = Acquire(t.Context(), b, key(t, 2, 4), nil)
	must(t, err)
	if r.Proof() {
		t.Errorf("taken again by the same node without a reset: %+v is taken for proof", r)
	}
	must(t, Decommission(t.Context(), b, key(t, 2, 4)))
	if st := disk.Status(); st.Holder != 0 || len(st.Keys) != 0 {
		t.Errorf("after decommission the namespace has %+v", st)
	}
	if err := b.Register(t.Context(), 0, key(t, 2, 5)); err != nil {
		t.Error(err)
	}
	if err := b.Register(t.Context(), 0, key(t, 2, 6)); !errors.Is(err, ErrConflict) {
		t.Errorf("registering over another key = %v", err)
	}
	must(t, b.Clear(t.Context(), key(t, 2, 5)))
	if name, err := Identity(t.Context(), b); name != "eui.1" || err != nil {
		t.Errorf("Identity() = %q, %v", name, err)
	}
}
