package mesh

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
)

func TestStrangersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a, b *node)
		reason string
	}{
		{"wrong key", func(a, _ *node) { a.setKeys(keyTwo) }, "UnknownKey"},
		{"other cluster with the same key", func(a, _ *node) { a.cluster = "test" }, "OtherCluster"},
		{"a node that the other does not know", func(_, b *node) { b.setPeers(Peer{3, []netip.AddrPort{b.listen[0]}}) }, "UnknownNode"},
		{"an address that is another node's", func(a, b *node) { a.setPeers(Peer{3, b.listen}) }, "UnknownNode"},
		{"a node with the other's own id", func(a, b *node) { a.id = 2; a.setPeers(Peer{1, b.listen}) }, "UnknownNode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			c.change(a, b)
			a.start()
			b.start()
			eventually(t, "b has refused a", 5*time.Second, func() bool { return b.mesh.Refused()[c.reason] > 1 })
			a.mesh.Send(2, message(1, 0))
			a.mesh.Send(3, message(1, 0))
			quiet(t, b, 200*time.Millisecond)
			if l := a.mesh.Links()[0]; l.Connected || l.Trouble == "" {
				t.Errorf("the link does not say what is wrong: %+v", l)
			}
		})
	}
}

// TestKeyIDIsNotTheKey claims the id of the right key and has another one.
func TestKeyIDIsNotTheKey(t *testing.T) {
	a, b := pair(t)
	b.start()
	_ = a
	right, err := newSecret(keyOne, "production")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := newSecret(keyTwo, "production")
	if err != nil {
		t.Fatal(err)
	}
	wrong.id = right.id
	if _, err := call(t, b, wrong); err == nil {
		t.Fatal("the handshake went through")
	}
	eventually(t, "it is counted", time.Second, func() bool { return b.mesh.Refused()["Forged"] == 1 })
}

// call does the handshake of node 1 with b.
func call(t *testing.T, b *node, key secret) (*secured, error) {
	t.Helper()
	var conn net.Conn
	eventually(t, "b listens", 2*time.Second, func() bool {
		var err error
		conn, err = net.Dial("tcp", b.listen[0].String())
		return err == nil
	})
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return initiate(conn, "production", 1, 2, key)
}

// TestTampering changes one byte of a connection, in the handshake or in the frames. Whatever it is, nothing that was changed arrives,
// and the nodes find together again.
func TestTampering(t *testing.T) {
	const first = helloSize + firstSize // of the frames
	for _, at := range []int{0, 4, 5, 6, 14, 16, 18, 21, 22, 53, 54, 69, first, first + 2, first + 25, 300} {
		t.Run(fmt.Sprintf("byte %d", at), func(t *testing.T) {
			t.Parallel()
			tamper(t, at)
		})
	}
}

func tamper(t *testing.T, at int) {
	a, b := pair(t)
	p := newProxy(t, "127.0.0.1", b.listen[0])
	a.setPeers(Peer{2, []netip.AddrPort{p.address}})
	a.start()
	b.start()
	expect(t, a, b, 1, 5*time.Second)
	var changed atomic.Bool
	p.tamper(func(offset int, data []byte) bool {
		if at < offset || at >= offset+len(data) {
			return true
		}
		data[at-offset] ^= 0x40
		changed.Store(true)
		return true
	})
	p.cut()
	sent := message(1_000_000, 500)
	eventually(t, "something was changed", 5*time.Second, func() bool {
		a.mesh.Send(2, sent)
		return changed.Load()
	})
	eventually(t, "the connection is given up", 5*time.Second, func() bool { return !connectedTo(a, 2) })
	p.tamper(nil)
	for len(b.received) > 0 { // whole messages from before the changed byte
		if d := <-b.received; d.m.Follow.Has != 1 && !reflect.DeepEqual(d.m, sent) {
			t.Fatalf("a changed message arrived: %+v", d.m)
		}
	}
	expect(t, a, b, 2, 5*time.Second)
}

func TestTruncatedMessageIsDropped(t *testing.T) {
	a, b := pair(t)
	p := newProxy(t, "127.0.0.1", b.listen[0])
	a.setPeers(Peer{2, []netip.AddrPort{p.address}})
	a.start()
	b.start()
	expect(t, a, b, 1, 5*time.Second)
	drain(b)
	p.tamper(func(offset int, b []byte) bool { return offset+len(b) < 200_000 })
	p.cut()
	eventually(t, "a is connected again", 10*time.Second, func() bool { return connectedTo(a, 2) })
	a.mesh.Send(2, message(2, 1<<20))
	eventually(t, "the connection is cut in the message", 10*time.Second, func() bool { return !connectedTo(a, 2) })
	quiet(t, b, 100*time.Millisecond)
	p.tamper(nil)
	expect(t, a, b, 3, 10*time.Second)
}

// TestReplayedHandshake plays back what a real peer has sent, byte for byte: it gets an answer, and nothing comes of it.
func TestReplayedHandshake(t *testing.T) {
	a, b := pair(t)
	p := newProxy(t, "127.0.0.1", b.listen[0])
	a.setPeers(Peer{2, []netip.AddrPort{p.address}})
	a.start()
	b.start()
	expect(t, a, b, 1, 5*time.Second)
	p.mu.Lock()
	recorded := bytes.Clone(p.recorded)
	p.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	drain(b)
	since, before := a.mesh.Links()[0].Since, b.mesh.Refused()["Forged"]
	conn, err := net.Dial("tcp", b.listen[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(recorded); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replay is found forged", 10*time.Second, func() bool { return b.mesh.Refused()["Forged"] > before })
	quiet(t, b, 100*time.Millisecond)
	if l := a.mesh.Links()[0]; !l.Connected || l.Since != since {
		t.Errorf("the replay has ended the real connection: %+v", l)
	}
}

// TestTooLarge sends what no agent does, with the right key.
func TestTooLarge(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(*secured) error
	}{
		{"parts without an end", func(s *secured) error {
			part := make([]byte, maxData)
			for range maxPacked/maxData + 1 {
				if err := s.write(kindPart, part); err != nil {
					return err
				}
			}
			return nil
		}},
		{"an answer to nothing", func(s *secured) error { return s.write(kindAnswer, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, b := pair(t)
			b.start()
			s, err := call(t, b, fixedSecret(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.write(kindPing, nil); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, s.conn)
				ended <- err
			}()
			if err := c.send(s); err != nil && !isLost(err) {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(1500 * time.Millisecond): // less than what ends a silent connection
				t.Fatal("the connection is kept")
			}
			quiet(t, b, 50*time.Millisecond)
		})
	}
}

// TestUnreadableMessages come over a good connection, which goes on.
func TestUnreadableMessages(t *testing.T) {
	_, b := pair(t)
	b.start()
	s, err := call(t, b, fixedSecret(t))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, s.conn) }()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	good, err := codec.encode(message(4, 0))
	if err != nil {
		t.Fatal(err)
	}
	bomb := z.EncodeAll(make([]byte, maxPlain+1), nil)
	for _, f := range []struct {
		kind kind
		data []byte
	}{{kindPing, nil}, {kindLast, []byte("hello")}, {kindLast, bomb}, {kindLast, good}} {
		if err := s.write(f.kind, f.data); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case d := <-b.received:
		if d.m.Follow.Has != 4 {
			t.Fatalf("got %+v", d.m)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the good message does not arrive")
	}
	if n := b.mesh.Refused()["Unread"]; n != 2 {
		t.Errorf("%d messages were refused, want 2", n)
	}
}

// TestBusyReceiver keeps its connection, and the newest messages.
func TestBusyReceiver(t *testing.T) {
	a, b := pair(t)
	release := make(chan struct{})
	b.hook = func(c *Config) {
		receive := c.Receive
		c.Receive = func(from model.NodeID, m *autonomy.Message) { <-release; receive(from, m) }
	}
	a.start()
	b.start()
	eventually(t, "a is connected", 5*time.Second, func() bool { return connectedTo(a, 2) })
	since := a.mesh.Links()[0].Since
	for i := range 20 {
		a.mesh.Send(2, message(i+1, 0))
		time.Sleep(100 * time.Millisecond)
	}
	if l := a.mesh.Links()[0]; !l.Connected || l.Since != since {
		t.Errorf("the connection was given up: %+v", l)
	}
	close(release)
	var last, count int
	for last != 20 {
		select {
		case d := <-b.received:
			last, count = d.m.Follow.Has, count+1
		case <-time.After(2 * time.Second):
			t.Fatalf("the newest message does not arrive; the last is %d", last)
		}
	}
	if count > maxInbox+1 {
		t.Errorf("%d messages were kept", count)
	}
}

// TestSlowLoris opens more connections than are kept, each with a byte at a time. A real peer must get through all the same.
func TestSlowLoris(t *testing.T) {
	a, b := pair(t)
	b.start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ended atomic.Int64
	for range 3 * maxPending {
		go func() {
			conn, err := net.Dial("tcp", b.listen[0].String())
			if err != nil { // it was closed before this side had seen it made
				ended.Add(1)
				return
			}
			defer conn.Close()
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := conn.Write([]byte(magic)[i%4 : i%4+1]); err != nil {
					ended.Add(1)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	eventually(t, "all are there", 10*time.Second, func() bool {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		if len(b.mesh.pending) > maxPending {
			t.Fatalf("%d connections wait", len(b.mesh.pending))
		}
		return len(b.mesh.pending) == maxPending
	})
	a.start()
	expect(t, a, b, 1, 2*time.Second)
	eventually(t, "all slow ones are ended", 4*time.Second, func() bool { return ended.Load() == 3*maxPending })
}

// TestDeadNetwork cuts the network of a connection without a word: the next network takes over within about a second.
func TestDeadNetwork(t *testing.T) {
	a, b := pair(t)
	first, second := newProxy(t, "127.0.0.1", b.listen[0]), newProxy(t, "127.0.0.2", b.listen[0])
	a.setPeers(Peer{2, []netip.AddrPort{first.address, second.address}})
	a.start()
	b.start()
	eventually(t, "a is connected", 5*time.Second, func() bool { return connectedTo(a, 2) })
	if l := a.mesh.Links()[0]; l.Address != first.address {
		t.Fatalf("connected over %s, want the preferred network", l.Address)
	}
	begun := time.Now()
	first.freeze(true)
	expect(t, a, b, 1, 10*time.Second)
	took := time.Since(begun)
	t.Logf("over the other network after %s", took)
	if l := a.mesh.Links()[0]; l.Address != second.address {
		t.Fatalf("connected over %s", l.Address)
	}
	if took > 1500*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

// TestDeadAddressDoesNotDelay has a first address whose packets are lost.
func TestDeadAddressDoesNotDelay(t *testing.T) {
	a, b := pair(t)
	lost := netip.MustParseAddrPort("192.0.2.1:1")
	a.setPeers(Peer{2, []netip.AddrPort{lost, b.listen[0]}})
	a.hook = func(c *Config) {
		real := dialer().DialContext
		c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == lost.String() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return real(ctx, network, address)
		}
	}
	b.start()
	eventually(t, "b listens", time.Second, func() bool {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		return len(b.mesh.listeners) == 1
	})
	a.start()
	begun := time.Now()
	expect(t, a, b, 1, 10*time.Second)
	if took := time.Since(begun); took > 500*time.Millisecond {
		t.Errorf("the first message took %s", took)
	}
}

// TestFrozenPeer does not keep Send from returning, nor a thawed peer from getting the newest.
func TestFrozenPeer(t *testing.T) {
	a, b := pair(t)
	p := newProxy(t, "127.0.0.1", b.listen[0])
	a.setPeers(Peer{2, []netip.AddrPort{p.address}})
	a.start()
	b.start()
	expect(t, a, b, 1, 5*time.Second)
	p.freeze(true)
	begun := time.Now()
	big := message(2, 4<<20)
	for range 100_000 {
		a.mesh.Send(2, big)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Send took %s", took)
	}
	took := eventually(t, "a notices", 10*time.Second, func() bool { return !connectedTo(a, 2) })
	t.Logf("noticed after %s", took)
	p.cut()
	drain(b)
	expect(t, a, b, 3, 10*time.Second)
}

func TestListensOnceTheAddressIsThere(t *testing.T) {
	a, b := pair(t)
	var there atomic.Bool
	b.hook = func(c *Config) {
		c.ListenTCP = func(ctx context.Context, address netip.AddrPort) (net.Listener, error) {
			if !there.Load() {
				return nil, fmt.Errorf("no such address %s", address)
			}
			return listenTCP(ctx, address)
		}
	}
	a.start()
	b.start()
	time.Sleep(2 * maintainEvery)
	there.Store(true)
	expect(t, a, b, 1, 10*time.Second)
}
