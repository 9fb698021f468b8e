package reservation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/reservation/scsi"
)

// target is a SCSI target over a Fake disk: it reads commands byte by byte, as SPC-4 has them, for one nexus.
type target struct {
	disk  *Fake
	nexus string
	// replies are given before anything is carried out, one a command.
	replies []scsi.Reply
	// err is the transport's.
	err error
	// refuseAPTPL refuses a registration that asks for persistence; noReport does not know REPORT CAPABILITIES.
	refuseAPTPL, noReport bool
	types                 uint16
	commands              []string
}

func newTarget(disk *Fake, nexus string) *target {
	return &target{disk: disk, nexus: nexus, types: 1 << 13}
}

func (tg *target) device() *scsiDisk { return &scsiDisk{name: "/dev/" + tg.nexus, transport: tg} }

func checkCondition(key, code, qualifier byte) scsi.Reply {
	return scsi.Reply{Status: 2, Sense: []byte{0x72, key, code, qualifier, 0, 0, 0, 0}}
}

func (tg *target) Reset(ctx context.Context) error { return tg.disk.Host(tg.nexus).LUNReset(ctx) }

func (tg *target) Do(ctx context.Context, c scsi.Command) (scsi.Reply, error) {
	tg.commands = append(tg.commands, c.Name)
	if tg.err != nil {
		return scsi.Reply{}, tg.err
	}
	if len(tg.replies) > 0 {
		r := tg.replies[0]
		tg.replies = tg.replies[1:]
		return r, nil
	}
	switch c.CDB[0] {
	case 0x12:
		return scsi.Reply{Data: []byte{0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7}}, nil
	case 0x5e:
		return tg.in(c)
	case 0x5f:
		return tg.out(ctx, c)
	}
	return checkCondition(5, 0x20, 0), nil
}

func (tg *target) in(c scsi.Command) (scsi.Reply, error) {
	st := tg.disk.Status()
	data := binary.BigEndian.AppendUint32(nil, st.Generation)
	switch c.CDB[1] {
	case 0:
		data = binary.BigEndian.AppendUint32(data, uint32(8*len(st.Keys)))
		for _, k := range st.Keys {
			data = binary.BigEndian.AppendUint64(data, uint64(k))
		}
	case 1:
		if st.Holder == 0 {
			data = binary.BigEndian.AppendUint32(data, 0)
			break
		}
		data = binary.BigEndian.AppendUint32(data, 16)
		data = binary.BigEndian.AppendUint64(data, uint64(st.Holder))
		data = append(data, 0, 0, 0, 0, 0, byte(st.Type), 0, 0)
	case 2:
		if tg.noReport {
			return checkCondition(5, 0x24, 0), nil
		}
		data = []byte{0, 8, 1, 0x80, byte(tg.types >> 8), byte(tg.types), 0, 0}
		if st.PTPL {
			data[3] |= 1
		}
	default:
		return checkCondition(5, 0x24, 0), nil
	}
	return scsi.Reply{Data: data[:min(len(data), int(binary.BigEndian.Uint16(c.CDB[7:])))]}, nil
}

func (tg *target) out(ctx context.Context, c scsi.Command) (scsi.Reply, error) {
	key, serviceKey := Key(binary.BigEndian.Uint64(c.Out)), Key(binary.BigEndian.Uint64(c.Out[8:]))
	aptpl, kind := c.Out[20]&1 != 0, c.CDB[2]
	host := tg.disk.Host(tg.nexus)
	var err error
	switch c.CDB[1] {
	case 0, 6:
		if tg.refuseAPTPL && aptpl {
			return checkCondition(5, 0x26, 0), nil
		}
		if c.CDB[1] == 0 {
			err = host.Register(ctx, key, serviceKey)
		} else {
			err = host.RegisterIgnore(ctx, serviceKey)
		}
	case 1:
		err = host.Reserve(ctx, key)
	case 2:
		err = host.Release(ctx, key)
	case 3:
		err = host.Clear(ctx, key)
	case 5:
		err = host.PreemptAbort(ctx, key, serviceKey)
	default:
		return checkCondition(5, 0x24, 0), nil
	}
	if c.CDB[1] != 0 && c.CDB[1] != 6 && c.CDB[1] != 3 && kind != 5 {
		return scsi.Reply{}, fmt.Errorf("reservation type %d", kind)
	}
	switch {
	case errors.Is(err, ErrConflict):
		return scsi.Reply{Status: 0x18}, nil
	case errors.Is(err, ErrInvalid):
		return checkCondition(5, 0x26, 0), nil
	case err != nil:
		return scsi.Reply{}, err
	}
	return scsi.Reply{}, nil
}

// TestSCSITakeOver runs the protocol over real commands: acquire, take over, advance, verify, park, depart, decommission.
func TestSCSITakeOver(t *testing.T) {
	disk := NewFake()
	a, b := newTarget(disk, "a").device(), newTarget(disk, "b").device()
	r, err := Acquire(t.Context(), a, key(t, 1, 1), nil)
	must(t, err)
	if r.Proof() || !r.Enforced || !r.PTPL {
		t.Errorf("a free disk gives %+v", r)
	}
	r, err = Acquire(t.Context(), b, key(t, 2, 2), nil)
	must(t, err)
	if want := (Result{Enforced: true, PTPL: true, Preempted: true, EpochFound: 1}); r != want || !r.Proof() {
		t.Errorf("a taken disk gives %+v, want %+v", r, want)
	}
	if disk.MayWrite("a") || !disk.MayWrite("b") {
		t.Error("the wrong host may write")
	}
	if err := Verify(t.Context(), a, key(t, 1, 1)); !errors.Is(err, ErrLost) {
		t.Errorf("Verify() of the old owner = %v", err)
	}
	must(t, Advance(t.Context(), b, key(t, 2, 2), key(t, 2, 7)))
	must(t, Depart(t.Context(), b, testCluster, 2))
	want := Status{Enforced: true, PTPL: true, Generation: disk.Status().Generation, Keys: []Key{key(t, 2, 7)}, Holder: key(t, 2, 7), Type: 5}
	got, err := b.ReadStatus(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the disk (-want +got):\n%s", diff)
	}
	must(t, Decommission(t.Context(), b, key(t, 2, 7)))
	if st := disk.Status(); st.Holder != 0 || len(st.Keys) != 0 {
		t.Errorf("after decommission the disk has %+v", st)
	}
	if name, err := Identity(t.Context(), a); err != nil || name != "naa.5001020304050607" {
		t.Errorf("Identity() = %q, %v", name, err)
	}
}

// TestSCSIReplies: what a disk may answer, and what becomes of it.
func TestSCSIReplies(t *testing.T) {
	attention := checkCondition(6, 0x29, 0)
	for name, tc := range map[string]struct {
		setup   func(*target)
		wantErr error
		// proof is of a take-over.
		proof bool
	}{
		"well":                     {setup: func(*target) {}, proof: true},
		"attentions":               {setup: func(tg *target) { tg.replies = []scsi.Reply{attention, attention, attention} }, proof: true},
		"attention without end":    {setup: func(tg *target) { tg.replies = make([]scsi.Reply, 100); fill(tg.replies, attention) }, wantErr: ErrAttention},
		"busy for a moment":        {setup: func(tg *target) { tg.replies = []scsi.Reply{{Status: 8}} }, proof: true},
		"no capabilities told":     {setup: func(tg *target) { tg.noReport = true }},
		"no persistence":           {setup: func(tg *target) { tg.refuseAPTPL, tg.disk.PTPL = true, false }},
		"no such type":             {setup: func(tg *target) { tg.types = 1 << 9 }, wantErr: ErrUnsupported},
		"no reservations":          {setup: func(tg *target) { tg.replies = make([]scsi.Reply, 9); fill(tg.replies, checkCondition(5, 0x20, 0)) }, wantErr: ErrUnsupported},
		"standby path":             {setup: func(tg *target) { tg.replies = []scsi.Reply{checkCondition(2, 4, 0x0b)} }, wantErr: ErrPath},
		"no connection":            {setup: func(tg *target) { tg.replies = []scsi.Reply{{Host: 1}} }, wantErr: ErrPath},
		"it hangs":                 {setup: func(tg *target) { tg.err = bounded.ErrHung }, wantErr: ErrPath},
		"reserved the old way":     {setup: func(tg *target) { tg.replies = []scsi.Reply{{Status: 0x18}} }, wantErr: ErrConflict},
		"garbage instead of keys":  {setup: func(tg *target) { tg.replies = []scsi.Reply{{Data: make([]byte, 8)}, {Data: []byte{1}}} }, wantErr: errAny},
		"a broken medium":          {setup: func(tg *target) { tg.replies = []scsi.Reply{checkCondition(3, 0x11, 0)} }, wantErr: errAny},
		"capabilities of no bytes": {setup: func(tg *target) { tg.replies = []scsi.Reply{{}} }, wantErr: errAny},
	} {
		t.Run(name, func(t *testing.T) {
			disk := NewFake()
			_, err := Acquire(t.Context(), newTarget(disk, "a").device(), key(t, 1, 1), nil)
			must(t, err)
			tg := newTarget(disk, "b")
			tc.setup(tg)
			r, err := Acquire(t.Context(), tg.device(), key(t, 2, 2), nil)
			switch {
			case tc.wantErr == nil:
				must(t, err)
			case err == nil, !errors.Is(tc.wantErr, errAny) && !errors.Is(err, tc.wantErr):
				t.Errorf("Acquire() = %v, want %v; commands %v", err, tc.wantErr, tg.commands)
			}
			if err == nil && r.Proof() != tc.proof {
				t.Errorf("proof %v of %+v", r.Proof(), r)
			}
			if err != nil && !disk.MayWrite("a") {
				t.Error("the owner was fenced by a host that could not take over")
			}
		})
	}
}

var errAny = errors.New("any error")

func fill(replies []scsi.Reply, r scsi.Reply) {
	for i := range replies {
		replies[i] = r
	}
}

// TestSCSIManyKeys reads more keys than the first buffer holds.
func TestSCSIManyKeys(t *testing.T) {
	disk := NewFake()
	for n := range 100 {
		must(t, disk.Host(fmt.Sprint("h", n)).RegisterIgnore(t.Context(), Key(n+1)))
	}
	st, err := newTarget(disk, "a").device().ReadStatus(t.Context())
	must(t, err)
	if len(st.Keys) != 100 {
		t.Errorf("%d keys of 100", len(st.Keys))
	}
}

// TestSCSIBusyEnds: a disk that stays busy is waited for, but not longer than the caller wants.
func TestSCSIBusyEnds(t *testing.T) {
	tg := newTarget(NewFake(), "a")
	tg.replies = make([]scsi.Reply, 1000)
	fill(tg.replies, scsi.Reply{Status: 8})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := tg.device().ReadStatus(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadStatus() of a busy disk = %v", err)
	}
}
