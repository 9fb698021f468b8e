package heartbeat

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

var (
	keyA = []byte("0123456789abcdef0123456789abcdef")
	keyB = []byte("fedcba9876543210fedcba9876543210")
)

func codec(t testing.TB, cluster uint64, keys ...[]byte) Codec {
	t.Helper()
	c, err := NewCodec(cluster, keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// full is a message in which every field is set.
func full() membership.Message {
	return membership.Message{
		From: 2, Incarnation: 7, Generation: 3, Sequence: 300, Hold: time.Second,
		NotReady: true, Leaving: true, Released: true, ReachesAPI: true,
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
		Tentative:   &quorum.Record{Number: 12, Coordinator: 1, Voters: []model.NodeID{1, 2}, WitnessVotes: true},
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

func TestCodecRoundTrip(t *testing.T) {
	c := codec(t, 0x1122334455667788, keyA)
	for name, m := range map[string]membership.Message{"full": full(), "bare": bare(), "large": large()} {
		t.Run(name, func(t *testing.T) {
			datagram, err := c.Append(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Decode(datagram)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, got); diff != "" {
				t.Errorf("(-sent +received):\n%s", diff)
			}
		})
	}
}

// TestCodecGolden holds the bytes of version 1: whoever changes them needs a new version.
func TestCodecGolden(t *testing.T) {
	want := strings.Join([]string{
		"51524842", "01", "1122334455667788", // magic, version, cluster
		"0002", "007f", // sender, flags
		"07", "03", "ac02", "8094ebdc03", "0c", // incarnation, generation, sequence, hold, highest view
		"02", "01" + "03" + "04" + "04" + "f0a204", "03" + "00" + "01" + "01" + "09", // heard
		"03", "0104", "0203", "0301", // proposal
		"0c", "01", "02", "0104", "0203", // view
		"09", "01", "00", "03", "010203", // committed
		"0c", "01", "01", "02", "0102", // tentative
	}, "")
	got, err := codec(t, 0x1122334455667788, keyA).Append(nil, full())
	if err != nil {
		t.Fatal(err)
	}
	body := got[:len(got)-sha256.Size]
	if diff := cmp.Diff(want, hex.EncodeToString(body)); diff != "" {
		t.Errorf("datagram without its authentication (-want +got):\n%s", diff)
	}
	mac := hmac.New(sha256.New, keyA)
	mac.Write(body)
	if !bytes.Equal(mac.Sum(nil), got[len(body):]) {
		t.Error("the datagram does not end with the HMAC-SHA256 of all that is before it")
	}
}

func sign(body, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(bytes.Clone(body))
}

func TestCodecRefuses(t *testing.T) {
	const cluster = 0x1122334455667788
	good, err := codec(t, cluster, keyA).Append(nil, full())
	if err != nil {
		t.Fatal(err)
	}
	body := good[:len(good)-sha256.Size]
	change := func(at int, to byte) []byte {
		b := bytes.Clone(body)
		b[at] = to
		return sign(b, keyA)
	}
	for name, tc := range map[string]struct {
		datagram []byte
		want     error
	}{
		"nothing":                {nil, ErrGarbled},
		"short":                  {good[:prefixSize], ErrGarbled},
		"not ours":               {change(0, 'X'), ErrGarbled},
		"other version":          {change(4, 2), ErrVersion},
		"other cluster":          {change(5, 0), ErrCluster},
		"other key":              {sign(body, keyB), ErrForged},
		"one bit of the body":    {append(append(bytes.Clone(body[:20]), body[20]^1), good[21:]...), ErrForged},
		"cut short, signed":      {sign(body[:len(body)-1], keyA), ErrGarbled},
		"too long, signed":       {sign(append(bytes.Clone(body), 0), keyA), ErrGarbled},
		"unknown flag":           {change(prefixSize+2, 0x80), ErrGarbled},
		"sender 0":               {change(prefixSize+1, 0), ErrGarbled},
		"sender above 12 bits":   {change(prefixSize, 0x10), ErrGarbled},
		"incarnation 0":          {change(prefixSize+4, 0), ErrGarbled},
		"list longer than bound": {change(prefixSize+4+1+1+2+5+1, 65), ErrGarbled},
		"too large":              {make([]byte, maxDatagram+1), ErrGarbled},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := codec(t, cluster, keyA).Decode(tc.datagram); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestCodecRotation: during a rotation both keys are accepted, and the first one signs.
func TestCodecRotation(t *testing.T) {
	before, during, after := codec(t, 1, keyA), codec(t, 1, keyB, keyA), codec(t, 1, keyB)
	old, _ := before.Append(nil, bare())
	changed, _ := during.Append(nil, bare())
	for name, tc := range map[string]struct {
		codec    Codec
		datagram []byte
		want     error
	}{
		"old key heard during":     {during, old, nil},
		"new key heard during":     {during, changed, nil},
		"new key heard after":      {after, changed, nil},
		"old key heard after":      {after, old, ErrForged},
		"new key not known before": {before, changed, ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tc.codec.Decode(tc.datagram); !errors.Is(err, tc.want) {
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
			m := full()
			change(&m)
			if _, err := codec(t, 1, keyA).Append(nil, m); err == nil {
				t.Error("it was encoded")
			}
		})
	}
	for name, keys := range map[string][][]byte{"no key": nil, "short key": {keyA[:8]}, "three keys": {keyA, keyB, keyA}} {
		if _, err := NewCodec(1, keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecode: whatever is decoded is within bounds, and encodes to the same bytes again. The fuzzer's input is signed, so that it
// gets past the authentication.
func FuzzDecode(f *testing.F) {
	c := codec(f, 1, keyA)
	for _, m := range []membership.Message{full(), bare(), large()} {
		datagram, err := c.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(datagram[prefixSize : len(datagram)-macSize])
	}
	prefix, _ := c.Append(nil, bare())
	prefix = prefix[:prefixSize]
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, err := c.Decode(message); err == nil {
			t.Error("accepted without a signature")
		}
		datagram := sign(append(bytes.Clone(prefix), message...), keyA)
		m, err := c.Decode(datagram)
		if err != nil {
			return
		}
		again, err := c.Append(nil, m)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		if !bytes.Equal(again, datagram) {
			t.Errorf("two encodings of one message:\n%x\n%x", datagram, again)
		}
	})
}
