package nvme

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry of a report: the bytes of a registered controller.
func entry(extended bool, holder bool, key uint64) []byte {
	l := plainLayout
	if extended {
		l = extendedLayout
	}
	e := make([]byte, l.entry)
	if holder {
		e[2] = 1
	}
	binary.LittleEndian.PutUint64(e[l.key:], key)
	return e
}

func reportOf(extended bool, generation uint32, kind, persists byte, entries ...[]byte) []byte {
	l := plainLayout
	if extended {
		l = extendedLayout
	}
	raw := make([]byte, l.header)
	binary.LittleEndian.PutUint32(raw, generation)
	raw[4], raw[9] = kind, persists
	binary.LittleEndian.PutUint16(raw[5:], uint16(len(entries)))
	for _, e := range entries {
		raw = append(raw, e...)
	}
	return raw
}

func TestParseReport(t *testing.T) {
	for name, tc := range map[string]struct {
		raw      []byte
		extended bool
		want     Report
		wantErr  bool
	}{
		"nobody":   {raw: reportOf(false, 3, 0, 1), want: Report{Generation: 3, Persists: true}},
		"plain":    {raw: reportOf(false, 3, 3, 0, entry(false, false, 7), entry(false, true, 8)), want: Report{Generation: 3, Type: 3, Keys: []uint64{7, 8}, Holder: 8}},
		"extended": {raw: reportOf(true, 3, 3, 1, entry(true, true, 7)), extended: true, want: Report{Generation: 3, Type: 3, Persists: true, Keys: []uint64{7}, Holder: 7}},
		"cut off":  {raw: reportOf(false, 3, 3, 0, entry(false, true, 7), entry(false, false, 8))[:60], want: Report{Generation: 3, Type: 3, Keys: []uint64{7}, Holder: 7, Missing: 1}},
		"short":    {raw: make([]byte, 23), wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseReport(tc.raw, tc.extended)
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.wantErr {
				t.Errorf("ParseReport(): %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// replies answers one command after the other.
type replies struct {
	t    *testing.T
	list []func(Command) (uint16, []byte)
}

func (r *replies) Do(_ context.Context, c Command) (uint16, []byte, error) {
	if len(r.list) == 0 {
		r.t.Fatal("one command too many")
	}
	f := r.list[0]
	r.list = r.list[1:]
	status, data := f(c)
	return status, data, nil
}

// TestReadReport falls back to short host ids, and asks again for a report that does not fit.
func TestReadReport(t *testing.T) {
	many := make([][]byte, 200)
	for i := range many {
		many[i] = entry(false, i == 150, uint64(i+1))
	}
	whole := reportOf(false, 9, 3, 1, many...)
	cut := func(c Command) (uint16, []byte) { return 0, whole[:min(len(whole), c.In)] }
	tr := &replies{t: t, list: []func(Command) (uint16, []byte){
		func(c Command) (uint16, []byte) {
			if c.CDW11 != 1 {
				t.Error("the first question is not for host ids of 128 bits")
			}
			return 0x4018, nil
		}, cut, cut,
	}}
	r, err := ReadReport(t.Context(), tr)
	if err != nil || len(r.Keys) != 200 || r.Holder != 151 {
		t.Errorf("%d keys, holder %d, %v", len(r.Keys), r.Holder, err)
	}
	tr.list = []func(Command) (uint16, []byte){func(Command) (uint16, []byte) { return 0x4001, nil }}
	if _, err := ReadReport(t.Context(), tr); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a controller without reservations: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for status, want := range map[uint16]error{
		0: nil, 0x83: ErrConflict, 0x4083: ErrConflict, 0x4002: ErrUnsupported, 0x07: ErrAgain, 0x303: ErrAgain, 0x302: ErrPath, 0x371: ErrPath,
	} {
		if err := Check(status); !errors.Is(err, want) {
			t.Errorf("Check(%#x) = %v, want %v", status, err, want)
		}
	}
	if err := Check(0x281); err == nil {
		t.Error("a medium error counts as success")
	}
}

// TestCommands are laid out as the specification has them.
func TestCommands(t *testing.T) {
	for name, tc := range map[string]struct {
		got  Command
		want Command
	}{
		"register":       {Register(5), Command{Opcode: 0x0d, CDW10: 0xc0000000, Out: pair(0, 5)}},
		"replace":        {Replace(5, 6), Command{Opcode: 0x0d, CDW10: 0xc0000002, Out: pair(5, 6)}},
		"replace ignore": {ReplaceIgnore(6), Command{Opcode: 0x0d, CDW10: 0xc000000a, Out: pair(0, 6)}},
		"unregister":     {Unregister(5), Command{Opcode: 0x0d, CDW10: 1, Out: pair(5, 0)}},
		"reserve":        {Reserve(5), Command{Opcode: 0x11, CDW10: 0x300, Out: pair(5, 0)}},
		"preempt abort":  {PreemptAbort(5, 6), Command{Opcode: 0x11, CDW10: 0x302, Out: pair(5, 6)}},
		"release":        {Release(5), Command{Opcode: 0x15, CDW10: 0x300, Out: pair(5, 0)[:8]}},
		"clear":          {Clear(5), Command{Opcode: 0x15, CDW10: 1, Out: pair(5, 0)[:8]}},
	} {
		tc.got.Name = ""
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(reportOf(false, 3, 3, 1, entry(false, true, 7)), false)
	f.Add(reportOf(true, 3, 3, 1, entry(true, true, 7)), true)
	f.Fuzz(func(t *testing.T, raw []byte, extended bool) {
		r, err := ParseReport(raw, extended)
		if err == nil && (len(r.Keys)*24 > len(raw) || r.Missing < 0) {
			t.Errorf("%d keys and %d missing out of %d bytes", len(r.Keys), r.Missing, len(raw))
		}
	})
}
