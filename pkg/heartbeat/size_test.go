package heartbeat

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// old is the datagram of a cluster of n nodes that has run at 50 ms for a year, each agent started a thousand times, ids and
// generations far apart, with a tentative record under way.
func old(n int) *Datagram {
	const sequence, starts, first = 365 * 24 * 3600 * 20, 1000, 1000
	d := &Datagram{Message: membership.Message{
		From: first, Incarnation: starts, Generation: starts, Sequence: sequence, Hold: time.Second, ReachesAPI: true, HighestView: 100000,
		View: &membership.View{ID: model.ViewID{Number: 100000, Coordinator: first}},
	}}
	m := &d.Message
	var voters []model.NodeID
	for i := range n {
		id := model.NodeID(first + 3*i)
		member := model.Member{ID: id, Generation: model.Generation(starts + i)}
		if i > 0 {
			m.Heard = append(m.Heard, membership.Heard{
				ID: id, Incarnation: starts + uint64(i), Generation: member.Generation, Sequence: sequence + uint64(i), Alive: true, Grant: true,
			})
			d.Echoes = append(d.Echoes, Echo{Peer: id, Sequence: sequence + uint64(i), Age: 240 * time.Millisecond})
		} else {
			member.Generation = m.Generation
		}
		m.Proposal = append(m.Proposal, member)
		voters = append(voters, id)
	}
	m.View.Members = m.Proposal
	m.Committed, m.Tentative = quorum.NewRecord(99999, first, voters), quorum.NewRecord(100000, first, voters)
	return d
}

// frame is the payload of a UDP datagram that fits into one Ethernet frame, with IPv6.
const frame = 1500 - 40 - 8

// TestDatagramSize: at 64 nodes a datagram still fits into one Ethernet frame, so that losing it is one loss, not one of two.
func TestDatagramSize(t *testing.T) {
	c := codec(t, 1, keyA, keyB)
	for _, n := range []int{3, 16, 64} {
		d := old(n)
		d.Envelope = datagram(c, Supported.Highest, d.Message).Envelope
		encoded, err := c.Append(nil, d, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d nodes: %d bytes", n, len(encoded))
		if len(encoded) > frame {
			t.Errorf("the datagram of %d nodes has %d bytes, more than a frame's %d", n, len(encoded), frame)
		}
	}
}

// TestCodecAllocates holds that encoding and decoding in steady state allocate nothing: garbage is what makes an agent pause.
func TestCodecAllocates(t *testing.T) {
	c := codec(t, 1, keyA, keyB)
	d := old(64)
	d.Envelope = datagram(c, Supported.Highest, d.Message).Envelope
	var buffer []byte
	var got Datagram
	n := testing.AllocsPerRun(100, func() {
		var err error
		if buffer, err = c.Append(buffer[:0], d, 1); err != nil {
			t.Fatal(err)
		}
		if err = c.Decode(buffer, &got); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for a datagram sent and received", n)
	}
}

func benchmark(b *testing.B, run func(b *testing.B, c *Codec, d *Datagram)) {
	for _, n := range []int{3, 16, 64} {
		b.Run(fmt.Sprintf("%d nodes", n), func(b *testing.B) {
			c := codec(b, 1, keyA)
			d := old(n)
			d.Envelope = datagram(c, Supported.Highest, d.Message).Envelope
			b.ReportAllocs()
			run(b, c, d)
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	benchmark(b, func(b *testing.B, c *Codec, d *Datagram) {
		var buffer []byte
		for b.Loop() {
			buffer, _ = c.Append(buffer[:0], d, 0)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	benchmark(b, func(b *testing.B, c *Codec, d *Datagram) {
		encoded, err := c.Append(nil, d, 0)
		if err != nil {
			b.Fatal(err)
		}
		var into Datagram
		for b.Loop() {
			if err := c.Decode(encoded, &into); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBeat is one heartbeat of one node to all others and of all others to it, over real sockets on loopback addresses.
func BenchmarkBeat(b *testing.B) {
	for _, n := range []int{3, 64} {
		b.Run(fmt.Sprintf("%d nodes", n), func(b *testing.B) {
			a, others := loopback(b, n)
			sequence, heard, d := uint64(0), 0, old(n)
			b.ReportAllocs()
			for b.Loop() {
				sequence++
				b.StopTimer()
				for i, tr := range others {
					m := message(model.NodeID(i+2), sequence)
					if err := tr.Send(m); err != nil {
						b.Fatal(err)
					}
				}
				d.Message.From, d.Message.Incarnation, d.Message.Sequence = 1, 1, sequence
				b.StartTimer()
				a.Drain(func(time.Duration, *membership.Message) { heard++ })
				if err := a.Send(&d.Message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func addr(format string, id model.NodeID) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, id))
}

// loopback is one transport on 127.0.9.1 and those of its peers, which send to it alone.
func loopback(b *testing.B, n int) (*Transport, []*Transport) {
	b.Helper()
	open := func(self model.NodeID, peers ...model.NodeID) *Transport {
		n := Network{Name: "hb", Local: addr("127.0.9.%d", self), Peers: map[model.NodeID]netip.Addr{}}
		for _, id := range peers {
			n.Peers[id] = addr("127.0.9.%d", id)
		}
		tr := NewTransport(bootTime, logr.Discard())
		err := tr.Configure(Config{
			ClusterID: 42, Self: self, Port: 33430, Keys: [][]byte{keyA}, Silence: time.Second, Networks: []Network{n},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(tr.Close)
		return tr
	}
	var peers []model.NodeID
	var others []*Transport
	for i := 2; i <= n; i++ {
		peers = append(peers, model.NodeID(i))
		others = append(others, open(model.NodeID(i), 1))
	}
	return open(1, peers...), others
}
