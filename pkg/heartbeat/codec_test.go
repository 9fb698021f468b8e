package heartbeat

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

var (
	keyA = []byte("0123456789abcdef0123456789abcdef")
	keyB = []byte("fedcba9876543210fedcba9876543210")
)

func codec(t testing.TB, cluster uint64, keys ...[]byte) *Codec {
	t.Helper()
	c, err := NewCodec(cluster, Supported, keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// full is a message in which every field is set.
func full() membership.Message {
	return membership.Message{
		From: 2, Incarnation: 7, Generation: 3, Sequence: 300, Hold: time.Second,
		NotReady: true, Leaving: true, Released: true, ReachesAPI: true, ReachesWitness: true, CannotServe: true, Acting: true, Pending: true,
		Suspended: model.ViewID{Number: 11, Coordinator: 1},
		Claim: &membership.Claim{
			Witness: 99, Remaining: 700 * time.Millisecond, View: model.ViewID{Number: 12, Coordinator: 1}, Record: 9, Coordinator: 1,
		},
		Heard: []membership.Heard{
			{ID: 1, Incarnation: 4, Generation: 4, Sequence: 70000, Alive: true, Grant: true},
			{ID: 3, Incarnation: 1, Generation: 1, Sequence: 9},
		},
		View: &membership.View{
			ID: model.ViewID{Number: 12, Coordinator: 1}, Members: []model.Member{{ID: 1, Generation: 4}, {ID: 2, Generation: 3}},
		},
		Proposal:    []model.Member{{ID: 1, Generation: 4}, {ID: 2, Generation: 3}, {ID: 3, Generation: 1}},
		HighestView: 12,
		Committed:   &quorum.Record{Number: 9, Coordinator: 1, Voters: []model.NodeID{1, 2, 3}},
		Tentative:   &quorum.Record{Number: 12, Coordinator: 1, Voters: []model.NodeID{1, 2}, Witness: 99, WitnessOnly: true, Forced: true},
	}
}

// bare is the smallest message.
func bare() membership.Message {
	return membership.Message{From: 1, Incarnation: 1, Generation: 1, Sequence: 1, Hold: time.Second}
}

// large has lists of the greatest length.
func large() membership.Message {
	m := full()
	m.Heard, m.Proposal, m.View.Members = nil, nil, nil
	var voters []model.NodeID
	for i := range model.NodeID(maxList) {
		id := model.MaxNodeID - maxList + 1 + i
		m.Heard = append(m.Heard, membership.Heard{ID: id, Incarnation: 1 << 62, Generation: 1 << 62, Sequence: 1 << 62, Grant: true})
		m.Proposal = append(m.Proposal, model.Member{ID: id, Generation: 1 << 62})
		voters = append(voters, id)
	}
	m.View.Members = m.Proposal
	m.Committed = quorum.NewRecord(1<<62, 1, voters)
	m.Tentative = m.Committed
	return m
}

// in is what a version can say of a message.
func in(version uint8, m membership.Message) membership.Message {
	if version < 3 {
		m.Pending = false
	}
	if version != legacyVersion {
		return m
	}
	m.ReachesWitness, m.CannotServe, m.Acting, m.Suspended, m.Claim = false, false, false, model.ViewID{}, nil
	if m.Tentative != nil {
		tentative := *m.Tentative
		tentative.Witness, tentative.WitnessOnly, tentative.Forced = 0, false, false
		m.Tentative = &tentative
	}
	return m
}

// datagram puts a message into the envelope in which the codec would send it.
func datagram(c *Codec, version uint8, m membership.Message) *Datagram {
	return &Datagram{Message: m, Envelope: Envelope{
		Version: version, Understood: c.versions, From: m.From, Incarnation: m.Incarnation, Sequence: m.Sequence, Keys: c.ids,
	}}
}

func encode(t testing.TB, c *Codec, version uint8, m membership.Message) []byte {
	t.Helper()
	b, err := c.Append(nil, datagram(c, version, m), 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCodecRoundTrip: every version carries the one model, and a second reading into the same memory leaves nothing of the first.
func TestCodecRoundTrip(t *testing.T) {
	c := codec(t, 0x1122334455667788, keyA, keyB)
	for version := Supported.Lowest; version <= Supported.Highest; version++ {
		var got Datagram
		for _, name := range []string{"full", "bare", "large", "bare", "full"} {
			t.Run(fmt.Sprintf("version %d %s", version, name), func(t *testing.T) {
				want := datagram(c, version, in(version, map[string]membership.Message{"full": full(), "bare": bare(), "large": large()}[name]))
				if version == legacyVersion {
					want.Understood, want.Keys = Versions{}, nil
				} else if name == "full" {
					want.Echoes = []Echo{{Peer: 1, Sequence: 70000, Age: 120 * time.Millisecond}, {Peer: 3, Sequence: 11, Age: time.Microsecond}}
				}
				encoded, err := c.Append(nil, want, 1)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Decode(encoded, &got); err != nil {
					t.Fatal(err)
				}
				for _, diff := range []string{
					cmp.Diff(want.Envelope, got.Envelope, cmpopts.EquateEmpty()), cmp.Diff(want.Message, got.Message, cmpopts.EquateEmpty()),
					cmp.Diff(want.Echoes, got.Echoes, cmpopts.EquateEmpty()),
				} {
					if diff != "" {
						t.Errorf("(-sent +received):\n%s", diff)
					}
				}
			})
		}
	}
}

// TestCodecGolden holds the bytes of each version: whoever changes them needs a new version.
func TestCodecGolden(t *testing.T) {
	c := codec(t, 0x1122334455667788, keyA)
	for version, want := range map[uint8]string{
		1: strings.Join([]string{
			"51524842", "01", "1122334455667788", // magic, version, cluster
			"0002", "007f", // sender, flags
			"07", "03", "ac02", "8094ebdc03", "0c", // incarnation, generation, sequence, hold, highest view
			"02", "01" + "03" + "04" + "04" + "f0a204", "03" + "00" + "01" + "01" + "09", // heard
			"03", "0104", "0203", "0301", // proposal
			"0c", "01", "02", "0104", "0203", // view
			"09", "01", "00", "03", "010203", // committed
			"0c", "01", "00", "02", "0102", // tentative
		}, ""),
		2: strings.Join([]string{
			"51524842", "02", "01", "03", "1122334455667788", // magic, version, lowest, highest, cluster
			"0002", "0000000000000007", "000000000000012c", // sender, incarnation, sequence
			"01", fmt.Sprintf("%08x", uint32(c.ids[0])), // keys
			"0fff", "03", "8094ebdc03", "0c", // flags, generation, hold, highest view
			"03", "010101", // nodes: 1, 2, 3
			"05", "03" + "04" + "04" + "f0a204", "00" + "01" + "01" + "09", // heard
			"07", "00", "00", "00", // proposal
			"0c", "01", "03", "00", "00", // view
			"09", "01", "00", "07", // committed
			"0c", "01", "07", "63", "03", // tentative
			"04", "04", "c0a907", // echo of node 3: two sequences behind, 120 ms ago
			"0b", "01", // suspended from
			"63", "80cee4cd02", "0c01", "0901", // claim: witness, remaining, view, record
		}, ""),
		3: strings.Join([]string{
			"51524842", "03", "01", "03", "1122334455667788", // magic, version, lowest, highest, cluster
			"0002", "0000000000000007", "000000000000012c", // sender, incarnation, sequence
			"01", fmt.Sprintf("%08x", uint32(c.ids[0])), // keys
			"1fff", "03", "8094ebdc03", "0c", // flags, generation, hold, highest view
			"03", "010101", // nodes: 1, 2, 3
			"05", "03" + "04" + "04" + "f0a204", "00" + "01" + "01" + "09", // heard
			"07", "00", "00", "00", // proposal
			"0c", "01", "03", "00", "00", // view
			"09", "01", "00", "07", // committed
			"0c", "01", "07", "63", "03", // tentative
			"04", "04", "c0a907", // echo of node 3: two sequences behind, 120 ms ago
			"0b", "01", // suspended from
			"63", "80cee4cd02", "0c01", "0901", // claim: witness, remaining, view, record
		}, ""),
	} {
		d := datagram(c, version, in(version, full()))
		d.Echoes = []Echo{{Peer: 3, Sequence: 11, Age: 120 * time.Millisecond}}
		got, err := c.Append(nil, d, 0)
		if err != nil {
			t.Fatal(err)
		}
		body := got[:len(got)-sha256.Size]
		if diff := cmp.Diff(want, hex.EncodeToString(body)); diff != "" {
			t.Errorf("version %d without its authentication (-want +got):\n%s", version, diff)
		}
		mac := hmac.New(sha256.New, keyA)
		mac.Write(body)
		if !bytes.Equal(mac.Sum(nil), got[len(body):]) {
			t.Error("the datagram does not end with the HMAC-SHA256 of all that is before it")
		}
	}
}

func sign(body, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(bytes.Clone(body))
}

func TestCodecRefuses(t *testing.T) {
	const cluster = 0x1122334455667788
	c := codec(t, cluster, keyA)
	legacy, good := encode(t, c, 1, in(1, full())), encode(t, c, 2, in(2, full()))
	change := func(whole []byte, at int, to byte) []byte {
		b := bytes.Clone(whole[:len(whole)-macSize])
		b[at] = to
		return sign(b, keyA)
	}
	body := good[:len(good)-macSize]
	const afterKeys = fixedSize + keyIDSize // where the body of version 2 begins
	table := afterKeys + 2 + 1 + 5 + 1
	for name, tc := range map[string]struct {
		datagram []byte
		want     error
	}{
		"nothing":                     {nil, ErrGarbled},
		"short":                       {good[:prefixSize], ErrGarbled},
		"not ours":                    {change(good, 0, 'X'), ErrGarbled},
		"other cluster":               {change(good, 7, 0), ErrCluster},
		"other cluster, version 1":    {change(legacy, 5, 0), ErrCluster},
		"other key":                   {sign(body, keyB), ErrForged},
		"one bit of the body":         {append(append(bytes.Clone(body[:60]), body[60]^1), good[61:]...), ErrForged},
		"cut short, signed":           {sign(body[:len(body)-1], keyA), ErrGarbled},
		"cut in the envelope, signed": {sign(body[:fixedSize], keyA), ErrGarbled},
		"too long, signed":            {sign(append(bytes.Clone(body), 0), keyA), ErrGarbled},
		"version 0":                   {change(good, 4, 0), ErrGarbled},
		"version outside its range":   {change(good, 6, 1), ErrGarbled},
		"no key":                      {change(good, fixedSize-1, 0), ErrGarbled},
		"three keys":                  {change(good, fixedSize-1, 3), ErrGarbled},
		"unknown flag":                {change(good, afterKeys, 0x80), ErrGarbled},
		"unknown flag, version 1":     {change(legacy, prefixSize+2, 0x80), ErrGarbled},
		"sender 0":                    {change(good, 16, 0), ErrGarbled},
		"sender 0, version 1":         {change(legacy, prefixSize+1, 0), ErrGarbled},
		"sender above 12 bits":        {change(good, 15, 0x10), ErrGarbled},
		"incarnation 0":               {change(good, 24, 0), ErrGarbled},
		"list longer than bound":      {change(legacy, prefixSize+4+1+1+2+5+1, 65), ErrGarbled},
		"a node twice in the table":   {change(good, table+2, 0), ErrGarbled},
		"a node that no list has":     {change(change(good, table+1, 2), table+4, 0), ErrGarbled},
		"a set beyond the table":      {change(good, table+4, 0x0d), ErrGarbled},
		"too large":                   {make([]byte, maxDatagram+1), ErrGarbled},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.Decode(tc.datagram, &Datagram{}); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestCodecOtherVersion: of a datagram whose version is not understood, the sender and its versions are known, and nothing else.
func TestCodecOtherVersion(t *testing.T) {
	newer, err := NewCodec(1, Versions{Lowest: 3, Highest: 4}, [][]byte{keyA})
	if err != nil {
		t.Fatal(err)
	}
	d := datagram(newer, 4, full())
	signed := sign(append(appendEnvelope(nil, 1, &d.Envelope), "a body of the future"...), keyA)
	var got Datagram
	err = codec(t, 1, keyA).Decode(signed, &got)
	var refused *VersionError
	if !errors.As(err, &refused) || !errors.Is(err, ErrVersion) {
		t.Fatalf("got %v, want a VersionError", err)
	}
	if refused.Envelope.From != 2 || refused.Envelope.Understood != (Versions{3, 4}) || refused.Own != Supported {
		t.Errorf("%v does not tell who speaks what", refused)
	}
	if diff := cmp.Diff(membership.Message{}, got.Message, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("something of the body was read:\n%s", diff)
	}
	if err := codec(t, 1, keyB).Decode(signed, &got); !errors.Is(err, ErrForged) {
		t.Errorf("with another key: %v, want ErrForged: an envelope is believed only when it is authentic", err)
	}
}

// TestVersion1Refuses: what version 1 cannot say and a peer has to know is refused, not left out.
// TestPendingNeedsVersion3: a peer that would not learn of the journal hears nothing.
func TestPendingNeedsVersion3(t *testing.T) {
	c := codec(t, 1, keyA)
	m := bare()
	m.Pending = true
	for version := Supported.Lowest; version < 3; version++ {
		if _, err := c.Append(nil, datagram(c, version, m), 0); !errors.Is(err, errPending) {
			t.Errorf("version %d: %v, want %v", version, err, errPending)
		}
	}
	forged := encode(t, c, 2, bare())
	forged = forged[:len(forged)-sha256.Size]
	at := prefixSize + 2 + 2 + 8 + 8 + 1 + 4
	forged[at] |= byte(flagPending >> 8)
	if err := c.Decode(sign(forged, keyA), &Datagram{}); !errors.Is(err, ErrGarbled) {
		t.Errorf("version 2 with the flag of version 3: %v, want %v", err, ErrGarbled)
	}
}

func TestVersion1Refuses(t *testing.T) {
	c := codec(t, 1, keyA)
	for name, change := range map[string]func(*membership.Message){
		"a witness that votes":  func(m *membership.Message) { m.Committed.Witness = 7 },
		"forced quorum":         func(m *membership.Message) { m.Tentative.Forced = true },
		"a claim":               func(m *membership.Message) { m.Claim = full().Claim },
		"suspended from a view": func(m *membership.Message) { m.Suspended = full().Suspended },
	} {
		t.Run(name, func(t *testing.T) {
			m := in(1, full())
			change(&m)
			if _, err := c.Append(nil, datagram(c, 1, m), 0); err == nil {
				t.Error("it was encoded in version 1")
			}
			encode(t, c, 2, m)
		})
	}
}

func TestVersionsCommon(t *testing.T) {
	for _, tc := range []struct {
		a, b Versions
		want uint8
	}{
		{Versions{1, 2}, Versions{1, 2}, 2}, {Versions{1, 2}, Versions{2, 4}, 2}, {Versions{3, 4}, Versions{1, 9}, 4},
		{Versions{1, 2}, Versions{3, 4}, 0}, {Versions{3, 4}, Versions{1, 2}, 0},
	} {
		if got := tc.a.Common(tc.b); got != tc.want {
			t.Errorf("%s and %s: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

// TestCodecRotation: during a rotation both keys are accepted, whichever signs.
func TestCodecRotation(t *testing.T) {
	before, during, after := codec(t, 1, keyA), codec(t, 1, keyB, keyA), codec(t, 1, keyB)
	changed := encode(t, during, 2, bare())
	old, err := during.Append(nil, datagram(during, 2, bare()), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		codec    *Codec
		datagram []byte
		want     error
	}{
		"old key heard before":     {before, old, nil},
		"old key heard during":     {during, old, nil},
		"new key heard during":     {during, changed, nil},
		"new key heard after":      {after, changed, nil},
		"old key heard after":      {after, old, ErrForged},
		"new key not known before": {before, changed, ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.codec.Decode(tc.datagram, &Datagram{}); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestCodecRefusesToSend(t *testing.T) {
	for name, change := range map[string]func(*membership.Message){
		"no sender":          func(m *membership.Message) { m.From = 0 },
		"no incarnation":     func(m *membership.Message) { m.Incarnation = 0 },
		"no hold":            func(m *membership.Message) { m.Hold = 0 },
		"view without id":    func(m *membership.Message) { m.View.ID.Number = 0 },
		"unsorted proposal":  func(m *membership.Message) { m.Proposal[0], m.Proposal[1] = m.Proposal[1], m.Proposal[0] },
		"heard twice":        func(m *membership.Message) { m.Heard[1].ID = m.Heard[0].ID },
		"record number 0":    func(m *membership.Message) { m.Committed.Number = 0 },
		"voter out of range": func(m *membership.Message) { m.Tentative.Voters[1] = model.MaxNodeID + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := codec(t, 1, keyA)
			for version := Supported.Lowest; version <= Supported.Highest; version++ {
				m := in(version, full())
				change(&m)
				if _, err := c.Append(nil, datagram(c, version, m), 0); err == nil {
					t.Errorf("it was encoded in version %d", version)
				}
			}
		})
	}
	for name, keys := range map[string][][]byte{"no key": nil, "short key": {keyA[:8]}, "three keys": {keyA, keyB, keyA}} {
		if _, err := NewCodec(1, Supported, keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecode: whatever is decoded is within bounds, and encodes to the same bytes again. The fuzzer's input is signed, so that it
// gets past the authentication.
func FuzzDecode(f *testing.F) {
	c := codec(f, 1, keyA)
	for version := Supported.Lowest; version <= Supported.Highest; version++ {
		for _, m := range []membership.Message{full(), bare(), large()} {
			encoded := encode(f, c, version, in(version, m))
			f.Add(encoded[:len(encoded)-macSize])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d Datagram
		if err := c.Decode(body, &d); err == nil {
			t.Error("accepted without a signature")
		}
		signed := sign(body, keyA)
		if err := c.Decode(signed, &d); err != nil {
			return
		}
		again, err := c.Append(nil, &d, 0)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		if !bytes.Equal(again, signed) {
			t.Errorf("two encodings of one message:\n%x\n%x", signed, again)
		}
	})
}
