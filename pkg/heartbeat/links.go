package heartbeat

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// upAfter is how many datagrams in a row, without a silence between them, bring a link Up again. A link that flaps is Down.
const upAfter = 4

// Link is how one peer is heard on one network.
type Link struct {
	Peer    model.NodeID
	Network string
	// Up has hysteresis; it is a state, all below are figures.
	Up bool
	Figures
}

// Figures are what changes all the time about a link. They go to metrics and the local status, never to the API.
type Figures struct {
	// LastHeard is the time since boot of the last datagram; zero when there was none.
	LastHeard time.Duration
	// Received counts datagrams, Lost those whose sequence never came, Late those that a later one overtook, Repeated those that
	// came twice or are replays. They count from the start of the process.
	Received, Lost, Late, Repeated uint64
	// RecentLoss is the part of the last 64 sequences that is missing, 0 to 1.
	RecentLoss float64
	// RoundTrip is smoothed, from the echoes of sequences and without the time that the peer took to answer; Jitter is its mean
	// deviation. Both are zero before the first echo.
	RoundTrip, Jitter time.Duration
}

type linkKey struct {
	peer    model.NodeID
	network string
}

// link keeps what hysteresis, the replay check and the figures need.
type link struct {
	state  Hysteresis
	streak int
	window window
	// topAt is when the window's highest sequence came.
	topAt time.Duration
	Figures
}

// verdict is what a window says of a sequence.
type verdict int

const (
	fresh verdict = iota
	late
	repeated
)

// window tells new sequences from late and repeated ones.
type window struct {
	incarnation, top uint64
	// seen has a bit for each of the last 64 sequences: bit i for top-i.
	seen uint64
}

func (w *window) judge(incarnation, sequence uint64) verdict {
	switch {
	case incarnation > w.incarnation, incarnation == w.incarnation && sequence > w.top:
		return fresh
	case incarnation == w.incarnation && w.top-sequence < 64 && w.seen&(1<<(w.top-sequence)) == 0:
		return late
	}
	return repeated
}

// take notes a sequence that is fresh or late, and returns how many have become lost: those that left the window unseen.
func (w *window) take(incarnation, sequence uint64) (lost uint64) {
	switch step := sequence - w.top; {
	case incarnation != w.incarnation:
		// Nobody knows where an incarnation began for this node.
		*w = window{incarnation: incarnation, top: sequence, seen: ^uint64(0)}
	case sequence <= w.top:
		w.seen |= 1 << (w.top - sequence)
	case step >= 64:
		lost = uint64(64-bits.OnesCount64(w.seen)) + step - 64
		w.top, w.seen = sequence, 1
	default:
		gone := w.seen >> (64 - step)
		lost = step - uint64(bits.OnesCount64(gone))
		w.top, w.seen = sequence, w.seen<<step|1
	}
	return lost
}

// missing is the part of the window that has not come.
func (w *window) missing() float64 { return float64(64-bits.OnesCount64(w.seen)) / 64 }

// judge says whether a datagram is newer than all that were heard on the link.
func (l *link) judge(incarnation, sequence uint64) verdict {
	return l.window.judge(incarnation, sequence)
}

// hear counts a datagram that is fresh, and remembers it so that it is never fresh again.
func (l *link) hear(incarnation, sequence uint64, now, silence time.Duration) {
	l.age(now, silence)
	l.Lost += l.window.take(incarnation, sequence)
	l.Received++
	l.topAt, l.LastHeard = now, now
	if l.streak++; l.streak >= upAfter {
		l.state.Well(now, 0)
	}
}

// refuse counts a datagram that is not fresh.
func (l *link) refuse(v verdict, incarnation, sequence uint64) error {
	if v == late {
		l.window.take(incarnation, sequence)
		l.Received++
		l.Late++
		return ErrLate
	}
	l.Repeated++
	return ErrReplayed
}

// measure takes one round trip into the smoothed figures, with the weights of RFC 6298.
func (l *link) measure(trip time.Duration) {
	switch {
	case trip < 0:
	case l.RoundTrip == 0:
		l.RoundTrip, l.Jitter = max(trip, 1), trip/2
	default:
		l.Jitter += ((l.RoundTrip - trip).Abs() - l.Jitter) / 4
		l.RoundTrip += (trip - l.RoundTrip) / 8
	}
}

// age takes the link down after a silence.
func (l *link) age(now, silence time.Duration) {
	if now-l.LastHeard > silence {
		l.state.Ill(now)
		l.streak = 0
	}
}

// links of every peer on every network.
type links map[linkKey]*link

func (ls links) get(peer model.NodeID, network string) *link {
	key := linkKey{peer, network}
	l, found := ls[key]
	if !found {
		l = &link{}
		ls[key] = l
	}
	return l
}

func (ls links) list(now, silence time.Duration) []Link {
	out := make([]Link, 0, len(ls))
	for key, l := range ls {
		l.age(now, silence)
		figures := l.Figures
		figures.RecentLoss = l.window.missing()
		if l.window.incarnation == 0 {
			figures.RecentLoss = 0
		}
		out = append(out, Link{Peer: key.peer, Network: key.network, Up: l.state.Up(), Figures: figures})
	}
	slices.SortFunc(out, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Network, b.Network))
	})
	return out
}
