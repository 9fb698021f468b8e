package mesh

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/flynn/noise"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

// tape is a connection on which the other side has said something already.
type tape struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *tape) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *tape) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c *tape) SetDeadline(time.Time) error { return nil }

func said(b []byte) *tape { return &tape{in: bytes.NewReader(b)} }

func fixedSecret(t testing.TB) secret {
	t.Helper()
	key, err := newSecret(keyOne, "production")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestHelloRoundTrip(t *testing.T) {
	want := hello{lowest: 1, highest: 3, cluster: clusterID("production"), from: 5, to: model.MaxNodeID, key: heartbeat.KeyIDOf(keyOne)}
	got, err := readHello(want.encode())
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
}

// FuzzHandshake gives the accepting side anything. It must refuse it or fail, and must never take it for a peer's first frame.
func FuzzHandshake(f *testing.F) {
	key := fixedSecret(f)
	h := hello{lowest: 1, highest: 1, cluster: clusterID("production"), from: 1, to: 2, key: key.id}
	f.Add([]byte{})
	f.Add(h.encode())
	f.Add(append(h.encode(), make([]byte, firstSize)...))
	real := said(nil)
	_, _ = initiate(real, "production", 1, 2, key)
	f.Add(append(real.out.Bytes(), 0, 17, 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, from, err := respond(said(b), "production", 2, func(id model.NodeID) bool { return id == 1 }, []secret{key})
		if err != nil {
			return
		}
		if from != 1 {
			t.Fatalf("from %d", from)
		}
		if k, _, err := c.read(); err == nil {
			t.Fatalf("a frame of kind %d was taken", k)
		}
	})
}

// FuzzFrames gives what follows a handshake: what was not sealed is refused, what was is put together or refused.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 17}, []byte{byte(kindPart), 1, 2, 3, byte(kindLast), 4})
	f.Add([]byte{0, 0}, []byte{byte(kindPing)})
	f.Add([]byte{0xff, 0xff, 1}, []byte{byte(kindAnswer), 0})
	f.Fuzz(func(t *testing.T, raw, plain []byte) {
		state := func() *noise.CipherState { return noise.UnsafeNewCipherState(suite, [32]byte{1}, 0) }
		s := &secured{conn: said(nil), reader: bufio.NewReader(bytes.NewReader(raw)), receive: state()}
		if _, _, err := s.read(); err == nil {
			t.Fatal("a frame that nobody sealed was taken")
		}
		wire := said(nil)
		out := &secured{conn: wire, send: state()}
		var parts assembler
		var sealed [][]byte
		for i := 0; i+1 < len(plain); i += 2 {
			data := bytes.Repeat(plain[i+1:i+2], int(plain[i+1]))
			if err := out.write(kind(plain[i]), data); err != nil {
				t.Fatal(err)
			}
			sealed = append(sealed, data)
		}
		in := &secured{conn: wire, reader: bufio.NewReader(&wire.out), receive: state()}
		for _, data := range sealed {
			k, got, err := in.read()
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("a frame does not arrive: %v", err)
			}
			if whole, err := parts.add(k, got); err == nil && whole != nil && k != kindLast {
				t.Fatalf("a frame of kind %d ends a message", k)
			}
		}
		if _, _, err := in.read(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last frame: %v", err)
		}
	})
}

// FuzzMessage decodes anything, packed and plain. What is taken must be taken again after encoding.
func FuzzMessage(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	packed, err := c.encode(message(1, 100))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	for _, text := range []string{
		`{"session":{"view":{"number":1}},"lead":{"from":-1}}`, `{"session":{"view":{"number":1}},"lead":{"copy":{"nodes":[null]}}}`,
		`{"session":{"view":{"number":1}},"lead":{"entries":[{}]}}`, `{"session":{"view":{"number":1}},"follow":{"report":{}}}`,
		`{"session":{"view":{"number":1}},"follow":{"asks":[{"id":"host-1","verb":"drain","name":"a","by":{"user":"root"}}]}}`,
		`{"session":{"view":{"number":1}},"follow":{"asks":[{"id":"x/y"}]}}`, `{"session":{"view":{"number":1}},"lead":{"replies":[{"id":"host-1"}]}}`,
		`{"session":{"view":{"number":1}},"lead":{"replies":[{"id":"host-1","explained":{"group":"demo/shop","nodes":[]}}]}}`,
		`{"session":{"view":{"number":1}},"lead":{"entries":[{"request":{"id":"host-1","verb":"drain","changes":[{"field":"spec.availability"}]}}]}}`,
		`{"session":{"view":{"number":1,"coordinator":2},"serial":3},"lead":{"running":true,"commit":2}}`, `null`, `[]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, candidate := range [][]byte{b, c.pack.EncodeAll(b, nil)} {
			m, err := c.decode(candidate)
			if err != nil {
				continue
			}
			again, err := c.encode(m)
			if err != nil {
				t.Fatalf("%+v was taken and cannot be encoded: %v", m, err)
			}
			if _, err := c.decode(again); err != nil {
				t.Fatalf("%+v was encoded and cannot be decoded: %v", m, err)
			}
		}
	})
}
