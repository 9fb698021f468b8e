package mesh

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/model"
)

var (
	keyOne = bytes.Repeat([]byte{1}, 32)
	keyTwo = bytes.Repeat([]byte{2}, 32)
)

type delivery struct {
	from model.NodeID
	m    *autonomy.Message
}

// node is an agent's mesh on real sockets.
type node struct {
	t        *testing.T
	id       model.NodeID
	cluster  string
	listen   []netip.AddrPort
	mesh     *Mesh
	received chan delivery
	stop     func()

	mu    sync.Mutex
	peers []Peer
	keys  [][]byte
	hook  func(*Config)
}

func newNode(t *testing.T, id model.NodeID, listen ...netip.AddrPort) *node {
	return &node{t: t, id: id, cluster: "production", listen: listen, keys: [][]byte{keyOne}, received: make(chan delivery, 4096)}
}

func (n *node) setKeys(keys ...[]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = keys
}

func (n *node) setPeers(peers ...Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers = peers
}

func (n *node) start() {
	n.t.Helper()
	cfg := Config{
		Self: n.id, Cluster: n.cluster, Log: testLog(n.t).WithValues("self", n.id),
		Listen:  func() []netip.AddrPort { return n.listen },
		Peers:   func() []Peer { n.mu.Lock(); defer n.mu.Unlock(); return n.peers },
		Keys:    func() [][]byte { n.mu.Lock(); defer n.mu.Unlock(); return n.keys },
		Receive: func(from model.NodeID, m *autonomy.Message) { n.received <- delivery{from, m} },
	}
	if n.hook != nil {
		n.hook(&cfg)
	}
	n.mesh = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.mesh.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				n.t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			n.t.Errorf("node %d: Run does not return", n.id)
		}
	})
	n.t.Cleanup(func() { n.stop() })
}

// testLog is silent unless it is wanted.
func testLog(t *testing.T) logr.Logger {
	if !testing.Verbose() {
		return logr.Discard()
	}
	return testr.New(t)
}

// pair is two nodes that know each other, not started.
func pair(t *testing.T) (a, b *node) {
	a, b = newNode(t, 1, freePort(t, "127.0.0.1")), newNode(t, 2, freePort(t, "127.0.0.1"))
	a.setPeers(Peer{2, b.listen})
	b.setPeers(Peer{1, a.listen})
	return a, b
}

// message has a number, and is so large.
func message(number, size int) *autonomy.Message {
	m := &autonomy.Message{Session: autonomy.Session{View: model.ViewID{Number: 7, Coordinator: 1}, Serial: uint64(number)}}
	m.Follow = &autonomy.Follow{Has: number, Report: &autonomy.Report{Agent: &v1alpha1.AgentStatus{BootID: "boot"}}}
	if size > 0 {
		m.Follow.Report.Agent.BootID = incompressible(size)
	}
	return m
}

// incompressible is text that compression makes little of.
func incompressible(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	var b strings.Builder
	state := uint64(88172645463325252)
	for range size {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		b.WriteByte(letters[state%64])
	}
	return b.String()
}

// expect waits for the message with the number; it sends it again and again, as autonomy does.
func expect(t *testing.T, from, to *node, number int, within time.Duration) {
	t.Helper()
	end := time.After(within)
	for {
		from.mesh.Send(to.id, message(number, 0))
		select {
		case d := <-to.received:
			if d.m.Follow.Has != number {
				continue // an earlier one, which was sent more than once
			}
			if d.from != from.id {
				t.Fatalf("node %d got the message of node %d from %d", to.id, from.id, d.from)
			}
			return
		case <-end:
			t.Fatalf("node %d got nothing from node %d within %s: %+v, refused %v", to.id, from.id, within, from.mesh.Links(), to.mesh.Refused())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func eventually(t *testing.T, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for time.Since(begun) < within {
		if ok() {
			return time.Since(begun)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not within %s: %s", within, what)
	return 0
}

func connectedTo(n *node, id model.NodeID) bool {
	for _, l := range n.mesh.Links() {
		if l.Peer == id {
			return l.Connected
		}
	}
	return false
}

func drain(n *node) {
	for len(n.received) > 0 {
		<-n.received
	}
}

func quiet(t *testing.T, n *node, window time.Duration) {
	t.Helper()
	select {
	case d := <-n.received:
		t.Fatalf("node %d got a message from %d: %+v", n.id, d.from, d.m)
	case <-time.After(window):
	}
}

func TestMessagesArriveBothWays(t *testing.T) {
	nodes := []*node{newNode(t, 1, freePort(t, "127.0.0.1")), newNode(t, 2, freePort(t, "127.0.0.1")), newNode(t, 3, freePort(t, "127.0.0.1"))}
	for _, n := range nodes {
		var peers []Peer
		for _, o := range nodes {
			peers = append(peers, Peer{o.id, o.listen}) // its own id too: it is left out
		}
		n.setPeers(peers...)
		n.start()
	}
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				expect(t, from, to, int(100*from.id+to.id), 5*time.Second)
			}
		}
	}
}

func TestLargeMessageArrivesWhole(t *testing.T) {
	a, b := pair(t)
	a.start()
	b.start()
	eventually(t, "a is connected", 5*time.Second, func() bool { return connectedTo(a, 2) })
	want := message(3, 8<<20)
	for range 5 { // a starved machine may lose a connection, and the message with it
		a.mesh.Send(2, want)
		select {
		case d := <-b.received:
			if d.m.Follow.Report.Agent.BootID != want.Follow.Report.Agent.BootID {
				t.Fatal("the message is not what was sent")
			}
			return
		case <-time.After(5 * time.Second):
		}
	}
	t.Fatal("it does not arrive")
}

func TestReconnectsWhenThePeerRestarts(t *testing.T) {
	a, b := pair(t)
	a.start()
	b.start()
	expect(t, a, b, 1, 5*time.Second)
	b.stop()
	eventually(t, "a sees that b is gone", 2*time.Second, func() bool { return !connectedTo(a, 2) })
	time.Sleep(3 * time.Second) // the pauses between attempts have grown
	b.start()
	begun := time.Now()
	expect(t, a, b, 2, 2*time.Second)
	t.Logf("a message arrived %s after the restart", time.Since(begun))
	expect(t, b, a, 3, 2*time.Second)
}

func TestOnlyTheNewestMessageIsKept(t *testing.T) {
	a, b := pair(t)
	a.start()
	eventually(t, "a has tried", 2*time.Second, func() bool { return len(a.mesh.Links()) == 1 })
	begun := time.Now()
	for i := range 100_000 {
		a.mesh.Send(2, message(i+1, 0))
	}
	a.mesh.Send(9, message(1, 0)) // no peer: dropped
	if took := time.Since(begun); took > 2*time.Second {
		t.Fatalf("sending to a node that is not there took %s", took)
	}
	a.mesh.Send(2, message(100_000, 0))
	b.start()
	select {
	case d := <-b.received:
		if d.m.Follow.Has != 100_000 {
			t.Fatalf("got message %d, want the newest", d.m.Follow.Has)
		}
	case <-time.After(staleAfter):
		t.Fatal("nothing arrives")
	}
	quiet(t, b, 300*time.Millisecond)
}

func TestStaleMessageIsNotSent(t *testing.T) {
	a, b := pair(t)
	a.start()
	eventually(t, "a has tried", 2*time.Second, func() bool { return len(a.mesh.Links()) == 1 })
	a.mesh.Send(2, message(1, 0))
	time.Sleep(staleAfter + 100*time.Millisecond)
	b.start()
	eventually(t, "a is connected", 2*time.Second, func() bool { return connectedTo(a, 2) })
	quiet(t, b, 300*time.Millisecond)
	expect(t, a, b, 2, time.Second)
}

// TestRotation goes through a rotation in the order in which agents read the Secret, and ends with the old key out of use.
func TestRotation(t *testing.T) {
	a, b := pair(t)
	a.start()
	b.start()
	idOne, idTwo := heartbeat.KeyIDOf(keyOne), heartbeat.KeyIDOf(keyTwo)
	key := func(n *node) heartbeat.KeyID { return n.mesh.Links()[0].Key }
	expect(t, a, b, 1, 5*time.Second)
	expect(t, b, a, 1, 5*time.Second)

	a.setKeys(keyTwo, keyOne)
	time.Sleep(2 * maintainEvery)
	if key(a) != idOne || !connectedTo(a, 2) {
		t.Fatal("a connection must go on under the old key while that is accepted")
	}
	// A new connection begins with the new key, which b does not have yet, and takes the old one.
	b.stop()
	b.start()
	expect(t, a, b, 2, 10*time.Second)
	if key(a) != idOne {
		t.Fatalf("the connection has key %x", key(a))
	}
	b.setKeys(keyTwo, keyOne)
	time.Sleep(2 * maintainEvery)
	b.stop()
	b.start()
	expect(t, a, b, 3, 10*time.Second)
	if key(a) != idTwo {
		t.Fatal("a new connection must take the new key")
	}
	b.stop()
	b.setKeys(keyOne)
	b.start() // an agent that was restored from an old disk still has the old one only
	expect(t, a, b, 4, 10*time.Second)
	if key(a) != idOne {
		t.Fatal("the old key is still accepted")
	}
	b.setKeys(keyTwo)
	a.setKeys(keyTwo)
	eventually(t, "nothing goes on under a key that is gone", 8*time.Second, func() bool {
		return connectedTo(a, 2) && key(a) == idTwo && connectedTo(b, 1) && key(b) == idTwo
	})
	expect(t, a, b, 5, time.Second)
	expect(t, b, a, 5, time.Second)
}

func TestForgottenPeerIsCutOff(t *testing.T) {
	a, b := pair(t)
	a.start()
	b.start()
	expect(t, b, a, 1, 5*time.Second)
	a.setPeers()
	eventually(t, "b is cut off", 2*time.Second, func() bool { return !connectedTo(b, 1) && len(a.mesh.Links()) == 0 })
	eventually(t, "b is refused", 2*time.Second, func() bool { return a.mesh.Refused()["UnknownNode"] > 0 })
	a.setPeers(Peer{2, b.listen})
	expect(t, b, a, 2, 10*time.Second)
}
