package heartbeat

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

const (
	macSize = sha256.Size
	// MinKey is the shortest key that is accepted, in bytes.
	MinKey = 16
	// maxKeys is how many keys may be in force at once.
	maxKeys = 2
	// maxList bounds every list of nodes in a datagram: a cluster has at most 64 nodes.
	maxList = 64
	// maxHold bounds the sender's T: 10 s x 120 is the largest that the API allows.
	maxHold = 20 * time.Minute
)

// Flags of a message; bits that are not named here must be 0.
const (
	flagNotReady = 1 << iota
	flagLeaving
	flagReleased
	flagReachesAPI
	flagView
	flagCommitted
	flagTentative
	flagReachesWitness
	flagCannotServe
	flagActing
	flagSuspended
	flagClaim
	flagPending
	flagsEnd
)

// Flags of an entry of Heard and of a record.
const (
	heardAlive = 1 << iota
	heardGrant
	heardEnd

	recordWitness     = 1
	recordWitnessOnly = 2
	recordForced      = 4
	recordEnd         = 8
)

// Echo tells a peer what was last heard of it on the network on which the datagram goes, for the round trip.
type Echo struct {
	Peer     model.NodeID
	Sequence uint64
	// Age is how long ago that came; at most maxEcho.
	Age time.Duration
}

// maxEcho is how old an echo may be: later ones tell nothing of the network.
const maxEcho = 10 * time.Second

// Datagram is what one datagram says, in any version. The message's From, Incarnation and Sequence are those of the envelope.
type Datagram struct {
	Envelope
	Message membership.Message
	// Echoes are sorted by peer; version 1 cannot say them.
	Echoes []Echo

	body []byte
	// Where Message points to, so that reading allocates nothing.
	view                 membership.View
	committed, tentative quorum.Record
	claim                membership.Claim
}

// reset empties the message and keeps its memory.
func (d *Datagram) reset() {
	m := &d.Message
	*m = membership.Message{Heard: m.Heard[:0], Proposal: m.Proposal[:0]}
	d.view = membership.View{Members: d.view.Members[:0]}
	d.committed = quorum.Record{Voters: d.committed.Voters[:0]}
	d.tentative = quorum.Record{Voters: d.tentative.Voters[:0]}
	d.Echoes = d.Echoes[:0]
}

// VersionError refuses a datagram whose body belongs to a version that this node does not understand.
type VersionError struct {
	Envelope Envelope
	Own      Versions
}

// Error names the sender and both ranges.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%v: node %d speaks version %d and understands %s, this node understands %s",
		ErrVersion, e.Envelope.From, e.Envelope.Version, e.Envelope.Understood, e.Own)
}

// Unwrap makes errors.Is(err, ErrVersion) true.
func (e *VersionError) Unwrap() error { return ErrVersion }

// Codec encodes and decodes the datagrams of one cluster. It is not safe for concurrent use.
type Codec struct {
	clusterID uint64
	versions  Versions
	keys      []hash.Hash
	// ids are the keys' ids.
	ids   []KeyID
	table table
	sum   [macSize]byte
}

// NewCodec checks the keys: one, or two during a rotation with the newest first. All are accepted. versions is Supported, but in
// tests.
func NewCodec(clusterID uint64, versions Versions, keys [][]byte) (*Codec, error) {
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("heartbeat: %d keys, need one, or two during a rotation", len(keys))
	}
	c := &Codec{clusterID: clusterID, versions: versions}
	for i, k := range keys {
		if len(k) < MinKey {
			return nil, fmt.Errorf("heartbeat: key %d has %d bytes, fewer than %d", i+1, len(k), MinKey)
		}
		c.keys = append(c.keys, hmac.New(sha256.New, k))
		c.ids = append(c.ids, KeyIDOf(k))
	}
	return c, nil
}

// Append appends a datagram to b, in d.Version and signed with one of the keys, 0 for the newest. It refuses what reading would,
// and what the version cannot say.
func (c *Codec) Append(b []byte, d *Datagram, key int) ([]byte, error) {
	if !c.versions.Has(d.Version) {
		return nil, fmt.Errorf("heartbeat: %w %d, this node understands %s", ErrVersion, d.Version, c.versions)
	}
	if err := check(d); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	start := len(b)
	switch d.Version {
	case legacyVersion:
		if err := expressible(&d.Message); err != nil {
			return nil, fmt.Errorf("heartbeat: %w", err)
		}
		b = appendVersion1(appendPrefix(b, c.clusterID), &d.Message)
	default:
		var err error
		if b, err = c.appendVersion2(appendEnvelope(b, c.clusterID, &d.Envelope), d); err != nil {
			return nil, fmt.Errorf("heartbeat: %w", err)
		}
	}
	if len(b)-start+macSize > maxDatagram {
		return nil, fmt.Errorf("heartbeat: message of %d bytes is larger than %d", len(b)-start+macSize, maxDatagram)
	}
	mac := c.keys[key]
	mac.Reset()
	mac.Write(b[start:])
	return mac.Sum(b), nil
}

// Open authenticates a datagram and reads its envelope into d. The errors wrap ErrGarbled, ErrCluster or ErrForged. Of a datagram
// in version 1 it reads the body too: that is where the sender is.
func (c *Codec) Open(datagram []byte, d *Datagram) error {
	switch {
	case len(datagram) < prefixSize+macSize:
		return fmt.Errorf("%w: %d bytes", ErrGarbled, len(datagram))
	case len(datagram) > maxDatagram:
		return fmt.Errorf("%w: more than %d bytes", ErrGarbled, maxDatagram)
	case string(datagram[:len(magic)]) != magic:
		return fmt.Errorf("%w: not a heartbeat", ErrGarbled)
	}
	signed, sum := datagram[:len(datagram)-macSize], datagram[len(datagram)-macSize:]
	cluster, body, err := readEnvelope(signed, &d.Envelope)
	switch {
	case err != nil:
		return err
	case cluster != c.clusterID:
		return fmt.Errorf("%w: %016x, this is %016x", ErrCluster, cluster, c.clusterID)
	case !c.authentic(signed, sum):
		return ErrForged
	}
	d.body = body
	if d.Version == legacyVersion {
		if err := c.Read(d); err != nil {
			return err
		}
		d.From, d.Incarnation, d.Sequence = d.Message.From, d.Message.Incarnation, d.Message.Sequence
		return nil
	}
	if err := checkEnvelope(&d.Envelope); err != nil {
		return fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	return nil
}

// Read reads the body of a datagram that was opened, into d.Message and d.Echoes, which share nothing with the datagram. The error
// is a *VersionError or wraps ErrGarbled; then nothing of the body may be used.
func (c *Codec) Read(d *Datagram) error {
	d.reset()
	if !c.versions.Has(d.Version) {
		return &VersionError{Envelope: d.Envelope, Own: c.versions}
	}
	r := reader{b: d.body}
	switch d.Version {
	case legacyVersion:
		r.version1(d)
	default:
		c.readVersion2(&r, d)
	}
	if r.failed || len(r.b) > 0 {
		return fmt.Errorf("%w: the message is cut short or too long", ErrGarbled)
	}
	if err := check(d); err != nil {
		return fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	return nil
}

// Decode is Open and Read.
func (c *Codec) Decode(datagram []byte, d *Datagram) error {
	if err := c.Open(datagram, d); err != nil || d.Version == legacyVersion {
		return err
	}
	return c.Read(d)
}

func (c *Codec) authentic(signed, sum []byte) bool {
	for _, mac := range c.keys {
		mac.Reset()
		mac.Write(signed)
		if hmac.Equal(mac.Sum(c.sum[:0]), sum) {
			return true
		}
	}
	return false
}
