package scsi

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		reply   string
		want    Keys
		wantErr bool
	}{
		"none":            {reply: "00000003 00000000", want: Keys{Generation: 3}},
		"two":             {reply: "00000007 00000010 abcdef0010000001 0000000000000002", want: Keys{Generation: 7, Keys: []uint64{0xabcdef0010000001, 2}}},
		"bytes after":     {reply: "00000007 00000008 0000000000000001 ffffffffffffffff", want: Keys{Generation: 7, Keys: []uint64{1}}},
		"more than fits":  {reply: "00000007 00000018 0000000000000001 00000000", want: Keys{Generation: 7, Keys: []uint64{1}, Missing: 12}},
		"an absurd claim": {reply: "00000007 ffffffff 0000000000000001", want: Keys{Generation: 7, Keys: []uint64{1}, Missing: 0xffffffff - 8}},
		"half a key":      {reply: "00000007 0000000c 0000000000000001 00000000", wantErr: true},
		"too short":       {reply: "00000007 000000", wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKeys(raw(t, tc.reply))
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.wantErr {
				t.Errorf("ParseKeys(): %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseReservation(t *testing.T) {
	for name, tc := range map[string]struct {
		reply   string
		want    Reservation
		wantErr bool
	}{
		"none":          {reply: "00000003 00000000", want: Reservation{Generation: 3}},
		"held":          {reply: "00000003 00000010 abcdef0010000001 00000000 00 05 0000", want: Reservation{Generation: 3, Held: true, Holder: 0xabcdef0010000001, Type: 5}},
		"of an element": {reply: "00000003 00000010 abcdef0010000001 00000000 00 25 0000", wantErr: true},
		"cut short":     {reply: "00000003 00000010 abcdef0010000001", wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseReservation(raw(t, tc.reply))
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.wantErr {
				t.Errorf("ParseReservation(): %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseCapabilities(t *testing.T) {
	for name, tc := range map[string]struct {
		reply    string
		want     Capabilities
		supports bool
		wantErr  bool
	}{
		"all":              {reply: "0008 15 81 ea01 0000", want: Capabilities{PTPLCapable: true, PTPLActive: true, TypesValid: true, Types: 0xea01}, supports: true},
		"not the one":      {reply: "0008 00 80 0200 0000", want: Capabilities{TypesValid: true, Types: 0x0200}},
		"silent on types":  {reply: "0008 01 00 0000 0000", want: Capabilities{PTPLCapable: true}, supports: true},
		"shorter than due": {reply: "0008 01", supports: true, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCapabilities(raw(t, tc.reply))
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.wantErr {
				t.Errorf("ParseCapabilities(): %v (-want +got):\n%s", err, diff)
			}
			if got.Supports() != tc.supports {
				t.Errorf("Supports() = %v", got.Supports())
			}
		})
	}
}

func TestParseFullStatus(t *testing.T) {
	one := "abcdef0010000001 00000000 01 05 00000000 0002 00000004 61626364"
	all := "0000000000000007 00000000 02 00 00000000 0000 00000000"
	_, got, err := ParseFullStatus(raw(t, "00000009 00000034"+one+all))
	want := []Registrant{
		{Key: 0xabcdef0010000001, Holder: true, Type: 5, Port: 2, Initiator: []byte("abcd")},
		{Key: 7, AllPorts: true, Initiator: []byte{}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("ParseFullStatus(): %v (-want +got):\n%s", err, diff)
	}
	for name, reply := range map[string]string{
		"cut in an entry": "00000009 0000000a" + one[:21],
		"a long name":     "00000009 0000001c" + strings.Replace(one, "00000004", "00000005", 1),
		"more than fits":  "00000009 00000038" + one,
		"no header":       "00",
	} {
		if _, got, err := ParseFullStatus(raw(t, reply)); err == nil {
			t.Errorf("%s: ParseFullStatus() = %v", name, got)
		}
	}
}

func TestParseIdentification(t *testing.T) {
	const (
		vendor = "0201 0008 4c494f2d4f524720"
		port   = "0113 0008 5001405deadbeef0" // association 1: the port
		naa    = "0103 0010 6001405aaaabbbbccccddddeeeeffff0"
		eui    = "0102 0008 0025385971b00000"
	)
	for name, tc := range map[string]struct {
		reply, want string
	}{
		"the best of them":     {"0083 0034" + vendor + port + eui + naa[:24], ""},
		"naa":                  {"0083 0020" + vendor + naa, "naa.6001405aaaabbbbccccddddeeeeffff0"},
		"eui":                  {"0083 0018" + vendor + eui, "eui.0025385971b00000"},
		"a vendor's":           {"0083 000c" + vendor, "t10.4c494f2d4f524720"},
		"only a port":          {"0083 000c" + port, ""},
		"another page":         {"0080 0000", ""},
		"less than it says":    {"0083 0020" + naa, "naa.6001405aaaabbbbccccddddeeeeffff0"},
		"cut in the middle":    {"0083 0014" + naa[:20], ""},
		"nothing at all":       {"", ""},
		"a list that is empty": {"0083 0000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseIdentification(raw(t, tc.reply))
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("ParseIdentification() = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		reply Reply
		want  error
		text  string
	}{
		"good":                 {},
		"conflict":             {reply: Reply{Status: 0x18}, want: ErrConflict},
		"conflict, host byte":  {reply: Reply{Status: 0x18, Host: 0x11}, want: ErrConflict},
		"busy":                 {reply: Reply{Status: 0x08}, want: ErrBusy},
		"task aborted":         {reply: Reply{Status: 0x40}, want: ErrAgain},
		"unit attention":       {reply: Reply{Status: 2, Sense: raw(t, "70 00 06 00000000 0a 00000000 2a03 00 000000")}, want: ErrAgain, text: "2a/03"},
		"attention, described": {reply: Reply{Status: 2, Sense: raw(t, "72 06 29 00")}, want: ErrAgain, text: "29/00"},
		"standby path":         {reply: Reply{Status: 2, Sense: raw(t, "72 02 04 0b")}, want: ErrNotReady},
		"in transition":        {reply: Reply{Status: 2, Sense: raw(t, "72 02 04 0a")}, want: ErrBusy},
		"illegal request":      {reply: Reply{Status: 2, Sense: raw(t, "72 05 26 00")}, want: ErrUnsupported, text: "ILLEGAL REQUEST"},
		"recovered":            {reply: Reply{Status: 2, Sense: raw(t, "72 01 00 00")}},
		"medium error":         {reply: Reply{Status: 2, Sense: raw(t, "72 03 11 00")}, text: "MEDIUM ERROR"},
		"unknown sense key":    {reply: Reply{Status: 2, Sense: raw(t, "72 0d 00 00")}, text: "sense key 0xd"},
		"no sense data":        {reply: Reply{Status: 2}, text: "without sense"},
		"no connection":        {reply: Reply{Host: 1}, want: ErrPath, text: "no connection"},
		"reset":                {reply: Reply{Host: 8}, want: ErrAgain},
		"an unknown host byte": {reply: Reply{Host: 0x55}, want: ErrPath, text: "0x55"},
		"an unknown status":    {reply: Reply{Status: 0x30}, text: "0x30"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(tc.reply)
			switch {
			case tc.want == nil && tc.text == "":
				if err != nil {
					t.Errorf("Check() = %v", err)
				}
			case err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text):
				t.Errorf("Check() = %v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
}

// TestOut is the command as SPC-4 draws it.
func TestOut(t *testing.T) {
	c := PersistentReserveOut(PreemptAbort, 5, 0xabcdef0010000002, 0xabcdef0010000001, false)
	if want := raw(t, "5f 05 05 0000 00000018 00"); !cmp.Equal(want, c.CDB) {
		t.Errorf("command % x, want % x", c.CDB, want)
	}
	if want := raw(t, "abcdef0010000002 abcdef0010000001 00000000 00 00 0000"); !cmp.Equal(want, c.Out) {
		t.Errorf("parameters % x, want % x", c.Out, want)
	}
	if c := PersistentReserveOut(RegisterIgnore, 0, 0, 1, true); c.Out[20] != 1 || c.CDB[1] != 6 {
		t.Errorf("a registration does not ask for APTPL: % x, % x", c.CDB, c.Out)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"00000007 00000010 abcdef0010000001 0000000000000002", "00000003 00000010 abcdef0010000001 00000000 00 05 0000",
		"0008 15 81 ea01 0000", "00000009 00000018 abcdef0010000001 00000000 01 05 00000000 0002 00000000",
		"0083 0014 0103 0010 6001405aaaabbbbccccddddeeeeffff0", "70 00 06 00000000 0a 00000000 2a03 00 000000",
	} {
		f.Add(raw(f, seed))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		if k, err := ParseKeys(reply); err == nil && len(k.Keys)*8 > len(reply) {
			t.Errorf("%d keys out of %d bytes", len(k.Keys), len(reply))
		}
		if r, err := ParseReservation(reply); err == nil && r.Type > 15 {
			t.Errorf("reservation type %d", r.Type)
		}
		_, _ = ParseCapabilities(reply)
		if _, list, err := ParseFullStatus(reply); err == nil && len(list)*24 > len(reply) {
			t.Errorf("%d registrants out of %d bytes", len(list), len(reply))
		}
		if name, err := ParseIdentification(reply); (err == nil) != (name != "") {
			t.Errorf("ParseIdentification() = %q, %v", name, err)
		}
		if err := Check(Reply{Status: statusReservationConflict, Sense: reply}); !errors.Is(err, ErrConflict) {
			t.Errorf("sense data changes a conflict into %v", err)
		}
		_ = Check(Reply{Status: statusCheckCondition, Sense: reply})
	})
}
